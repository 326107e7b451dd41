"""Bins for a feature or a score, and histograms whose last bin says that it holds the overflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomalon.features.labels import Kind
from anomalon.report.records import Floats, Group


@dataclass(frozen=True)
class Bins:
    """Bin edges and whether the last bin takes what lies above.

    Attributes:
        edges: shape (bin + 1,), increasing.
        overflow: whether values above the last edge exist and are counted in the last bin.
        underflow: whether values below the first edge exist and are counted in the first bin.
    """

    edges: Floats
    overflow: bool = False
    underflow: bool = False

    @property
    def note(self) -> str:
        """What the figure must say about its outer bins."""
        names = [name for name, on in (("first", self.underflow), ("last", self.overflow)) if on]
        if len(names) == 2:
            return "outer bins: under-/overflow"
        return f"{names[0]} bin: {'over' if self.overflow else 'under'}flow" if names else ""


@dataclass(frozen=True)
class Histogram:
    """Sum of weights and its statistical error per bin, each of shape (bin,)."""

    values: Floats
    errors: Floats
    edges: Floats

    def density(self) -> Histogram:
        """The same with unit area; the error is scaled along. An empty histogram stays empty."""
        return Histogram(self.values * self.scale(), self.errors * self.scale(), self.edges)

    def scale(self) -> Floats:
        """Factor per bin that gives unit area; 0 where the sum is not positive."""
        total = float(self.values.sum())
        return 1 / (total * np.diff(self.edges)) if total > 0 else np.zeros(len(self.values))


def histogram(values: Floats, weights: Floats, bins: Bins) -> Histogram:
    """Fill a histogram; values that are not finite are left out, those outside the edges go to the outer bins.

    >>> filled = histogram(np.array([0.5, 7.0, np.nan]), np.array([1.0, 2.0, 4.0]), Bins(np.array([0.0, 1.0, 2.0])))
    >>> filled.values.tolist()
    [1.0, 2.0]
    """
    finite = np.isfinite(values)
    inside = np.clip(values[finite], bins.edges[0], bins.edges[-1])
    kept = np.asarray(weights, dtype=np.float64)[finite]
    sums, edges = np.histogram(inside, bins.edges, weights=kept)
    squares, _ = np.histogram(inside, bins.edges, weights=kept * kept)
    return Histogram(sums, np.sqrt(squares), edges)


def feature_bins(groups: Sequence[Group], kind: Kind, count: int = 40) -> Bins:
    """Bins that suit the kind of feature and hold 99 % of every group."""
    present = [g.values[g.present] for g in groups if g.present.any()]
    if not present:
        return Bins(np.linspace(0.0, 1.0, 2))
    low, high = min(float(v.min()) for v in present), max(float(v.max()) for v in present)
    if kind == "flag":
        edges = np.array([-0.5, 0.5, 1.5])
    elif kind == "count":
        most = max(float(np.quantile(v, 0.998)) for v in present)
        edges = np.arange(min(math.floor(low), 0) - 0.5, min(math.ceil(most), 14) + 1)
    elif kind == "angle" and low >= 0 and 2 < high <= math.pi + 1e-5:
        edges = np.linspace(0.0, math.pi + 1e-5, _count(present, count))
    else:
        edges = np.linspace(
            *_range(present, from_zero=kind in ("energy", "angle") and low >= 0), _count(present, count)
        )
    return Bins(edges, overflow=high > edges[-1], underflow=low < edges[0])


def score_bins(groups: Sequence[Group], count: int = 60) -> Bins:
    """Bins that hold 99.8 % of every group: logarithmic where scores are positive and spread over a factor of 30."""
    present = [g.values[g.present] for g in groups if g.present.any()]
    if not present:
        return Bins(np.linspace(0.0, 1.0, 2))
    values = np.concatenate(present)
    low = float(np.quantile(values, 0.0005))
    high = max(float(np.quantile(v, 0.998)) for v in present)
    if not high > low:
        low, high = float(values.min()), float(max(values.max(), values.min() + 1))
    space = np.geomspace if is_logarithmic(values) else np.linspace
    return Bins(space(low, high, count + 1), overflow=bool(values.max() > high), underflow=bool(values.min() < low))


def is_logarithmic(scores: Floats) -> bool:
    """Whether scores need a logarithmic axis."""
    finite = scores[np.isfinite(scores)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 30 * np.quantile(finite, 0.01))


def _count(present: Sequence[Floats], most: int) -> int:
    """Edges: fewer for few events, so that the largest group has some 25 per bin."""
    return 1 + int(np.clip(max(len(v) for v in present) / 25, 12, most))


def _range(present: Sequence[Floats], *, from_zero: bool) -> tuple[float, float]:
    low = 0.0 if from_zero else min(float(np.quantile(v, 0.005)) for v in present)
    high = max(float(np.quantile(v, 0.99)) for v in present)
    lowest = min(float(np.quantile(v, 0.005)) for v in present)
    low = lowest if from_zero and lowest > 0.5 * high else low
    if not high > low:
        return low - 0.5, low + 0.5
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    return math.floor(low / step) * step, math.ceil(high / step) * step
