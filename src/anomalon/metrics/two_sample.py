"""Classifier two-sample tests: can a classifier that never saw an event tell which of two samples it is from?

AUC of held-out events, mean over the folds of a cross-validation; one half means that it cannot. Near one half it
proves nothing before its power is shown: that the same test, at the same sample size, sees a difference that is there.
Ref: Lopez-Paz, Oquab, arXiv:1610.06545.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from anomalon.config import Settings
from anomalon.errors import EmptySelectionError
from anomalon.metrics import auc, effective_number

Floats = npt.NDArray[np.float64]
Score = Callable[[Floats], Floats]
"""From columns (event, column) to scores (event,)."""
Learner = Callable[[Floats, npt.NDArray[np.int64], Floats | None, int], Score]
"""From columns, labels 0 and 1, weights and a seed to a score."""

FOLDS = 5
FEWEST = 20 * FOLDS
"""Events that each sample needs for a test of :data:`FOLDS` folds."""
_BINS = 200


class TwoSampleTest(Settings):
    """Result of a two-sample test.

    Attributes:
        auc: of held-out events.
        error: its standard deviation where the samples do not differ, of :func:`chance_error`.
        events: effective numbers of events of the two samples.
    """

    auc: float
    error: float
    events: tuple[float, float]

    @property
    def significance(self) -> float:
        """Standard deviations of the AUC above one half."""
        return (self.auc - 0.5) / self.error


def two_sample_test(
    first: Floats, second: Floats, *, weights: tuple[Floats, Floats] | None = None, seed: int = 0
) -> TwoSampleTest:
    """Cross-validated test of two tables of the same columns by boosted trees.

    Args:
        first: columns of one sample, NaN where missing, shape (event, column).
        second: of the other; different events, or the test sees pairs.
        weights: positive weights of the events of both.
        seed: of folds and trees.

    Raises:
        EmptySelectionError: a sample has too few events.
    """
    if min(len(first), len(second)) < FEWEST:
        raise EmptySelectionError(
            f"two-sample test: samples of {len(first)} and {len(second)} events, at least {FEWEST} each are needed"
        )
    area = held_out_auc(first, second, learner=_trees, weights=weights, seed=seed)
    sizes = weights or (np.ones(len(first)), np.ones(len(second)))
    n, m = (effective_number(w) for w in sizes)
    return TwoSampleTest(auc=area, error=chance_error(n, m), events=(n, m))


def held_out_auc(
    first: Floats,
    second: Floats,
    *,
    learner: Learner,
    weights: tuple[Floats, Floats] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> float:
    """Mean AUC over the folds, each scored by a classifier that was trained on the others.

    Args:
        first: columns of one sample, NaN where missing, shape (event, column).
        second: of the other.
        learner: trains the classifier, on columns that vary among the events that it is shown.
        weights: positive weights of the events of both.
        folds: of the cross-validation.
        seed: of folds and classifier.
    """
    values = np.concatenate([first, second])
    labels = np.repeat([0, 1], [len(first), len(second)])
    w = None if weights is None else np.concatenate(weights)
    rng = np.random.default_rng([seed, 2])
    fold = np.concatenate([rng.permutation(np.arange(n) % folds) for n in (len(first), len(second))])
    with threadpool_limits(1):  # threads that wait for each other beside a busy process take longer than one
        areas = [_fold_auc(values, labels, w, fold == k, learner=learner, seed=seed) for k in range(folds)]
    return float(np.mean(areas))


def chance_error(n: float, m: float) -> float:
    """Standard deviation of the AUC of two samples that do not differ, sqrt((n + m + 1) / (12 n m)).

    Ref: Mann, Whitney 1947.

    >>> round(chance_error(100, 100), 4)
    0.0409
    """
    return float(np.sqrt((n + m + 1) / (12 * n * m)))


def boosted_trees(values: Floats, labels: Any, weights: Floats | None, **settings: Any) -> Score:
    """Log odds by boosted trees; missing values have a branch of their own."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 slow to import

    model = HistGradientBoostingClassifier(l2_regularization=1.0, **settings).fit(values, labels, sample_weight=weights)
    return lambda x: np.asarray(model.decision_function(x), dtype=np.float64)


def _trees(values: Floats, labels: Any, weights: Floats | None, seed: int) -> Score:
    edges = [np.unique(np.quantile(c[~np.isnan(c)], np.arange(1, _BINS) / _BINS)) for c in values.T]
    score = boosted_trees(
        _ranked(values, edges), labels, weights, max_iter=150, learning_rate=0.06, max_leaf_nodes=12,
        min_samples_leaf=40, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return lambda x: score(_ranked(x, edges))


def _ranked(values: Floats, edges: list[Floats]) -> Floats:
    """Values as numbers of bins, equally filled, NaN kept: with weights, trees would bin them far more slowly."""
    ranked = np.full_like(values, np.nan)
    for column, out, cuts in zip(values.T, ranked.T, edges, strict=True):
        there = ~np.isnan(column)
        out[there] = np.searchsorted(cuts, column[there], side="right")
    return ranked


def _fold_auc(values: Floats, labels: Any, weights: Floats | None, test: Any, *, learner: Learner, seed: int) -> float:
    w = np.ones(len(labels)) if weights is None else weights
    use = _varying(values[~test])
    score = learner(values[~test][:, use], labels[~test], None if weights is None else w[~test], seed)
    scores = score(values[test][:, use])
    one, held = labels[test] == 1, w[test]
    return auc(scores[~one], scores[one], background_weights=held[~one], signal_weights=held[one])


def _varying(values: Floats) -> npt.NDArray[np.bool_]:
    """Columns with more than one finite value: one that never varies tells nothing, and trees refuse empty ones."""
    finite = np.isfinite(values)
    low, high = np.where(finite, values, np.inf).min(axis=0), np.where(finite, values, -np.inf).max(axis=0)
    return np.asarray(low < high)
