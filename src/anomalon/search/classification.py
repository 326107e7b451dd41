"""Every number of a comparison of classifiers, as records that are written as ``results.json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from anomalon.config import Settings
from anomalon.metrics.estimate import Estimate

Kind = Literal["classifier", "average", "cut", "bound"]
"""A classifier, a mean of several, one variable, or the optimum where the densities are known."""


class Sides(Settings):
    """A number of either class."""

    background: float
    signal: float


class Rejection(Settings):
    """Background that is left where a share of the signal is kept.

    Attributes:
        background_efficiency: with its interval.
        background_left: raw background events.
        gain: background left by the baseline's cut, over this; the same bootstrap replicas.
    """

    background_efficiency: Estimate
    background_left: int
    gain: Estimate


class Expected(Settings):
    """Counting experiment behind a cut that was chosen on other events.

    Attributes:
        significance: Asimov, with the relative uncertainty and the statistical error of the background.
        yields: expected events.
        uncertainty: of the background, in events.
    """

    significance: float
    yields: Sides
    uncertainty: float


class Overtraining(Settings):
    """Scores of events that a classifier has learned from, against those of events that it has not.

    Attributes:
        train_auc: mean over the folds.
        difference: training AUC minus held-out AUC, both of the same networks.
        distance: Kolmogorov-Smirnov, mean over the folds.
        p_value: of that test, median over the folds.
    """

    train_auc: float
    difference: float
    distance: Sides
    p_value: Sides


class ScoreHistogram(Settings):
    """Density of the classifier's own probability per bin, in training and held out."""

    edges: tuple[float, ...]
    train_background: tuple[float, ...]
    train_signal: tuple[float, ...]
    test_background: tuple[float, ...]
    test_signal: tuple[float, ...]
    test_background_error: tuple[float, ...]
    test_signal_error: tuple[float, ...]


class Reliability(Settings):
    """Whether probabilities are fractions of signal, classes counting the same, on held-out events.

    Attributes:
        predicted, observed: mean probability and fraction of signal per bin of equal width, calibrated.
        error, raw_error: mean distance of the two over the events, calibrated and as the classifier gives it.
        brier, raw_brier: mean squared distance from the label, likewise.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    error: float
    raw_error: float
    brier: float
    raw_brier: float


class Importance(Settings):
    """Held-out AUC lost when one input is shuffled: mean and standard deviation over repetitions."""

    name: str
    loss: float
    spread: float


class RocPoints(Settings):
    """A thinned ROC curve."""

    background_efficiency: tuple[float, ...]
    signal_efficiency: tuple[float, ...]


class ClassifierResult(Settings):
    """One classifier, one average of several or one cut.

    Attributes:
        name: in tables.
        kind: what it is.
        title: what it is made of, in a few words.
        inputs: names of the features that it sees.
        auc: on test events.
        accuracy: mean of the efficiencies of the right answers, at the best cut, chosen on other events.
        best_cut: mean over the folds, in units of the score or variable.
        fixed_accuracy: the same at a fixed cut: probability one half, or the number that the configuration gives.
        fixed_cut: that number.
        single_accuracies: of the networks of the folds one by one, where test events are separate.
        auc_gain: AUC minus that of the best cut on one variable, with its 95 % interval.
        accuracy_gain: accuracy minus that of the best cut, with its 95 % interval, on the same events.
        rejection: background at a fixed share of the signal.
        expected: behind the cut of the highest significance; None without normalised samples.
        seconds: of all fits.
    """

    name: str
    kind: Kind
    title: str
    inputs: tuple[str, ...]
    auc: Estimate
    accuracy: Estimate
    best_cut: float
    fixed_accuracy: Estimate | None
    fixed_cut: float | None
    single_accuracies: tuple[float, ...]
    auc_gain: Estimate | None
    accuracy_gain: Estimate | None
    rejection: Rejection
    expected: Expected | None
    overtraining: Overtraining | None
    histogram: ScoreHistogram | None
    reliability: Reliability | None
    importance: tuple[Importance, ...]
    roc: RocPoints
    seconds: float


class Classification(Settings):
    """Everything that ``anomalon classify`` finds.

    Attributes:
        title: of the configuration.
        config: as it was given.
        learned: events of either class that were learned from, in folds.
        tested: events of either class that were judged.
        left_out: events with a value that is not finite.
        expected: yields of all events, where samples are normalised.
        baseline: name of the row that rejections are compared with.
        best_variable: name of the row of the best single variable.
        optimum: accuracy of the optimal rule, integrated over the densities, where these are known.
        signal_efficiency: at which rejections are given.
        results: rows of the table.
    """

    anomalon: str
    title: str
    config: dict[str, Any]
    learned: Sides
    tested: Sides
    left_out: int
    expected: Sides | None
    baseline: str
    best_variable: str
    optimum: float | None
    signal_efficiency: float
    results: tuple[ClassifierResult, ...]

    def result(self, name: str) -> ClassifierResult:
        """The row of a name."""
        return next(result for result in self.results if result.name == name)


def header(found: Classification) -> tuple[str, ...]:
    """Columns of the table; those that would be empty are left out."""
    optimum = () if found.optimum is None else ("below optimum",)
    expected = () if found.expected is None else ("Z",)
    left = f"left at {100 * found.signal_efficiency:g} % signal"
    return (
        "classifier", "inputs", "AUC", "best accuracy", "at fixed cut", *optimum, left, f"{found.baseline} leaves x",
        *expected, "overfit AUC", "KS p (b, s)", "s",
    )  # fmt: skip


def rows(found: Classification) -> Iterator[tuple[str, ...]]:
    """Rows of the table as text, in the order of :func:`header`."""
    for one in found.results:
        optimum = () if found.optimum is None else (f"{100 * (found.optimum - one.accuracy.value):.2f} %",)
        z = "-" if one.expected is None else f"{one.expected.significance:.2f}"
        over, left = one.overtraining, one.rejection
        yield (
            one.name, str(len(one.inputs)), with_error(one.auc), with_error(one.accuracy), _fixed(one), *optimum,
            f"{100 * left.background_efficiency.value:.3g} % ({left.background_left})", _gain(left.gain),
            *(() if found.expected is None else (z,)),
            "-" if over is None else f"{over.difference:+.3f}",
            "-" if over is None else f"{over.p_value.background:.2g}, {over.p_value.signal:.2g}",
            f"{one.seconds:.0f}" if one.seconds else "-",
        )  # fmt: skip


def as_markdown(found: Classification) -> str:
    """The tables as Markdown."""
    table = _table(header(found), rows(found))
    return "\n".join([*introduction(found), "", *table, "", *importance_lines(found)]) + "\n"


def introduction(found: Classification) -> list[str]:
    """What was learned from and judged."""
    lines = [f"Learned from {_numbers(found.learned)} events (background, signal); judged on {_numbers(found.tested)}."]
    if found.expected is not None:
        b, s = found.expected.background, found.expected.signal
        lines.append(f"Expected: {b:,.0f} background and {s:,.1f} signal events.")
    if found.optimum is not None:
        lines.append(f"Accuracy of the optimal rule, from the densities: {found.optimum:.5f}.")
    best = found.result(found.best_variable)
    lines.append(f"Best cut on one variable: {best.title}.")
    if found.left_out:
        lines.append(f"{found.left_out:,} events with a value that is not finite were left out.")
    return lines


def importance_lines(found: Classification, most: int = 6) -> list[str]:
    """The inputs that matter, a line per classifier."""
    lines = []
    for one in found.results:
        told = ", ".join(f"{item.name} {item.loss:.3f}" for item in one.importance[:most])
        lines += [f"- {one.name}: {told}"] if told else []
    return ["AUC lost when an input is shuffled:", "", *lines] if lines else []


def with_error(estimate: Estimate) -> str:
    """A fraction with the half width of its interval.

    >>> with_error(Estimate(value=0.71234, low=0.7092, high=0.7154))
    '0.7123 ± 0.0031'
    """
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    half = 0.5 * (estimate.high - estimate.low)
    decimals = 4 if half >= 5e-4 else 5
    return f"{estimate.value:.{decimals}f} ± {half:.{decimals}f}"


def _fixed(one: ClassifierResult) -> str:
    return "-" if one.fixed_accuracy is None else with_error(one.fixed_accuracy)


def _gain(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} ({estimate.low:.2g} to {estimate.high:.2g})"


def _numbers(sides: Sides) -> str:
    return f"{sides.background:,.0f} and {sides.signal:,.0f}"


def _table(names: Sequence[str], lines: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for cells in (names, ("---",) * len(names), *lines):
        yield "| " + " | ".join(cells) + " |"
