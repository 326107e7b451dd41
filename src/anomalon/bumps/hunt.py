"""Bump hunt: the most significant excess in any window of a spectrum, and how often chance does as well anywhere.

Every window is a counting experiment with the p-value of :mod:`anomalon.bumps.probability`; the statistic of a
spectrum is t = -ln of the smallest one, and the global p-value the share of background-only toys with a t at least as
large: it accounts for all windows that were looked at, and for all thresholds of a score that were.

An uncertain background is a random number in both: local p-values are averaged over a gamma distribution of what the
expectation may be, and every toy first draws its own expectation and then its counts (prior
predictive), times a lognormal factor for the normalisation: :class:`anomalon.bumps.windows.Hypothesis` says which.

Ref: Choudalakis, arXiv:1101.0390.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.bumps.probability import log_excess_probability, significance_of
from anomalon.bumps.records import BumpHuntResult, BumpHuntSettings, Spectrum, Window, global_probability, tell
from anomalon.bumps.windows import Floats, Hypothesis, Mask, Scan, Windows, nested
from anomalon.errors import EmptySelectionError, InvalidEventsError

__all__ = ["BumpHuntResult", "BumpHuntSettings", "Window", "bin_significances", "bump_hunt", "bump_hunt_over"]

_SAME = 1 - 1e-12
"""Statistics of equal counts are equal: what rounding does to them must not decide."""


def bump_hunt(
    observed: npt.ArrayLike,
    background: npt.ArrayLike,
    *,
    edges: npt.ArrayLike,
    errors: npt.ArrayLike | None = None,
    settings: BumpHuntSettings | None = None,
) -> BumpHuntResult:
    """Find the most significant excess over an expected background.

    Args:
        observed: events per bin, >= 0, shape (bin,); fractions are allowed, for Asimov spectra.
        background: expected events, >= 0, shape (bin,); windows with a bin without any are skipped and named.
        edges: of the bins, increasing, in GeV, shape (bin + 1,).
        errors: statistical errors of the background, independent between bins, shape (bin,); None for none.
        settings: windows, toys, and the error of the normalisation.

    Raises:
        InvalidEventsError: shapes differ, a value is negative or not finite, or the edges do not increase.
        EmptySelectionError: no window has background in all its bins.

    >>> found = bump_hunt([9, 30, 12, 9], [10, 10, 10, 10], edges=[0, 1, 2, 3, 4], settings=BumpHuntSettings(seed=1))
    >>> found.window.low, found.window.high, round(found.window.local_z, 2), found.toys_above
    (1.0, 2.0, 5.03, 0)
    """
    rows = [None if x is None else np.asarray(x, dtype=np.float64)[None] for x in (observed, background, errors)]
    if rows[0] is None or rows[1] is None:
        raise InvalidEventsError("a bump hunt needs observed and background events per bin, each of shape (bin,)")
    return bump_hunt_over(rows[0], rows[1], edges=edges, errors=rows[2], settings=settings)


def bump_hunt_over(
    observed: npt.ArrayLike,
    background: npt.ArrayLike,
    *,
    edges: npt.ArrayLike,
    errors: npt.ArrayLike | None = None,
    settings: BumpHuntSettings | None = None,
) -> BumpHuntResult:
    """Find the most significant excess above any of several nested thresholds of a score.

    Spectra are given in disjoint slices of the score: the first holds events between the loosest and the next
    threshold, the last those above the tightest. The spectrum above a threshold is the sum of the slices from it
    upwards. Toys are drawn in the slices, so that their thresholds share events as those of the data do.

    Args:
        observed: events, shape (slice, bin).
        background: expected events, shape (slice, bin).
        edges: of the bins, shape (bin + 1,).
        errors: statistical errors of the background, shape (slice, bin).
        settings: windows and toys.

    Raises:
        InvalidEventsError: as in :func:`bump_hunt`.
        EmptySelectionError: as there.
    """
    settings = settings or BumpHuntSettings()
    limits = checked_edges(edges)
    if np.ndim(background) != 2:
        raise InvalidEventsError(f"background has shape {np.shape(background)}: expected (slice, bin)")
    shape = (len(np.asarray(background)), len(limits) - 1)
    counts, expected = (
        checked_bins(x, name, shape) for x, name in ((observed, "observed"), (background, "background"))
    )
    spread = np.zeros(shape) if errors is None else checked_bins(errors, "errors", shape)
    hypothesis = Hypothesis(expected, np.where(expected > 0, spread, 0.0), settings.normalisation_error)
    scan = Scan(hypothesis, *_windows(hypothesis, limits, settings))
    return _result(scan, counts, limits, settings)


def bin_significances(
    observed: npt.ArrayLike, background: npt.ArrayLike, *, errors: npt.ArrayLike | None = None
) -> Floats:
    """Signed significance of every bin by itself, negative for a deficit, 0 without background; shape (bin,).

    An excess has the significance of P(N >= n), a deficit that of P(N <= n), and where both are above one half there is
    none: 0.

    >>> bin_significances([10, 30, 2], [10.0, 10.0, 10.0]).round(2).tolist()
    [0.0, 5.03, -2.77]
    """
    n, b = (np.asarray(x, dtype=np.float64) for x in (observed, background))
    variance = np.zeros(b.shape) if errors is None else np.asarray(errors, dtype=np.float64) ** 2
    safe = np.where(b > 0, b, 1.0)
    more = significance_of(log_excess_probability(n, safe, variance))
    # P(N <= n) = 1 - P(N >= n + 1)
    fewer = significance_of(np.log(-np.expm1(np.minimum(log_excess_probability(n + 1, safe, variance), -1e-300))))
    z = np.where(n > b, np.maximum(more, 0.0), -np.maximum(fewer, 0.0))
    return np.asarray(np.where((b > 0) & (n != b), z, 0.0))


def checked_edges(edges: npt.ArrayLike) -> Floats:
    """Bin edges as an array, shape (bin + 1,).

    Raises:
        InvalidEventsError: fewer than two, one is not finite, or they do not increase.
    """
    array = np.asarray(edges, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InvalidEventsError(f"edges of shape {array.shape}: expected (bin + 1,), with at least one bin")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise InvalidEventsError(f"edges[{bad[0]}] = {array[bad[0]]:g}: expected a finite number")
    falls = np.flatnonzero(np.diff(array) <= 0)
    if len(falls):
        i = falls[0]
        raise InvalidEventsError(f"edges[{i}] = {array[i]:g}, edges[{i + 1}] = {array[i + 1]:g}: edges must increase")
    return array


def checked_bins(values: npt.ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    """Values per bin as an array of that shape.

    Raises:
        InvalidEventsError: another shape, or a value that is negative or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise InvalidEventsError(f"{name} has shape {_plain(array.shape)}, expected {_plain(shape)} from the edges")
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        place = np.argwhere(bad)[0]
        where = f"bin {place[-1]}" + (f" of slice {place[0]}" if len(place) > 1 and shape[0] > 1 else "")
        raise InvalidEventsError(
            f"{name} = {array[tuple(place)]:g} in {where}: expected a finite number of at least 0"
            + ("; merge bins until their total weight is positive" if array[tuple(place)] < 0 else "")
        )
    return array


def describe(place: tuple[int, int], edges: Floats, *, counts: tuple[float, float, float], log_p: float) -> Window:
    """The record of a window of bins first ... stop - 1 with its events observed, expected, and the error of those."""
    observed, expected, error = counts
    return Window(
        low=edges[place[0]], high=edges[place[1]], first_bin=place[0], last_bin=place[1] - 1, observed=observed,
        expected=expected, expected_error=error, excess=observed - expected,
        local_p=max(float(np.exp(log_p)), float(np.finfo(np.float64).tiny)), local_log_p=log_p,
        local_z=float(significance_of(log_p)),
    )  # fmt: skip


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as the user knows it: one spectrum is a single slice."""
    return shape[1:] if len(shape) == 2 and shape[0] == 1 else shape


def _windows(hypothesis: Hypothesis, edges: Floats, settings: BumpHuntSettings) -> tuple[Windows, Mask]:
    """All windows, and which of them have background in all their bins above each threshold."""
    bins = len(edges) - 1
    windows = Windows.over(bins, settings)
    if not len(windows):
        raise InvalidEventsError(
            f"{bins} bins hold no window of min_width = {settings.min_width} bins: lower it or give finer bins"
        )
    empty = nested(hypothesis.slices) <= 0
    usable = windows.sums(empty.astype(np.float64)) == 0
    if not usable.any():
        raise EmptySelectionError(
            f"no background is expected in {_named(edges, _any(empty))}: no window can be scanned; give wider "
            "bins or more background events"
        )
    return windows, usable


def _result(scan: Scan, observed: Floats, edges: Floats, settings: BumpHuntSettings) -> BumpHuntResult:
    values, seen, empty = scan.values(observed), nested(observed), nested(scan.hypothesis.slices) <= 0
    best = _best(scan, values, seen, edges)
    threshold, t = int(values.max(axis=1).argmax()), float(values.max())
    above = _toys_above(scan, t, settings)
    estimate, z = global_probability(above, settings.toys)
    where = f" above threshold {threshold}" if len(values) > 1 else ""
    sentence = tell(best[threshold], estimate, z, (above, settings.toys), where)
    return BumpHuntResult(
        spectrum=_spectrum(scan.hypothesis, seen, edges, threshold),
        window=best[threshold],
        statistic=t,
        toys=settings.toys,
        toys_above=above,
        global_p=estimate,
        global_p_is_limit=above == 0,
        global_z=z,
        n_windows=int(scan.usable.sum()),
        windows_skipped=int((~scan.usable).sum()),
        skipped_bins=_ranges(edges, _any(empty)),
        threshold=threshold,
        by_threshold=best,
        sentence=(sentence if seen.any() else "No event was observed: no excess, global p = 1.")
        + _skipped(scan, np.where(empty, seen, 0.0), edges),
    )


def _toys_above(scan: Scan, t: float, settings: BumpHuntSettings) -> int:
    """Toys with a statistic of at least t; toys tell no values apart that have a probability below e^-40."""
    return int((scan.of_toys(settings) >= min(t * _SAME, 40.0)).sum()) if t > 0 else settings.toys


def _best(scan: Scan, values: Floats, seen: Floats, edges: Floats) -> tuple[Window | None, ...]:
    """Per threshold the first window with the largest -ln p; None where none has an excess."""
    expected, error = scan.hypothesis.nominal(scan.windows)
    best: list[Window | None] = []
    for k, w in enumerate(values.argmax(axis=1)):
        first, stop = int(scan.windows.first[w]), int(scan.windows.stop[w])
        counts = (float(seen[k, first:stop].sum()), float(expected[k, w]), float(error[k, w]))
        found = describe((first, stop), edges, counts=counts, log_p=-float(values[k, w])) if values[k, w] > 0 else None
        best.append(found)
    return tuple(best)


def _spectrum(hypothesis: Hypothesis, seen: Floats, edges: Floats, threshold: int) -> Spectrum:
    """What is seen and expected above a threshold; the error of a bin holds that of the normalisation."""
    bins = np.arange(len(edges) - 1)
    background, error = hypothesis.nominal(Windows(bins, bins + 1))
    rows = (edges, seen[threshold], background[threshold], error[threshold])
    return Spectrum.model_validate(dict(zip(Spectrum.model_fields, (tuple(x.tolist()) for x in rows), strict=True)))


def _skipped(scan: Scan, seen: Floats, edges: Floats) -> str:
    """What the scan left out, and the events ``seen`` where none is expected: for them no significance is known."""
    if scan.usable.all():
        return ""
    empty = _any(nested(scan.hypothesis.slices) <= 0)
    return (
        f" {int((~scan.usable).sum())} windows were skipped, for no background is expected in {_named(edges, empty)}; "
        f"{seen.max(axis=0).sum():g} events were observed there."
    )


def _any(empty: Mask) -> Mask:
    """Bins that are so above any threshold, shape (bin,)."""
    return np.asarray(empty.any(axis=0), dtype=np.bool_)


def _ranges(edges: Floats, bins: Mask) -> tuple[tuple[float, float], ...]:
    """Edges of a set of bins, neighbours joined."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], bins, [False]]).astype(int)))
    return tuple((float(edges[a]), float(edges[b])) for a, b in zip(change[::2], change[1::2], strict=True))


def _named(edges: Floats, bins: Mask, most: int = 5) -> str:
    """Bins in words."""
    ranges = [f"[{low:g}, {high:g}]" for low, high in _ranges(edges, bins)]
    more = f" and {len(ranges) - most} more ranges" if len(ranges) > most else ""
    return ", ".join(ranges[:most]) + more
