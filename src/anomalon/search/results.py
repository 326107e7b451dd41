"""Every number of a search as one documented record, written as ``results.json``.

The report, the tables and the terminal summary read this record and nothing else, so that no figure exists that the
file does not hold. ``SCHEMA_VERSION`` grows when a field changes its meaning.
"""

from __future__ import annotations

from typing import Any, Literal

from anomalon.config import Settings
from anomalon.metrics.estimate import Estimate as Estimate  # noqa: PLC0414 - part of the records
from anomalon.metrics.estimate import Role as Role  # noqa: PLC0414
from anomalon.search.experiments import Validation
from anomalon.search.statistics import Statistics

SCHEMA_VERSION = 1

Background = Literal["simulation", "data"]
"""What detectors learn from and thresholds are fixed on; with ``data`` the collision data is its own background."""


def background_role(background: Background) -> Role:
    """Role of the samples that detectors learn from.

    >>> background_role("simulation"), background_role("data")
    ('background', 'data')
    """
    return "data" if background == "data" else "background"


class SampleSummary(Settings):
    """One sample of the search: what it is, what was made of it, what was selected."""

    name: str
    process: str
    title: str
    role: Role
    origin: str
    cross_section_pb: float | None
    k_factor: float
    n_events: int
    n_selected: int | None
    yield_expected: float | None
    yield_error: float | None
    caveats: tuple[str, ...] = ()


class SplitSummary(Settings):
    """Selected events of a process in each part of the split."""

    process: str
    role: Role
    train: int
    validation: int
    test: int


class ThresholdSummary(Settings):
    """Where a detector's score is cut.

    Attributes:
        quantile: of the background validation score.
        value: the score at that quantile.
        false_positive_rate: weighted fraction of test background above it; its interval is Clopper-Pearson on the
            effective number of events.
        background_above: raw test background events above it.
        background_total: raw test background events.

    The last three are None while the background is blinded collision data.
    """

    quantile: float
    value: float
    false_positive_rate: Estimate | None = None
    background_above: int | None = None
    background_total: int | None = None


class TrainingSummary(Settings):
    """How a network was trained; the losses are empty while the background is blinded collision data."""

    epochs: int
    best_epoch: int
    seconds: float
    stopped: str
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    learning_rate: tuple[float, ...]


class DetectorSummary(Settings):
    """One detector or baseline.

    Attributes:
        role: ``detector`` for anomaly detectors, ``baseline`` for MET alone and the best single variable (an oracle:
            the variable and direction are chosen with the signal's labels), ``bound`` for the supervised classifier.
        inputs: names of the features it sees.
        n_train: background events; None while they are blinded collision data.
    """

    name: str
    title: str
    role: Literal["detector", "baseline", "bound"]
    kind: str
    inputs: tuple[str, ...]
    n_train: int | None
    fit_seconds: float
    threshold: ThresholdSummary | None = None
    training: TrainingSummary | None = None


class WorkingPoint(Settings):
    """Signal efficiency at a fixed background efficiency.

    ``background_left`` counts raw test background events above the cut; with fewer than 10 the point means little
    and ``reliable`` is False. ``background_left_effective`` is (sum w)^2 / sum w^2 of them.
    """

    background_efficiency: float
    signal_efficiency: Estimate
    background_left: int
    background_left_effective: float | None = None
    reliable: bool


class Curve(Settings):
    """A ROC curve thinned for drawing: efficiencies of background and signal, and the raw background events left."""

    background_efficiency: tuple[float, ...]
    signal_efficiency: tuple[float, ...]
    background_left: tuple[int, ...]


class Evaluation(Settings):
    """One detector against one signal on test events.

    Attributes:
        auc: area under the weighted ROC curve with bootstrap interval.
        auc_minus_met: paired difference to MET alone, None for MET itself.
        at_threshold: signal efficiency at the detector's threshold.
        max_sic: largest eps_S/sqrt(eps_B) over points with at least 10 background events.
        detail: for the best single variable its name and direction.
    """

    detector: str
    signal: str
    auc: Estimate
    auc_minus_met: Estimate | None = None
    working_points: tuple[WorkingPoint, ...]
    at_threshold: Estimate | None = None
    max_sic: float | None = None
    detail: str = ""
    curve: Curve


class FlaggedProcess(Settings):
    """Test events of a process above the main detector's threshold.

    ``expected`` is the yield at the stated luminosity, scaled for the part of the sample that is tested;
    it is None where the sample has no normalisation, and for blinded data.
    """

    process: str
    role: Role
    flagged: int
    tested: int
    expected: float | None
    error: float | None


class Driver(Settings):
    """A feature that drove a score: its value and its share of the score (0 to 1)."""

    feature: str
    value: float
    share: float


class Candidate(Settings):
    """One of the most anomalous events."""

    rank: int
    run: int
    lumi: int
    event: int
    sample: str
    process: str
    role: Role
    weight: float | None
    score: float
    background_fraction_above: float
    drivers: tuple[Driver, ...]


class FeatureSummary(Settings):
    """One feature over the selected events that may be seen: how often it is missing or not finite."""

    name: str
    missing: int
    not_finite: int
    used: bool


class FeatureCheck(Settings):
    """Whether one feature of collision data looks like the background.

    Attributes:
        chi2: of the shapes, the background scaled to the data; None where there are too few events.
        ndof: number of bins - 1.
        p_value: probability of a larger chi2 if data are background.
        n_data: data events that may be shown.
        expected: yield of the background in the same region.
        ratio: data over expected, all events.
        missing_data, missing_background: fraction of the events without the feature.
        not_finite: data events with a NaN or infinity, left out.
        pull: of the bin that differs most, in standard deviations.
        worst: that bin.
        note: why there is no chi2.
    """

    feature: str
    chi2: float | None = None
    ndof: int = 0
    p_value: float | None = None
    n_data: int
    expected: float
    ratio: float | None = None
    missing_data: float = 0.0
    missing_background: float = 0.0
    not_finite: int = 0
    pull: float | None = None
    worst: str = ""
    note: str = ""


class Blinding(Settings):
    """What was withheld from collision data: rows above the threshold, their number included.

    Attributes:
        applies: whether anything was.
        unblinded_reason: why not.
        hides_background: whether that data is the background itself: then whatever is computed from its tail is
            withheld too, for from the visible rows alone it would be wrong.
    """

    applies: bool
    unblinded_reason: str | None = None
    hides_background: bool = False


SanityTest = Literal["left-out process", "lepton pT", "shuffled features", "dummy events"]


class SanityCheck(Settings):
    """One detector on events that it should find strange.

    Attributes:
        test: kind of the test.
        name: what was altered, such as a process or a factor.
        detector: title of the detector.
        auc: of altered events against ordinary test background, with its interval.
        least_auc: what it should be; 0.5 stands for any separation beyond the interval.
        found: whether it was.
        sentence: what should happen and whether it did.
        n_background, n_altered: test events.
    """

    test: SanityTest
    name: str
    detector: str
    auc: Estimate
    least_auc: float
    found: bool
    sentence: str
    n_background: int
    n_altered: int


class PseudoData(Settings):
    """Background drawn as collisions would come, with an unknown number of events of an unknown signal among them.

    Attributes:
        events: events drawn.
        expected_above: background above the main threshold, from other events than those that were drawn.
        error_above: its statistical error.
        above: events above the threshold; None while blinded.
        signal: which one was mixed in; None while blinded.
        injected: how many of its events; None while blinded.
        flagged: how many of those are above the threshold; None while blinded.
        sentence: what may be told.
    """

    events: int
    expected_above: float
    error_above: float
    above: int | None = None
    signal: str | None = None
    injected: int | None = None
    flagged: int | None = None
    sentence: str = ""


class SearchResults(Settings):
    """The whole of a search."""

    schema_version: int = SCHEMA_VERSION
    anomalon_version: str
    title: str
    luminosity_fb: float
    seed: int
    main_detector: str
    background: Background = "simulation"
    notes: tuple[str, ...]
    headline: tuple[str, ...]
    samples: tuple[SampleSummary, ...]
    ledger: tuple[dict[str, Any], ...]
    cutflow: tuple[dict[str, Any], ...]
    split: tuple[SplitSummary, ...]
    features: tuple[FeatureSummary, ...]
    detectors: tuple[DetectorSummary, ...]
    evaluations: tuple[Evaluation, ...]
    flagged: tuple[FlaggedProcess, ...]
    candidates: tuple[Candidate, ...]
    blinding: Blinding
    seconds: dict[str, float]
    feature_checks: tuple[FeatureCheck, ...] = ()
    sanity: tuple[SanityCheck, ...] = ()
    pseudo_data: PseudoData | None = None
    statistics: Statistics | None = None
    validation: Validation | None = None

    def evaluation(self, detector: str, signal: str) -> Evaluation | None:
        """The evaluation of a detector against a signal, if there is one."""
        return next((e for e in self.evaluations if e.detector == detector and e.signal == signal), None)

    @property
    def background_role(self) -> Role:
        """Role of the samples that the detectors learned from."""
        return background_role(self.background)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals, in the order of the samples."""
        return tuple(dict.fromkeys(s.name for s in self.samples if s.role == "signal"))
