"""Records of a search's statistics: regions, yields, significances and what they gain over a plain cut."""

from __future__ import annotations

from typing import Literal

from anomalon.config import Settings
from anomalon.metrics.estimate import Estimate, Role
from anomalon.search.inference import MassHunt, MassSculpting, SignalInference
from anomalon.search.systematics import SystematicImpact


class RegionYield(Settings):
    """Expected events of one sample in a region, at the search's luminosity.

    Attributes:
        error: statistical, sqrt(sum w^2), scaled like the yield.
        raw: simulated test events.
        effective: (sum w)^2 / sum w^2 of them.
    """

    sample: str
    title: str
    role: Role
    value: float
    error: float
    raw: int
    effective: float


class RegionSummary(Settings):
    """One region of one detector.

    Attributes:
        name: R1 is the loosest; regions of a detector are nested.
        quantile: of the background validation score.
        threshold: score above which events are inside.
        background, background_error: sum of the backgrounds.
        effective: effective background test events.
        observed: collision data inside; None while blinded, or without data.
    """

    detector: str
    name: str
    quantile: float
    threshold: float
    yields: tuple[RegionYield, ...]
    background: float
    background_error: float
    effective: float
    observed: int | None = None


class CutScan(Settings):
    """A lower cut on a variable inside a region, moved over its range; one entry per cut.

    Attributes:
        region: name, or ``all`` without a cut on the score.
        cuts: lower edges of the variable.
        signal, background, background_error: expected events above.
        effective: effective background events above.
        simple: s / sqrt(b).
        asimov: without and ``asimov_uncertain`` with the uncertainty of the background.
    """

    detector: str
    region: str
    signal_name: str
    cuts: tuple[float, ...]
    signal: tuple[float, ...]
    background: tuple[float, ...]
    background_error: tuple[float, ...]
    effective: tuple[float, ...]
    simple: tuple[float, ...]
    asimov: tuple[float, ...]
    asimov_uncertain: tuple[float, ...]


class RegionSignificance(Settings):
    """One signal in one region, cut where validation events say that the significance is highest.

    Attributes:
        cut: on the variable, chosen on validation events with this signal; everything else is from test events.
        signal, background: expected events, with their statistical errors.
        uncertainty: of the background that enters the significance: statistical and relative, added in quadrature.
        simple: s / sqrt(b).
        asimov: Asimov significance with a perfectly known background.
        significance: Asimov significance with the uncertainty, and its statistical interval.
        gain_region: signal kept by the region alone over that kept by a cut on the variable alone that leaves the same
            background; a ratio of s / sqrt(b).
        gain: the same for region and cut together.
    """

    detector: str
    region: str
    signal_name: str
    cut: float
    signal: float
    signal_error: float
    background: float
    background_error: float
    uncertainty: float
    effective: float
    simple: float
    asimov: float
    significance: Estimate
    gain_region: Estimate | None = None
    gain: Estimate | None = None


Verdict = Literal["beats the cut", "does not beat the cut", "cannot be told from the cut"]


class SignalStatement(Settings):
    """Whether the main detector helped with one signal, in a sentence."""

    signal_name: str
    verdict: Verdict
    sentence: str


class Statistics(Settings):
    """Everything that follows from regions of the score.

    Attributes:
        variable: that is cut on inside the regions, and binned in the likelihood.
        relative_uncertainty: of the background in significances, beside its statistical error.
        inference: limits and more of every signal, where a likelihood was asked for.
        systematics: what each does to the yields of the regions.
        bumps: in mass spectra.
        sculpting: what cuts on the main score do to the background's mass spectra.
    """

    variable: str
    relative_uncertainty: float
    minimum_effective: float
    regions: tuple[RegionSummary, ...]
    significances: tuple[RegionSignificance, ...]
    scans: tuple[CutScan, ...]
    statements: tuple[SignalStatement, ...]
    inference: tuple[SignalInference, ...] = ()
    systematics: tuple[SystematicImpact, ...] = ()
    bumps: tuple[MassHunt, ...] = ()
    sculpting: tuple[MassSculpting, ...] = ()
    notes: tuple[str, ...] = ()
