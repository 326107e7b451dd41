"""What a bump hunt found, as plain records, and its settings."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from anomalon.bumps.probability import significance_of
from anomalon.config import Settings
from anomalon.metrics import clopper_pearson
from anomalon.metrics.estimate import Estimate

Function = Literal["dijet", "exponential"]


class BumpHuntSettings(Settings):
    """Which windows are scanned, and how many toys tell what the best of them means.

    Attributes:
        min_width, max_width: of the windows, in bins; None takes half of the spectrum.
        width_step: between the widths, in bins.
        position_step: between the positions of windows of the same width, in bins.
        toys: background-only spectra.
        seed: of the toys; they draw from a generator of their own.
        normalisation_error: relative error r of the whole background, common to all bins and thresholds: a factor
            (1 + r)^x with x normal, as likelihoods have it.
    """

    min_width: int = Field(default=1, ge=1)
    max_width: int | None = Field(default=None, ge=1)
    width_step: int = Field(default=1, ge=1)
    position_step: int = Field(default=1, ge=1)
    toys: int = Field(default=10_000, ge=20)
    seed: int = Field(default=0, ge=0)
    normalisation_error: float = Field(default=0.0, ge=0, le=10)

    @model_validator(mode="after")
    def _widths_in_order(self) -> Self:
        if self.max_width is not None and self.max_width < self.min_width:
            raise ValueError(f"max_width = {self.max_width}: must not be below min_width = {self.min_width}")
        return self


class Spectrum(Settings):
    """Counts per bin beside the background: edges (bin + 1,), everything else (bin,)."""

    edges: tuple[float, ...]
    observed: tuple[float, ...]
    background: tuple[float, ...]
    background_error: tuple[float, ...]


class Window(Settings):
    """The most significant window of a spectrum.

    Attributes:
        low, high: its edges.
        first_bin, last_bin: its bins, counted from 0, both inside.
        observed, expected, expected_error: events.
        excess: observed - expected.
        local_p: probability of at least so many events in this window alone; at least 2e-308, so never 0.
        local_log_p: its natural logarithm, without that limit.
        local_z: in standard deviations.
    """

    low: float
    high: float
    first_bin: int
    last_bin: int
    observed: float
    expected: float
    expected_error: float
    excess: float
    local_p: float = Field(gt=0, le=1)
    local_log_p: float
    local_z: float


class OrderTried(Settings):
    """A fit with so many parameters: its deviance, and the probability that the next parameter gains as much by chance.

    ``next_p`` is None where no further parameter was tried.
    """

    parameters: int
    deviance: float
    next_p: float | None = None


class SidebandFit(Settings):
    """A smooth function fitted to a spectrum outside a window.

    Attributes:
        function: family.
        parameters, errors: of its logarithm, in the order of :func:`anomalon.bumps.sidebands.basis`.
        window: what was left out; None for a fit to all bins.
        expected, expected_error: events per bin, window included, shape (bin,).
        window_expected, window_expected_error: events in the window, 0 without one.
        chi2, ndof, p_value: goodness of fit over the fitted bins, neighbours merged until 5 events are expected in
            each; None where that leaves no degree of freedom.
        tried: fits with fewer and more parameters, where the number was chosen.
    """

    function: Function
    parameters: tuple[float, ...]
    errors: tuple[float, ...]
    window: tuple[float, float] | None
    expected: tuple[float, ...]
    expected_error: tuple[float, ...]
    window_expected: float
    window_expected_error: float
    chi2: float
    ndof: int
    p_value: float | None
    tried: tuple[OrderTried, ...] = ()


class BumpHuntResult(Settings):
    """The most significant excess of a spectrum, and what it is worth after looking everywhere.

    Attributes:
        spectrum: that the window was found in; with several thresholds that of the best one.
        window: None where no window has an excess.
        statistic: t = -ln of the smallest local p-value, 0 without an excess.
        toys, toys_above: background-only toys, and those with a statistic at least as large.
        global_p: their ratio with its 68 % Clopper-Pearson interval; 1 / toys where no toy reached the statistic.
        global_p_is_limit: whether that is so, and ``global_p`` an upper limit: it is never said to be 0.
        global_z: in standard deviations, of ``global_p``; within what so many toys can tell, a lower limit for a limit.
        n_windows: windows scanned.
        windows_skipped: windows left out, for in one of their bins no background is expected or fitted.
        skipped_bins: edges of those bins.
        threshold: index of the best threshold, 0 where there is one.
        by_threshold: best window at each threshold, from the loosest.
        fit: of the background, where it came from sidebands.
        toys_failed: toys whose fit did not converge; they count as at least as extreme.
        sentence: what may be told.
    """

    spectrum: Spectrum
    window: Window | None
    statistic: float
    toys: int
    toys_above: int
    global_p: Estimate
    global_p_is_limit: bool
    global_z: float
    n_windows: int
    windows_skipped: int = 0
    skipped_bins: tuple[tuple[float, float], ...] = ()
    threshold: int = 0
    by_threshold: tuple[Window | None, ...] = ()
    fit: SidebandFit | None = None
    toys_failed: int = 0
    sentence: str = ""


def global_probability(above: int, toys: int) -> tuple[Estimate, float]:
    """Share of the toys with its 68 % interval, never 0, and the significance that it stands for.

    >>> estimate, z = global_probability(0, 1000)
    >>> estimate.value, round(z, 2)
    (0.001, 3.09)
    """
    p = max(above, 1) / toys
    low, high = clopper_pearson(above, toys)
    return Estimate(value=p, low=low, high=high), float(significance_of(np.log(min(p, 1 - 1 / toys))))


def tell(window: Window | None, estimate: Estimate, z: float, counts: tuple[int, int], where: str = "") -> str:
    """The result in a sentence; ``counts`` are the toys that are as extreme and all toys."""
    if window is None:
        return "No window has more events than expected: no excess, global p = 1."
    above, toys = counts
    found = (
        f"Largest excess in [{window.low:g}, {window.high:g}] GeV{where}: {window.observed:g} observed, "
        f"{window.expected:.4g} \N{PLUS-MINUS SIGN} {window.expected_error:.2g} expected, local significance "
        f"{window.local_z:.1f} standard deviations; "
    )
    if not above:
        return f"{found}none of {toys} background-only toys has one as large anywhere: global p < {estimate.value:.2g}."
    return (
        f"{found}{above} of {toys} background-only toys have one as large anywhere: global p = {estimate.value:.3g} "
        f"[{estimate.low:.3g}, {estimate.high:.3g}], {z:.1f} standard deviations."
    )
