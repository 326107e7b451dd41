"""What a selection gains over a cut on one variable at equal background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.metrics.estimate import Estimate
from anomalon.metrics.ordered import monotone

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

REPLICAS = 200
LEVEL = 0.68


@dataclass(frozen=True)
class Sides:
    """Test events of background and signal: the variable of the plain cut and the weight of each, shape (event,)."""

    background: Floats
    signal: Floats
    background_weight: Floats
    signal_weight: Floats

    def replicas(self, seed: int, number: int = REPLICAS) -> Iterator[Sides]:
        """The events as they are, and then Poisson bootstraps of them."""
        yield self
        random = np.random.default_rng(seed)
        for _ in range(number):
            weights = [w * random.poisson(1.0, len(w)) for w in (self.background_weight, self.signal_weight)]
            yield Sides(self.background, self.signal, *weights)


def gains(sides: Sides, chosen: list[tuple[Mask, Mask]], *, seed: int = 0) -> list[Estimate]:
    """Signal kept by selections over the signal kept by the plain cut that leaves the same background.

    Background being equal, this is the ratio of s / sqrt(b). Events of equal value pass the plain cut in part.

    Args:
        sides: test events.
        chosen: per selection the background events, and the signal events, that pass; shapes (event,).
        seed: of the bootstrap, which draws the same replicas for all selections and for the plain cut.

    Returns:
        Per selection the gain with its 68 % interval; the ends are None where the plain cut keeps no signal.

    >>> x = np.arange(1000.0)
    >>> same = Sides(x, x, np.ones(1000), np.ones(1000))
    >>> gains(same, [(x >= 900, x >= 900)])[0].value
    1.0
    """
    order_b, order_s = np.argsort(-sides.background, kind="stable"), np.argsort(-sides.signal, kind="stable")
    place = np.searchsorted(-sides.signal[order_s], -sides.background[order_b], side="right")
    rows = [_once(one, chosen, (order_b, order_s), place) for one in sides.replicas(seed)]
    return [_estimate(np.asarray(column)) for column in zip(*rows, strict=True)]


def _once(
    sides: Sides, chosen: list[tuple[Mask, Mask]], orders: tuple[npt.NDArray[np.intp], ...], place: npt.NDArray[np.intp]
) -> list[float]:
    """Gains of all selections with one set of weights; ``place`` counts the signal at or above a background event."""
    total = max(float(sides.background_weight.sum()), np.finfo(np.float64).tiny)
    below = np.concatenate([[0.0], total * monotone(np.cumsum(sides.background_weight[orders[0]]) / total)])
    kept = np.concatenate([[0.0], np.cumsum(sides.signal_weight[orders[1]])])
    curve = np.concatenate([[0.0], kept[place]])
    found = []
    for background, signal in chosen:
        b = float(sides.background_weight[background].sum())
        plain = float(np.interp(b, below, curve))
        found.append(float(sides.signal_weight[signal].sum()) / plain if plain > 0 and b > 0 else np.nan)
    return found


def _estimate(values: Floats) -> Estimate:
    """The first is the value, the others its replicas."""
    replicas = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]):
        return Estimate(value=0.0)
    if len(replicas) < len(values) // 2:
        return Estimate(value=float(values[0]))
    low, high = np.quantile(replicas, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    return Estimate(value=float(values[0]), low=float(low), high=float(high))
