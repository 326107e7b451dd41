"""Records of a validation: plain data that can be written as JSON, and its settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import UnknownNameError, suggest
from anomalon.generation.layout import get_slots
from anomalon.simulation.presets import PRESETS

Verdict = Literal["floor", "near", "off"]
"""At the floor: no difference from real events beyond the error of the mean. Near: within a bar. Off: neither."""
Group = Literal["marginals", "physics", "judges", "structure", "memory"]
Judge = Literal["boosting", "mlp"]
View = Literal["judge", "refiner"]


class ValidationSettings(Settings):
    """How generated events are compared with real ones.

    Attributes:
        events: in each sample of a comparison; None takes as many as there are, at most 20,000. Floors depend on it.
        splits: comparisons whose spread gives the intervals.
        seed: of the splits, the classifiers and the unweighting.
        slots: numbers of objects by kind, or the name of a preset; surplus objects are dropped, and counted.
        mask_share: keep only the most frequent combinations of multiplicities, which cover this part of the training
            (or real) events, in all samples; 0.95 is the convention of Garcia Ruiz 2024.
        bins: of the histograms behind JS and KL.
        detector: preset whose acceptance and storing rule the events must obey; None checks neither.
        judges: classifiers of the two-sample test; none leaves it out.
        view: which columns they see; a refinement of the generator must have seen the other.
        folds: of the cross-validation.
        precision: on an AUC of one half, one standard deviation: it decides how many events are needed.
        neighbours: k of coverage and density.
        neighbour_events: most events of coverage and memorisation, whose time grows with the square.
        quantiles: bins of equal probability of the amplification test.
        replicas: of its bootstrap.
    """

    events: int | None = Field(default=None, ge=2)
    splits: int = Field(default=5, ge=2)
    seed: int = Field(default=0, ge=0)
    slots: dict[str, int] = Field(default_factory=lambda: get_slots("default"))
    mask_share: float = Field(default=1.0, gt=0, le=1)
    bins: int = Field(default=100, ge=2)
    detector: str | None = "darkmachines"
    judges: tuple[Judge, ...] = ("boosting", "mlp")
    view: View = "judge"
    folds: int = Field(default=2, ge=2)
    precision: float = Field(default=0.01, gt=0, lt=0.5)
    neighbours: int = Field(default=5, ge=1)
    neighbour_events: int = Field(default=5000, ge=10)
    quantiles: int = Field(default=20, ge=2)
    replicas: int = Field(default=200, ge=10)

    @field_validator("slots", mode="before")
    @classmethod
    def _resolved_slots(cls, value: Any) -> dict[str, int]:
        return get_slots(value)

    @field_validator("detector")
    @classmethod
    def _known_detector(cls, value: str | None) -> str | None:
        if value is not None and value not in PRESETS:
            raise UnknownNameError(f"no detector '{value}'; {suggest(value, PRESETS)}")
        return value

    @property
    def needed(self) -> int:
        """Events in each sample so that an AUC of one half is known to ``precision``: n = 1 / (6 precision^2).

        The variance of the Mann-Whitney statistic of two samples of n is (2 n + 1) / (12 n^2).

        >>> ValidationSettings(precision=0.01).needed
        1667
        """
        return int(1 / (6 * self.precision**2)) + 1


class Spread(Settings):
    """A number with its 68 % interval."""

    value: float
    low: float
    high: float


class Metric(Settings):
    """A distance between generated and real events beside its floor, the same between two real samples.

    Attributes:
        name: for scripts.
        title: for people.
        group: what it looks at.
        generated, floor: mean over the splits, with the spread of one comparison.
        ratio: generated over floor; None where a floor of zero (or one half) makes it senseless.
        verdict: see :data:`Verdict`.
        bar: the value up to which the verdict is ``near``.
        symmetric: of an AUC, the same of 0.5 + |AUC - 0.5|, by which it is judged; None for all others.
    """

    name: str
    title: str
    group: Group
    generated: Spread
    floor: Spread
    ratio: Spread | None
    verdict: Verdict
    bar: float
    symmetric: Spread | None = None


class Rate(Settings):
    """Fraction of events that break a rule, with Clopper-Pearson intervals.

    Attributes:
        name, title: of the rule.
        generated, real: fractions.
        generated_events, real_events: numbers of events that break it.
        verdict: ``floor`` where the intervals meet or the generated fraction is the smaller one.
    """

    name: str
    title: str
    generated: Spread
    real: Spread
    generated_events: int
    real_events: int
    verdict: Verdict


class TailPull(Settings):
    """How many generated events are in a tail of a quantity, against real events.

    Attributes:
        quantity: derived.
        low, high: quantiles of the real events between which the tail lies.
        above, below: the values there; None where there is no end.
        expected: generated events if they were real.
        seen: generated events.
        pull: difference over the statistical error of both samples.
    """

    quantity: str
    low: float
    high: float
    above: float
    below: float | None
    expected: float
    seen: int
    pull: float


class Shape(Settings):
    """Histogram of a derived quantity.

    Attributes:
        quantity: derived.
        edges: shape (bin + 1,).
        real, generated: events per bin; the outer bins hold what lies outside, but for ``m_W`` and ``m_top``.
        real_events, generated_events: all events, also those that lack the quantity.
        distance: W1 of the whole samples over the real standard deviation.
    """

    quantity: str
    edges: tuple[float, ...]
    real: tuple[int, ...]
    generated: tuple[int, ...]
    real_events: int
    generated_events: int
    distance: float


class Correlation(Settings):
    """Rank correlation of two derived quantities in both samples, and the difference over its error."""

    first: str
    second: str
    real: float
    generated: float
    pull: float


class Memorisation(Settings):
    """Whether generated events are nearer to training events than other real events are.

    Attributes:
        closer: fraction of generated events nearer to the training sample than ``quantile`` of the real ones.
        quantile: of the real distances; what ``closer`` should be.
        median_ratio: median distance of generated to training events over that of real ones.
        copies: generated events that are training events, bit by bit.
        generated_events, real_events, training_events: looked at.
        memorised: whether ``closer`` is above twice the quantile with 95 % confidence, or copies exist.
    """

    closer: Spread
    quantile: float
    median_ratio: Spread
    copies: int
    generated_events: int
    real_events: int
    training_events: int
    memorised: bool


class QuantileError(Settings):
    """Quantile errors of one quantity.

    Attributes:
        quantity: derived.
        generated, training: mean squared error of the fractions in bins of equal probability of the truth.
        equivalent: independent real events with the error of the generated sample.
    """

    quantity: str
    generated: float
    training: float
    equivalent: float


class Amplification(Settings):
    """What generated events know beyond their training sample (arXiv:2008.06545).

    Attributes:
        quantiles: bins of equal probability of the truth.
        quantities: one by one.
        factor: real events with the summed error of the generated sample, over training events; above one, generated
            events know the quantiles better than the events they were learned from.
        training_factor: the same of the training sample: one within its interval.
        training_events, generated_events, truth_events: used.
        limit: the largest factor that so much truth can show.
    """

    quantiles: int
    quantities: tuple[QuantileError, ...]
    factor: Spread
    training_factor: Spread
    training_events: int
    generated_events: int
    truth_events: int
    limit: float


class Described(Settings):
    """A sample of a validation.

    Attributes:
        role: real, generated, training or truth.
        rows: events read, weighted versions included.
        events: of weight one, drawn from them.
        origins, processes: of its samples.
        without_slot: fraction of the objects that found no slot.
        outside_masks: fraction of the events whose multiplicities ``mask_share`` leaves out.
        where: file or store.
    """

    role: Literal["real", "generated", "training", "truth"]
    rows: int
    events: int
    origins: tuple[str, ...]
    processes: tuple[str, ...]
    without_slot: float
    outside_masks: float = 0.0
    where: str = ""


class Validation(Settings):
    """Everything that a validation found.

    Attributes:
        schema_version: of this record.
        anomalon_version: that made it.
        settings: as used, ``events`` filled in.
        samples: real, generated and, where given, training and truth.
        disjoint: whether no event was in two splits; if not, intervals are too narrow.
        metrics: beside their floors.
        rates: of events that break a rule.
        tails: of derived quantities.
        shapes: for the figures.
        correlations: the largest differences.
        memorisation, amplification: where their samples were given.
        warnings: what a reader must know first.
    """

    schema_version: int = 1
    anomalon_version: str
    settings: ValidationSettings
    samples: tuple[Described, ...]
    disjoint: bool
    metrics: tuple[Metric, ...]
    rates: tuple[Rate, ...]
    tails: tuple[TailPull, ...]
    shapes: tuple[Shape, ...]
    correlations: tuple[Correlation, ...]
    memorisation: Memorisation | None = None
    amplification: Amplification | None = None
    warnings: tuple[str, ...] = ()

    def sample(self, role: str) -> Described | None:
        """The sample of a role; None where it was not given."""
        return next((sample for sample in self.samples if sample.role == role), None)

    def metric(self, name: str) -> Metric:
        """A metric by name.

        Raises:
            UnknownNameError: there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise UnknownNameError(f"no metric '{name}'; {suggest(name, [m.name for m in self.metrics])}")

    def rate(self, name: str) -> Rate:
        """A rate by name.

        Raises:
            UnknownNameError: there is none.
        """
        for rate in self.rates:
            if rate.name == name:
                return rate
        raise UnknownNameError(f"no rate '{name}'; {suggest(name, [r.name for r in self.rates])}")
