"""Rows of scores to rows of results: every cut is chosen on other events than it judges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

import anomalon
from anomalon.models.probabilities import ProbabilityMap
from anomalon.pipeline.classification_configuration import BEST_CUT, ClassificationConfig
from anomalon.pipeline.classification_rows import Row, learned_scores, tested_scores
from anomalon.pipeline.classification_samples import Classes
from anomalon.pipeline.progress import Progress
from anomalon.search import classification_measures as measures
from anomalon.search.classification import Classification, ClassifierResult, Expected, Sides
from anomalon.search.classification_measures import Judged, Replicas, Scored

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def judge(rows: Sequence[Row], classes: Classes, config: ClassificationConfig, progress: Progress) -> Classification:
    """Judge all rows on the same events and the same replicas of them."""
    progress.start("judge", len(rows))
    court = _Court(classes, config, rows)
    results = []
    for number, row in enumerate(rows, 1):
        results.append(court.result(row))
        progress.update(number)
    return Classification(
        anomalon=anomalon.__version__,
        title=config.title,
        config=config.model_dump(mode="json"),
        learned=_counts(classes.learned.labels),
        tested=_counts(classes.tested.labels),
        left_out=classes.left_out,
        expected=_yields(classes) if classes.normalised else None,
        baseline=config.baseline_name,
        best_variable=BEST_CUT,
        optimum=classes.optimum,
        signal_efficiency=config.signal_efficiency,
        results=tuple(results),
    )


class _Court:
    """What all rows are compared with: the best cut, and the baseline's rejection."""

    def __init__(self, classes: Classes, config: ClassificationConfig, rows: Sequence[Row]) -> None:
        self.classes, self.config = classes, config
        best = next(row for row in rows if row.name == BEST_CUT)
        self.best_right, self.best_replicas = self._right(self._judged(best)), self._replicas(best)
        self.baseline = self._replicas(next(row for row in rows if row.name == config.baseline_name))

    def result(self, row: Row) -> ClassifierResult:
        """Everything that is measured of one row."""
        judged, own = self._judged(row), self._replicas(row)
        tested, cuts = judged.tested, self._best(judged)
        right = measures.correct(tested, cuts)
        fixed, probability = self._fixed(row, judged)
        best = row.name == BEST_CUT
        gain = measures.interval(own.auc - self.best_replicas.auc, 0.95)
        learned = row.trained is not None
        return ClassifierResult(
            name=row.name,
            kind=row.kind,
            title=row.title,
            inputs=row.inputs,
            auc=measures.interval(own.auc),
            accuracy=measures.accuracy(tested, right),
            best_cut=float(cuts.mean()),
            fixed_accuracy=None if fixed is None else measures.accuracy(tested, fixed),
            fixed_cut=row.fixed if row.kind == "cut" else 0.5,
            single_accuracies=self._singles(row, judged),
            auc_gain=None if best else gain,
            accuracy_gain=None if best else measures.accuracy_difference(tested, right, self.best_right),
            rejection=measures.rejection(tested, own, self.baseline, self.config.signal_efficiency),
            expected=self._expected(judged),
            overtraining=measures.overtraining(judged.chosen_on, row.trained) if row.trained is not None else None,
            histogram=measures.histogram(judged.chosen_on, row.trained) if row.trained is not None else None,
            reliability=measures.reliability(tested, probability) if learned and probability is not None else None,
            importance=row.importance,
            roc=measures.roc(tested),
            seconds=row.seconds,
        )

    def _judged(self, row: Row) -> Judged:
        return Judged(learned_scores(self.classes, row.held), tested_scores(self.classes, row.tested))

    def _replicas(self, row: Row) -> Replicas:
        return measures.replicated(
            tested_scores(self.classes, row.tested), signal_efficiency=self.config.signal_efficiency,
            number=self.config.replicas, seed=self.config.seed,
        )  # fmt: skip

    def _best(self, judged: Judged) -> Floats:
        return judged.cuts(lambda scored, _: measures.best_accuracy_cut(scored)[0])

    def _right(self, judged: Judged) -> Mask:
        return measures.correct(judged.tested, self._best(judged))

    def _fixed(self, row: Row, judged: Judged) -> tuple[Mask | None, Floats | None]:
        """Right answers at the fixed cut, and the calibrated probabilities where there are any."""
        if row.fixed is not None:
            return measures.correct(judged.tested, row.fixed), None
        if row.kind == "cut":
            return None, None
        probability = self._probability(judged)
        return (probability >= 0.5) == (judged.tested.labels == 1), probability

    def _probability(self, judged: Judged) -> Floats:
        """Probabilities (event,) of test events from maps fitted on other folds."""
        found = np.empty(len(judged.tested.score))
        for group in np.unique(judged.tested.group):
            pool, rows = judged.chosen_on, judged.tested.group == group
            pool = pool[pool.group != group]
            fitted = ProbabilityMap.fit(pool.score, pool.labels, pool.weights, self.config.probabilities)
            found[rows] = fitted(judged.tested.score[rows])
        return found

    def _singles(self, row: Row, judged: Judged) -> tuple[float, ...]:
        """Accuracies of the folds' classifiers one by one on separate test events, at their own best cuts."""
        found = []
        for fold, scores in enumerate(row.singles if row.singles is not None else ()):
            cut, _ = measures.best_accuracy_cut(judged.chosen_on[judged.chosen_on.group == fold])
            tested = Scored(scores, judged.tested.labels, judged.tested.weights, judged.tested.group)
            found.append(measures.accuracy(tested, measures.correct(tested, cut)).value)
        return tuple(found)

    def _expected(self, judged: Judged) -> Expected | None:
        if not self.classes.normalised:
            return None
        return measures.expected(judged, self.config.background_uncertainty)


def _counts(labels: npt.NDArray[np.int64]) -> Sides:
    return Sides(background=float((labels == 0).sum()), signal=float((labels == 1).sum()))


def _yields(classes: Classes) -> Sides:
    w, labels = classes.tested.weights, classes.tested.labels
    return Sides(background=float(w[labels == 0].sum()), signal=float(w[labels == 1].sum()))
