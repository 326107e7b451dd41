"""The numbers of a benchmark as frozen records: cells per detector, channel and seed, and what they add up to."""

from __future__ import annotations

from typing import Literal

from anomalon.config import Settings
from anomalon.metrics.estimate import Estimate

SCHEMA_VERSION = 1
Kind = Literal["detector", "baseline", "oracle", "bound"]
Verdict = Literal["above", "below", "level"]

KIND_WORDS: dict[Kind, str] = {
    "detector": "",
    "baseline": "baseline",
    "oracle": "oracle: chosen with the signal's labels",
    "bound": "bound: trained with the signal's labels",
}


class Point(Settings):
    """Signal efficiency at one background efficiency, of one seed.

    Attributes:
        background_left: raw background events that pass.
        reliable: whether they are enough for the point to mean something.
    """

    background_efficiency: float
    signal_efficiency: float
    background_left: int
    reliable: bool


class CellFigures(Settings):
    """One trained detector against one signal, on test events.

    Attributes:
        improvement: SI of the challenge; None where no point leaves enough background events.
        max_sic: largest eps_S / sqrt(eps_B) of the whole curve.
        significance: largest Asimov significance of the signal, with the uncertainty of the background.
        needed: signal events that have to pass the selection for a significance of two.
        detail: such as the variable that an oracle chose.
    """

    signal: str
    detail: str = ""
    auc: float
    points: tuple[Point, ...]
    improvement: float | None = None
    max_sic: float | None = None
    significance: float | None = None
    needed: float | None = None


class LeftOut(Settings):
    """A background process that was left out of training and is the signal.

    Attributes:
        auc: against the rest of the background.
        met: of missing transverse momentum alone, on the same events.
        difference: of the two, on the same bootstrap replicas.
    """

    channel: str
    detector: str
    sample: str
    auc: Estimate
    met: Estimate
    difference: Estimate
    events: int


class MetLikeness(Settings):
    """How much of a score is missing transverse momentum, on test background.

    Attributes:
        rank_correlation: of the two.
        shared: of the one per cent of the background with the highest scores, the part that also has the highest MET.
    """

    rank_correlation: float
    shared: float


class Cell(Settings):
    """One trained detector on one channel.

    Attributes:
        unscored: test events without a score, which count as least anomalous.
        training_seconds, scoring_seconds: wall-clock; other cells may have run beside.
        scored: events in ``scoring_seconds``.
    """

    channel: str
    detector: str
    kind: Kind
    seed: int
    figures: tuple[CellFigures, ...]
    likeness: MetLikeness | None = None
    unscored: int = 0
    training_seconds: float = 0.0
    scoring_seconds: float = 0.0
    scored: int = 0


class Difference(Settings):
    """A figure minus that of MET alone: the mean over the seeds, on the same bootstrap replicas of the events.

    Attributes:
        error: statistical of the events, and of the seeds over the root of their number, in quadrature.
        low, high: 68 % interval, value -+ error.
        verdict: above by more than two errors, below by more than one (outside the interval), or level.
    """

    value: float
    error: float
    verdict: Verdict

    @property
    def low(self) -> float:
        """Lower end of the 68 % interval."""
        return self.value - self.error

    @property
    def high(self) -> float:
        """Upper end of the 68 % interval."""
        return self.value + self.error


class Figure(Settings):
    """One figure of a detector for one signal, over the seeds.

    Attributes:
        name: ``auc``, or ``eps_S at 0.01`` and so on.
        mean: over the seeds, with the 68 % interval of the events' bootstrap.
        seed_deviation: standard deviation over the seeds; None with one.
        background_left: the fewest raw background events of any seed; None for the AUC.
        reliable: whether they are enough.
        minus_met: None for MET alone itself.
    """

    name: str
    mean: Estimate
    seed_deviation: float | None = None
    background_left: int | None = None
    reliable: bool = True
    minus_met: Difference | None = None


class Row(Settings):
    """A detector for one signal in one channel: means over the seeds."""

    channel: str
    detector: str
    kind: Kind
    signal: str
    seeds: int
    detail: str = ""
    figures: tuple[Figure, ...]
    improvement: float | None = None
    max_sic: float | None = None
    significance: float | None = None
    significance_gain: float | None = None
    needed: float | None = None
    needed_over_met: float | None = None

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, if there is one."""
        return next((figure for figure in self.figures if figure.name == name), None)


class Standing(Settings):
    """Where a detector stands among the others over a set of signals.

    Attributes:
        signals: ``chosen on`` or ``judged on``.
        least, median, largest: of its total improvements.
        ranked: number of signals with a total improvement.
        above, below, compared: how many of the figures (AUC, eps_S at 1e-2 and at 1e-3, signal by signal and channel by
            channel) lie above or below MET alone outside their errors, of how many.
        signals_above: signals for which all three do, in every channel.
    """

    signals: str
    detector: str
    kind: Kind
    least: float | None = None
    median: float | None = None
    largest: float | None = None
    ranked: int = 0
    above: int = 0
    below: int = 0
    compared: int = 0
    signals_above: tuple[str, ...] = ()


class Time(Settings):
    """Mean seconds over the seeds of training and of scoring."""

    channel: str
    detector: str
    training_seconds: float
    scoring_seconds: float
    scored: int
    likeness: MetLikeness | None = None


class ChannelCounts(Settings):
    """Events of a channel after the selection.

    Attributes:
        samples: name, role, title, selected events, test events and yield (None without a normalisation).
    """

    channel: str
    title: str
    luminosity_fb: float
    samples: tuple[SampleCount, ...]


class SampleCount(Settings):
    """One sample of a channel after the selection."""

    name: str
    role: str
    title: str
    selected: int
    test: int
    expected: float | None


class BenchmarkResults(Settings):
    """Everything a benchmark found; ``results.json``.

    Attributes:
        background_uncertainty: relative, of significances and needed events.
        minimum_background: raw background events that a point needs to be reliable.
        notes: what to know before reading.
        seconds: of the whole, in this run; what came from the cache took none.
    """

    schema_version: int = SCHEMA_VERSION
    anomalon_version: str
    title: str
    seeds: tuple[int, ...]
    replicas: int
    background_uncertainty: float
    minimum_background: int
    choose_on: tuple[str, ...]
    judge_on: tuple[str, ...]
    channels: tuple[ChannelCounts, ...]
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]
    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...] = ()
    times: tuple[Time, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


ChannelCounts.model_rebuild()
