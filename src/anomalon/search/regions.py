"""Signal regions: nested by quantiles of the background validation score, and bins fixed by the background alone.

Neither signal nor data has a say: thresholds and edges are functions of background validation events. Yields come from
test events, which no threshold and no network has seen, scaled so that they stand for the whole sample.

Ref: Frette 2023 (Oslo), chapter 5, where regions were cut at the median of the *signal's* score and the weights were
not scaled for the split, which made significances up to sqrt(5) too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError, EmptySelectionError
from anomalon.metrics import effective_number
from anomalon.search.threshold import Scored, fix_threshold

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SAFETY = 2.0
"""Regions and bins keep this many times the effective events asked for in validation, so that test events have them."""
_GROWTH = 1.6
"""Effective background of a bin over that of the bin above it: the tail, where signals live, is cut finest."""


@dataclass(frozen=True)
class Region:
    """Events with a score above a threshold; regions of a detector are nested.

    Attributes:
        name: R1 is the loosest.
        quantile: of the background validation score.
        threshold: the score there.
    """

    name: str
    quantile: float
    threshold: float

    def holds(self, score: Floats) -> Mask:
        """Which events are inside, shape (event,); an event without a score is not."""
        return np.asarray(score > self.threshold, dtype=np.bool_)


def nested_regions(
    validation: Scored, quantiles: Sequence[float], *, minimum_effective: float = 10.0
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Regions at quantiles of the background validation score, loosest first, and notes on those that were loosened.

    A quantile that leaves too few effective events is loosened to the tightest one that leaves enough.

    Args:
        validation: scores and weights of background validation events.
        quantiles: increasing, between 0 and 1.
        minimum_effective: effective background events, (sum w)^2 / sum w^2, that test events should have inside.

    Raises:
        ConfigError: quantiles that do not increase.
        EmptySelectionError: too few background events for any region.
    """
    if list(quantiles) != sorted(set(quantiles)):
        raise ConfigError(f"regions = {list(quantiles)}: quantiles must increase, such as [0.9, 0.99]")
    usable = validation.finite()
    tightest = _tightest(usable, SAFETY * minimum_effective)
    regions: list[Region] = []
    notes = []
    for quantile in quantiles:
        threshold = fix_threshold(usable, quantile)
        if threshold > tightest and regions and regions[-1].threshold >= tightest:
            notes.append(f"region at the {100 * quantile:g} % quantile: left out, too few effective events for it")
            continue
        if threshold > tightest:
            threshold = tightest
            kept = float(usable.weight[usable.score <= threshold].sum() / usable.weight.sum())
            notes.append(
                f"region at the {100 * quantile:g} % quantile: loosened to {100 * kept:.3g} %, beyond which fewer than "
                f"{SAFETY * minimum_effective:g} effective background validation events are left"
            )
            quantile = kept  # noqa: PLW2901 - what it has become
        if not regions or threshold > regions[-1].threshold:
            regions.append(Region(f"R{len(regions) + 1}", quantile, threshold))
    return tuple(regions), tuple(notes)


def with_enough(
    regions: Sequence[Region], tested: Scored, minimum_effective: float
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """The regions that hold enough effective background test events, and a note on each of the others.

    The loosest one is kept in any case.
    """
    inside = [tested.weight[region.holds(tested.score)] for region in regions]
    kept = [i == 0 or effective_number(own) >= minimum_effective for i, own in enumerate(inside)]
    notes = (
        f"region {region.name} at the {100 * region.quantile:.4g} % quantile: left out, for it holds "
        f"{effective_number(own):.1f} effective background test events, fewer than {minimum_effective:g}"
        for region, own, enough in zip(regions, inside, kept, strict=True)
        if not enough
    )
    return tuple(r for r, enough in zip(regions, kept, strict=True) if enough), tuple(notes)


def _tightest(validation: Scored, minimum: float) -> float:
    """The highest threshold that leaves a number of effective events above it."""
    order = np.argsort(-validation.score, kind="stable")
    score, weight = validation.score[order], validation.weight[order]
    above, squares = np.cumsum(weight), np.cumsum(weight**2)
    enough = np.flatnonzero((above > 0) & (above**2 >= minimum * np.maximum(squares, 1e-300)))
    enough = enough[enough + 1 < len(score)]
    if not len(enough):
        raise EmptySelectionError(
            f"{effective_number(weight) if len(weight) else 0:.3g} effective background validation events make no "
            f"region, {minimum:g} are needed above its threshold: loosen the selection, give the background samples "
            "more events, or lower statistics.minimum_effective"
        )
    return float(score[enough[0] + 1])


def slices(regions: Sequence[Region], score: Floats) -> npt.NDArray[np.int64]:
    """Disjoint parts of nested regions: number of the tightest region that holds each event, -1 outside of all."""
    thresholds = np.asarray([region.threshold for region in regions])
    known = np.where(np.isnan(score), -np.inf, score)
    return np.searchsorted(thresholds, known, side="left").astype(np.int64) - 1


def bin_edges(values: Floats, weights: Floats, *, most: int, minimum_effective: float) -> Floats:
    """Edges of bins of a variable that each hold enough background, finest in the upper tail.

    From the top down every bin is closed as soon as it holds its share of effective events, which grows by a factor
    of 1.6 from bin to bin; the lowest bin takes what is left. The highest bin is open above its lower edge.

    Args:
        values: of background validation events in the region, shape (event,).
        weights: signed, shape (event,).
        most: bins at most.
        minimum_effective: effective events of the highest bin.

    Returns:
        Rounded to three digits, shape (bin + 1,); a single bin where events are few.

    >>> x = np.random.default_rng(1).exponential(50.0, 4000)
    >>> edges = bin_edges(x, np.ones(4000), most=6, minimum_effective=10.0)
    >>> len(edges), bool(np.histogram(x, edges)[0].min() >= 10)
    (7, True)
    """
    keep = np.isfinite(values)
    order = np.argsort(-values[keep], kind="stable")
    value, weight = values[keep][order], weights[keep][order]
    if not len(value):
        return np.asarray([0.0, 1.0])
    top, bottom = _rounded(float(value[0]), up=True), _rounded(float(value[-1]), up=False)
    edges, start, wanted = [top if top > bottom else bottom + 1.0], 0, minimum_effective
    while len(edges) < most:
        above, squares = np.cumsum(weight[start:]), np.cumsum(weight[start:] ** 2)
        enough = np.flatnonzero((above > 0) & (above**2 >= wanted * np.maximum(squares, 1e-300)))
        if not len(enough):
            break
        edge = _rounded(float(value[start + enough[0]]), up=False)
        if not bottom < edge < edges[-1]:
            break
        edges.append(edge)
        start = int(np.searchsorted(-value, -edge, side="right"))
        wanted *= _GROWTH
    return _joined(np.asarray([bottom, *reversed(edges)]), value, weight, minimum_effective)


def spectrum_edges(values: Floats, weights: Floats, *, minimum_effective: float, most: int = 40) -> Floats:
    """Edges of a mass spectrum: evenly spaced in the logarithm where the background is, wider where it thins out.

    From the top down, bins are joined until each holds enough effective events. The outer bins are open.

    Args:
        values: positive masses of background validation events, shape (event,); missing ones are NaN.
        weights: signed, shape (event,).
        most: bins at most.
        minimum_effective: of a bin.

    Raises:
        EmptySelectionError: fewer than two bins can be filled.
    """
    keep = np.isfinite(values) & (values > 0)
    value, weight = values[keep], weights[keep]
    if not len(value):
        raise EmptySelectionError("no background validation event has this mass")
    low, high = np.quantile(value, (0.002, 0.9999))
    fine = np.geomspace(float(low), float(high), most + 1)
    place = locate(value, fine)
    sums, squares = (np.bincount(place, w, minlength=most) for w in (weight, weight**2))
    edges, above, square = [float(fine[-1])], 0.0, 0.0
    for i in reversed(range(most)):
        above, square = above + sums[i], square + squares[i]
        if above > 0 and above**2 >= minimum_effective * square:
            edges.append(float(fine[i]))
            above = square = 0.0
    edges[-1] = float(fine[0])  # what is left at the bottom goes into the lowest bin
    if len(edges) < 3:
        raise EmptySelectionError(
            f"{effective_number(weight):.3g} effective background validation events make no spectrum of at least two "
            f"bins with {minimum_effective:g} each"
        )
    return np.asarray(edges[::-1])


def _joined(edges: Floats, value: Floats, weight: Floats, minimum: float) -> Floats:
    """Without the edges between bins of too little background: rounding and negative weights move it about.

    A bin with too little is joined with the one below it, the lowest with the one above.
    """
    while len(edges) > 2:
        place = locate(value, edges)
        sums, squares = (np.bincount(place, w, minlength=len(edges) - 1) for w in (weight, weight**2))
        poor = np.flatnonzero((sums <= 0) | (sums**2 < minimum * squares))
        if not len(poor):
            break
        edges = np.delete(edges, max(int(poor[-1]), 1))
    return edges


def _rounded(x: float, *, up: bool) -> float:
    """Three significant digits, downwards or upwards."""
    if x == 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(abs(x))) - 2)
    return float(f"{(np.ceil if up else np.floor)(x / step) * step:.6g}")


def locate(values: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    """Bin of each value, shape (event,): values beyond an end belong to the bin there; -1 where there is no value."""
    place = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(values), -1, place).astype(np.int64)
