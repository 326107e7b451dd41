"""Bump hunt over a background that is fitted to the spectrum itself, with the scanned window left out.

Every window of every toy has its own fit, so that the global p-value holds the freedom of the function. What a fit
predicts in its window has an error; local p-values are averaged over a gamma distribution of that mean and error.
Toys are drawn from the function fitted outside the most significant window: a signal does not enter them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.bumps.hunt import checked_bins, checked_edges, describe
from anomalon.bumps.probability import log_excess_probability
from anomalon.bumps.records import BumpHuntResult, BumpHuntSettings, Spectrum, global_probability, tell
from anomalon.bumps.sidebands import Floats, Mask, Shape, SidebandSettings, choose, fit_many, record
from anomalon.bumps.windows import Windows
from anomalon.errors import ConfigError, EmptySelectionError

_CELLS = 1 << 19
"""Bins of all fits done at once."""
_SAME = 1 - 1e-9
_MOST_FAILED = 0.05
"""Share of toys that may have a fit that does not converge."""


def bump_hunt_sidebands(
    observed: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    settings: BumpHuntSettings | None = None,
    sidebands: SidebandSettings | None = None,
) -> BumpHuntResult:
    """Find the most significant excess over a smooth function fitted to the rest of the spectrum.

    Args:
        observed: events per bin, >= 0, shape (bin,).
        edges: of the bins, in GeV, shape (bin + 1,).
        settings: windows and toys; there is no normalisation to be uncertain of.
        sidebands: the function; its number of parameters is chosen once, on the observed spectrum.

    Raises:
        InvalidEventsError: bad counts or edges.
        EmptySelectionError: no window leaves enough bins with events, or fits do not converge.
        ConfigError: settings that do not fit together.

    >>> edges = np.linspace(100, 500, 41)
    >>> n = np.round(1e5 * (np.exp(-edges[:-1] / 80) - np.exp(-edges[1:] / 80)))
    >>> n[20:23] += 120
    >>> hunt, smooth = BumpHuntSettings(max_width=4, toys=40), SidebandSettings(function="exponential")
    >>> found = bump_hunt_sidebands(n, edges, settings=hunt, sidebands=smooth)
    >>> found.window.first_bin, found.window.last_bin, found.toys_above
    (20, 22, 0)
    """
    settings, sidebands = settings or BumpHuntSettings(), sidebands or SidebandSettings()
    if settings.normalisation_error:
        raise ConfigError(
            f"normalisation_error = {settings.normalisation_error:g}: sidebands fix the normalisation, leave it at 0"
        )
    limits = checked_edges(edges)
    counts = checked_bins(observed, "observed", (len(limits) - 1,))
    shape, tried = choose(counts, limits, np.ones(len(counts), dtype=bool), sidebands)
    windows = _windows(counts, shape, settings, sidebands)
    hunt = _Hunt(shape, windows, len(counts))
    values, expected, error, _ = hunt.scan(counts[None])
    w = int(values[0].argmax())
    t = float(values[0, w])
    place = (int(windows.first[w]), int(windows.stop[w]))
    used = ~hunt.inside[w] if t > 0 else np.ones(len(counts), dtype=bool)
    fit = record(shape, counts, limits, used=used, settings=sidebands, tried=tried)
    above, failed = _toys_above(hunt, np.asarray(fit.expected), t, settings)
    estimate, z = global_probability(above, settings.toys)
    seen = (float(counts[place[0] : place[1]].sum()), float(expected[0, w]), float(error[0, w]))
    window = describe(place, limits, counts=seen, log_p=-t) if t > 0 else None
    return BumpHuntResult(
        spectrum=Spectrum(
            edges=tuple(limits.tolist()), observed=tuple(counts.tolist()), background=fit.expected,
            background_error=fit.expected_error,
        ),
        window=window, statistic=t, toys=settings.toys, toys_above=above, global_p=estimate,
        global_p_is_limit=above == 0, global_z=z, n_windows=len(windows),
        by_threshold=(window,), fit=fit, toys_failed=failed,
        sentence=tell(window, estimate, z, (above, settings.toys)),
    )  # fmt: skip


class _Hunt:
    """Windows of a spectrum, each with the function fitted to the rest."""

    def __init__(self, shape: Shape, windows: Windows, bins: int) -> None:
        self.shape, self.windows, self.inside = shape, windows, windows.inside(bins)
        self.start = np.zeros(shape.design.shape[1])

    def scan(self, counts: Floats) -> tuple[Floats, Floats, Floats, Mask]:
        """-ln p, expectation and its error of each window, shape (spectrum, window), and which spectra were fitted."""
        spectra = len(counts)
        everything = np.ones(counts.shape, dtype=bool)
        whole = fit_many(self.shape, counts, everything, self._first(counts))
        used = np.tile(~self.inside, (spectra, 1))
        each = np.repeat(counts, len(self.windows), axis=0)
        fits = fit_many(self.shape, each, used, np.repeat(whole.parameters, len(self.windows), axis=0))
        there = np.where(used, 0.0, fits.mean)
        expected, variance = there.sum(axis=1), fits.variance(there @ self.shape.design)
        n = np.where(used, 0.0, each).sum(axis=1)
        value = np.zeros(len(n))
        excess = fits.converged & (n > expected)
        value[excess] = -log_excess_probability(n[excess], expected[excess], variance[excess])
        rows = (spectra, len(self.windows))
        converged = np.asarray(fits.converged.reshape(rows).all(axis=1), dtype=np.bool_)
        return value.reshape(rows), expected.reshape(rows), np.sqrt(variance).reshape(rows), converged

    def _first(self, counts: Floats) -> Floats:
        """Parameters of straight fits to the logarithms, shape (spectrum, parameter)."""
        weight = np.sqrt(counts.mean(axis=0) + 0.5)
        inverse = np.linalg.pinv(self.shape.design * weight[:, None])
        return np.asarray(((np.log(counts + 0.5) - self.shape.offset) * weight) @ inverse.T)


def _windows(counts: Floats, shape: Shape, settings: BumpHuntSettings, sidebands: SidebandSettings) -> Windows:
    """Windows that leave enough bins with events for a fit.

    Raises:
        EmptySelectionError: there is none.
    """
    windows = Windows.over(len(counts), settings, margin=sidebands.sideband_bins)
    filled = counts > 0
    left = filled.sum() - windows.sums(filled.astype(np.float64))
    needed = shape.design.shape[1] + 1
    if not (left >= needed).any():
        raise EmptySelectionError(
            f"no window of at least {settings.min_width} bins leaves {sidebands.sideband_bins} bins on either side and "
            f"{needed} bins with events for the fit, of {len(counts)} bins with {int(filled.sum())} filled: lower "
            "min_width, sideband_bins or parameters, or give finer bins"
        )
    return windows.where(left >= needed)


def _toys_above(hunt: _Hunt, mean: Floats, t: float, settings: BumpHuntSettings) -> tuple[int, int]:
    """Toys with a statistic of at least t, those included whose fit failed, and the number of the latter.

    Raises:
        EmptySelectionError: too many failed.
    """
    if not t > 0:
        return settings.toys, 0
    random = np.random.default_rng(settings.seed)
    at_once = max(1, _CELLS // (len(mean) * len(hunt.windows)))
    above = failed = 0
    for start in range(0, settings.toys, at_once):
        size = (min(at_once, settings.toys - start), len(mean))
        values, _, _, converged = hunt.scan(random.poisson(mean, size).astype(np.float64))
        above += int(((values.max(axis=1) >= t * _SAME) | ~converged).sum())
        failed += int((~converged).sum())
    if failed > _MOST_FAILED * settings.toys:
        raise EmptySelectionError(
            f"the fit did not converge for {failed} of {settings.toys} toys of {mean.sum():.4g} events: take fewer "
            "parameters, wider bins or more sideband bins"
        )
    return above, failed
