"""Windows of a spectrum, and the largest -ln p over all of them for very many spectra at once.

What a window is worth depends on its count alone, so -ln p is tabulated per window over the counts that toys can have.
A scan is then a difference of cumulative sums, a look-up and a maximum for each window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.bumps.probability import log_excess_probability
from anomalon.bumps.records import BumpHuntSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DEEP = 45.0
"""Tables end where p falls below e^-45: rarer counts are held to be that rare, and no number of toys has them."""
_LONGEST = 1 << 14
"""Counts in a table; windows that would need more are computed count by count."""
_CELLS = 1 << 21
"""Numbers of toys held at once: 16 MiB of counts."""


@dataclass(frozen=True)
class Windows:
    """Windows of neighbouring bins, narrow ones first, from left to right: bins first ... stop - 1, shape (window,)."""

    first: Ints
    stop: Ints

    @classmethod
    def over(cls, bins: int, settings: BumpHuntSettings, margin: int = 0) -> Windows:
        """All windows that the settings allow, at least ``margin`` bins away from both ends."""
        widest = bins // 2 if settings.max_width is None else settings.max_width
        widest = max(widest, settings.min_width)
        first, stop = [], []
        for width in range(settings.min_width, widest + 1, settings.width_step):
            positions = np.arange(margin, bins - margin - width + 1, settings.position_step, dtype=np.int64)
            first.append(positions)
            stop.append(positions + width)
        return cls(np.concatenate(first), np.concatenate(stop))

    def __len__(self) -> int:
        return len(self.first)

    def where(self, keep: Mask) -> Windows:
        """Some of them."""
        return Windows(self.first[keep], self.stop[keep])

    def sums(self, values: Floats) -> Floats:
        """Sums over each window of values (..., bin), shape (..., window)."""
        total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
        return np.asarray(total[..., self.stop] - total[..., self.first])

    def inside(self, bins: int) -> Mask:
        """Which bins each window covers, shape (window, bin)."""
        place = np.arange(bins)
        return np.asarray((place >= self.first[:, None]) & (place < self.stop[:, None]))


@dataclass(frozen=True)
class Hypothesis:
    """The background of nested thresholds, in the disjoint slices of events between them.

    A slice of a bin in which b +- e events are expected stands for (b / e)^2 events of simulation of weight e^2 / b.
    What they tell of the true expectation, with Jeffreys' prior, is a gamma distribution of shape (b / e)^2 + 1/2 and
    scale e^2 / b: its mean is above b by half a simulated event. All of them are multiplied by (1 + r)^x with x normal.

    Attributes:
        slices: expected events, shape (slice, bin), the loosest slice first.
        errors: of each, independent of each other, same shape; 0 where nothing is expected.
        normalisation_error: r, common to all of them.
    """

    slices: Floats
    errors: Floats
    normalisation_error: float

    @property
    def weight(self) -> Floats:
        """Weight of the simulated events that the error stands for, shape (slice, bin).

        Where weights of both signs cancel, e^2 / b has no bound; less than one event of weight e is never assumed.
        """
        largest = np.maximum(self.slices, self.errors)
        return np.divide(self.errors**2, largest, out=np.zeros(self.slices.shape), where=self.slices > 0)

    def likely(self, windows: Windows) -> tuple[Floats, Floats]:
        """Mean and variance of the true expectation in each window above each threshold, shape (threshold, window)."""
        s2 = np.log1p(self.normalisation_error) ** 2
        mean = windows.sums(nested(self.slices + self.weight / 2)) * np.exp(s2 / 2)
        own = windows.sums(nested(self.slices * self.weight + self.weight**2 / 2)) * np.exp(2 * s2)
        return mean, np.asarray(own + np.expm1(s2) * mean**2)

    def nominal(self, windows: Windows) -> tuple[Floats, Floats]:
        """Expected events and their error in each window above each threshold, shape (threshold, window)."""
        mean = windows.sums(nested(self.slices))
        own = windows.sums(nested(self.errors**2))
        return mean, np.sqrt(own + (self.normalisation_error * mean) ** 2)

    def draw(self, random: np.random.Generator, toys: int) -> Ints:
        """Background-only counts, shape (slice, bin, toy); an uncertain expectation is drawn anew for each toy."""
        mean = np.broadcast_to(self.slices[..., None], (*self.slices.shape, toys))
        if self.errors.any():
            unsure = self.errors > 0
            scale = self.weight[unsure][:, None]
            shape = self.slices[unsure][:, None] / scale + 0.5
            mean = mean.copy()
            mean[unsure] = random.standard_gamma(shape, (len(scale), toys)) * scale
        if self.normalisation_error:
            mean = mean * (1 + self.normalisation_error) ** random.standard_normal(toys)
        return random.poisson(mean)


def nested(slices: Floats) -> Floats:
    """Sums of the slices from each upwards, shape (threshold, ...)."""
    return np.asarray(np.cumsum(slices[::-1], axis=0)[::-1])


class Scan:
    """The statistic of a hypothesis: -ln of the smallest p-value over windows and thresholds.

    Args:
        hypothesis: the background.
        windows: to be scanned.
        usable: windows in whose bins background is expected, shape (threshold, window).
    """

    def __init__(self, hypothesis: Hypothesis, windows: Windows, usable: Mask) -> None:
        self.hypothesis, self.windows, self.usable = hypothesis, windows, usable
        self.expected, self.variance = hypothesis.likely(windows)

    def values(self, slices: Floats) -> Floats:
        """-ln p of every window above each threshold, shape (threshold, window); 0 without an excess."""
        counts = self.windows.sums(nested(slices))
        excess = self.usable & (counts > self.expected)
        result = np.zeros(counts.shape)
        result[excess] = -log_excess_probability(counts[excess], self.expected[excess], self.variance[excess])
        return result

    def of_toys(self, settings: BumpHuntSettings) -> Floats:
        """The statistic of background-only toys, shape (toy,); values above 45 are not told apart."""
        random = np.random.default_rng(settings.seed)
        tables = self._tables(settings.toys)
        at_once = max(1, min(4096, _CELLS // self.hypothesis.slices.size))
        found = []
        for start in range(0, settings.toys, at_once):
            counts = self.hypothesis.draw(random, min(at_once, settings.toys - start))
            found.append(self._largest(_cumulative(counts), tables))
        return np.concatenate(found)

    def _largest(self, cumulative: Ints, tables: dict[tuple[int, int], Floats]) -> Floats:
        """Largest -ln p of each toy, from cumulative counts (threshold, bin + 1, toy)."""
        best = np.zeros(cumulative.shape[-1])
        value, above = np.empty(best.shape), np.empty(best.shape, dtype=np.int64)
        for k, w in np.argwhere(self.usable):
            np.subtract(cumulative[k, self.windows.stop[w]], cumulative[k, self.windows.first[w]], out=above)
            table = tables.get((k, w))
            if table is None:
                self._without_table(above, (k, w), value)
            else:
                above -= int(self.expected[k, w])
                table.take(above, out=value, mode="clip")  # a count below the expectation reads the first place, 0
            np.maximum(best, value, out=best)
        return best

    def _without_table(self, counts: Ints, place: tuple[int, int], value: Floats) -> None:
        excess = counts > self.expected[place]
        value[:] = 0.0
        value[excess] = -log_excess_probability(counts[excess], self.expected[place], self.variance[place])
        np.minimum(value, _DEEP, out=value)

    def _tables(self, toys: int) -> dict[tuple[int, int], Floats]:
        """Per threshold and window -ln p of the counts floor(b), floor(b) + 1, ..., where the first is no excess: 0."""
        places = [(int(k), int(w)) for k, w in np.argwhere(self.usable)]
        mean, variance = (np.asarray([x[place] for place in places]) for x in (self.expected, self.variance))
        length = _lengths(mean, variance)
        short = length <= min(_LONGEST, toys // 2 + 64)
        places = [place for place, keep in zip(places, short, strict=True) if keep]
        mean, variance, length = mean[short], variance[short], length[short]
        step = np.concatenate([np.arange(1, n) for n in length]) if len(length) else np.zeros(0)
        each = length - 1
        deep = -log_excess_probability(
            np.repeat(np.floor(mean), each) + step, *(np.repeat(x, each) for x in (mean, variance))
        )
        ends = np.cumsum(each)[:-1]
        tables = (np.concatenate([[0.0], np.minimum(part, _DEEP)]) for part in np.split(deep, ends))
        return dict(zip(places, tables, strict=False))


def _cumulative(counts: Ints) -> Ints:
    """Counts above each threshold and below each edge, shape (threshold, bin + 1, toy), from disjoint slices."""
    slices, bins, toys = counts.shape
    total = np.zeros((slices, bins + 1, toys), dtype=np.int64)
    np.cumsum(counts, axis=1, out=total[:, 1:])
    for k in range(slices - 2, -1, -1):
        total[k] += total[k + 1]
    return total


def _lengths(mean: Floats, variance: Floats) -> Ints:
    """Counts from floor(b) until p is below e^-45, shape (window,)."""
    length = np.ceil(8 * np.sqrt(mean + variance)) + 16
    while True:
        shallow = log_excess_probability(np.floor(mean) + length, mean, variance) > -_DEEP
        shallow &= length <= _LONGEST
        if not shallow.any():
            return np.asarray(length, dtype=np.int64)
        length[shallow] = np.ceil(1.3 * length[shallow])
