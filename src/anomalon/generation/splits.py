"""Samples of equal size, drawn again and again: what turns a distance into a number with floor and interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from anomalon.errors import EmptySelectionError
from anomalon.generation.derived import Derived, derive
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.generation.validation import Group, Metric, Spread, ValidationSettings, Verdict

MOST_EVENTS = 20_000
"""In each sample where the settings name no number: the size at which the literature's floors are known."""
ONE_SIGMA = 0.8413447460685429
"""Upper end of a central 68 % interval."""


CERTAIN = 2.5
"""Standard errors of the mean over the splits between a value and its floor from which on they differ."""


@dataclass(frozen=True)
class Prepared:
    """Events ready to be compared."""

    arrays: EventArrays
    derived: Derived

    @classmethod
    def of(cls, arrays: EventArrays) -> Prepared:
        """Compute the derived quantities."""
        return cls(arrays, derive(arrays))

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, rows: Any) -> Prepared:
        """The events at a slice, a mask or an index array."""
        return Prepared(self.arrays[rows], self.derived[rows])


@dataclass(frozen=True)
class Splits:
    """Which events meet in each comparison.

    Attributes:
        real, other, generated: rows of the real events, of those that give the floor, and of the generated ones; each
            of shape (split, event).
        independent: how many splits the events would fill; less than there are where splits share events.
    """

    real: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    generated: npt.NDArray[np.int64]
    independent: float

    @property
    def disjoint(self) -> bool:
        """Whether no event is in two splits."""
        return self.independent >= len(self.real)


@dataclass(frozen=True)
class Measure:
    """Something to compute for two samples: real first, then generated (or real again, for the floor).

    Attributes:
        compute: returns values by name; the last argument is a seed.
        titles: of the values, by name.
        group: what it looks at.
        bars: values up to which a verdict is ``near``; where absent, 1.5 times the floor, of a share two thirds of it.
        kind: a distance is best at zero and has a ratio to its floor, an offset is a distance whose floor is about
            zero, an AUC is best at one half, a share is best where it is highest.
    """

    compute: Callable[[Prepared, Prepared, int], Mapping[str, float]]
    titles: Mapping[str, str]
    group: Group
    bars: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["distance", "offset", "auc", "share"] = "distance"


def draw_splits(real: int, generated: int, settings: ValidationSettings) -> Splits:
    """Draw two real samples and a generated one of the same size, as often as the settings say.

    Args:
        real: number of real events.
        generated: number of generated events.
        settings: events in each sample, number of splits, precision, seed.

    Raises:
        EmptySelectionError: fewer events than the precision needs; the message gives the numbers.
    """
    most = min(generated, real // 2)
    size = min(most, MOST_EVENTS) if settings.events is None else settings.events
    needed = max(settings.needed, size)
    if most < needed:
        raise EmptySelectionError(
            f"{real} real and {generated} generated events cannot conclude: the floor takes two real samples, so "
            f"{2 * needed} real and {needed} generated events are needed for an AUC known to {settings.precision:g} "
            f"with {needed} in each; simulate or sample more, or ask for less precision"
        )
    if size < settings.needed:
        raise EmptySelectionError(
            f"events = {size}: an AUC known to {settings.precision:g} needs {settings.needed} in each sample; ask for "
            "more events or less precision"
        )
    rng, n = np.random.default_rng([settings.seed, 1]), settings.splits
    independent = min(real / (2 * size), generated / size, n)
    if independent >= n:
        pairs = rng.permutation(real)[: 2 * size * n].reshape(n, 2, size)
        return Splits(pairs[:, 0], pairs[:, 1], rng.permutation(generated)[: size * n].reshape(n, size), n)
    pairs = np.stack([rng.permutation(real)[: 2 * size].reshape(2, size) for _ in range(n)])
    drawn = np.stack([rng.permutation(generated)[:size] for _ in range(n)])
    return Splits(pairs[:, 0], pairs[:, 1], drawn, independent)


def over_splits(
    measure: Measure,
    real: Prepared,
    generated: Prepared,
    *,
    splits: Splits,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> tuple[Metric, ...]:
    """Compute a measure and its floor in every split.

    Args:
        measure: what to compute.
        real: all real events.
        generated: all generated events.
        splits: which of them meet.
        seed: of the first split.
        tick: called after each split.
    """
    found, floors = [], []
    for i, rows in enumerate(splits.real):
        first = real[rows]
        found.append(measure.compute(first, generated[splits.generated[i]], seed + i))
        floors.append(measure.compute(first, real[splits.other[i]], seed + i))
        if tick is not None:
            tick()
    return tuple(
        metric_of(name, measure, _column(found, name), _column(floors, name), independent=splits.independent)
        for name in found[0]
        if all(name in values for values in (*found, *floors))
    )


def metric_of(name: str, measure: Measure, found: Floats, floors: Floats, *, independent: float = 1.0) -> Metric:
    """Values and floors of all splits as one metric.

    Args:
        name: of the value.
        measure: that it is of.
        found: of generated events, shape (split,).
        floors: of real events, shape (split,).
        independent: how many of the splits are.
    """
    generated, floor, share = spread_of(found), spread_of(floors), measure.kind == "share"
    bar = measure.bars.get(name, (2 / 3 if share else 1.5) * floor.value)
    judgeable, symmetric = (generated, floor), None
    if measure.kind == "auc":
        symmetric = spread_of(0.5 + np.abs(found - 0.5))
        judgeable = symmetric, spread_of(0.5 + np.abs(floors - 0.5))
    return Metric(
        name=name,
        title=measure.titles[name],
        group=measure.group,
        generated=generated,
        floor=floor,
        ratio=ratio_of(generated, floor) if measure.kind in ("distance", "share") and floor.value > 0 else None,
        verdict=judged(*judgeable, bar, sign=-1 if share else 1, independent=independent),
        bar=bar,
        symmetric=symmetric,
    )


def _column(values: Sequence[Mapping[str, float]], name: str) -> Floats:
    return np.array([value[name] for value in values])


def spread_of(values: Floats) -> Spread:
    """Mean over splits with the 68 % interval of a single comparison, Student's t times the standard deviation.

    >>> spread_of(np.array([1.0, 3.0])).value
    2.0
    """
    n, mean = len(values), float(np.mean(values))
    half = float(student.ppf(ONE_SIGMA, n - 1) * np.std(values, ddof=1)) if n > 1 else 0.0
    return Spread(value=mean, low=mean - half, high=mean + half)


def ratio_of(generated: Spread, floor: Spread) -> Spread:
    """Ratio of two means, with the relative errors of both added in squares."""
    ratio = generated.value / floor.value
    relative = [(s.high - s.low) / 2 / abs(s.value) if s.value else 0.0 for s in (generated, floor)]
    half = abs(ratio) * float(np.hypot(relative[0], relative[1]))
    return Spread(value=ratio, low=ratio - half, high=ratio + half)


def judged(generated: Spread, floor: Spread, bar: float, *, sign: int = 1, independent: float = 1.0) -> Verdict:
    """Whether a value is at its floor (within :data:`CERTAIN` standard errors), near it or off.

    Args:
        generated: with the spread of one comparison.
        floor: the same.
        bar: up to which a value is near.
        sign: 1 where a larger value is worse, -1 where it is better.
        independent: comparisons that the mean is worth.
    """
    error = float(np.hypot(generated.high - generated.low, floor.high - floor.low)) / 2 / np.sqrt(independent)
    if sign * (generated.value - floor.value) <= CERTAIN * error:
        return "floor"
    return "near" if sign * generated.value <= sign * bar else "off"
