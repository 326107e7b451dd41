"""Can a classifier tell two samples? And would it, at this sample size, have seen the untreated difference?

AUC of held-out events by boosted trees, one half where it cannot (Lopez-Paz, Oquab, arXiv:1610.06545). Near one half it
proves nothing before the power is shown: the same test on the untreated samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from anomalon.config import Settings
from anomalon.errors import EmptySelectionError
from anomalon.events import Events
from anomalon.metrics import auc, effective_number
from anomalon.style.objects import Values
from anomalon.style.variables import normalised_weights, table

FOLDS = 5
_BINS = 200
_FEWEST = 20 * FOLDS


class TwoSampleTest(Settings):
    """Result of a two-sample test.

    Attributes:
        auc: of held-out events.
        error: its standard deviation where the samples do not differ, sqrt((n + m + 1) / (12 n m)) (Mann, Whitney
        1947). events: effective numbers of events of the two samples.
    """

    auc: float
    error: float
    events: tuple[float, float]

    @property
    def significance(self) -> float:
        """Standard deviations of the AUC above one half."""
        return (self.auc - 0.5) / self.error


def two_sample_test(first: Events, second: Events, *, most: int | None = None, seed: int = 0) -> TwoSampleTest:
    """Cross-validated test of two samples on :func:`anomalon.style.variables.table`.

    Args:
        first: events of one sample.
        second: of the other; different events, or the test sees pairs.
        most: so many events of each are used at most, the first ones.
        seed: of folds and trees.

    Raises:
        EmptySelectionError: a sample has too few events.
    """
    samples = [events[:most] if most else events for events in (first, second)]
    if min(map(len, samples)) < _FEWEST:
        raise EmptySelectionError(
            f"two-sample test: samples of {len(first)} and {len(second)} events, at least {_FEWEST} each are needed"
        )
    values, labels, weights = _stacked(samples)
    rng = np.random.default_rng([seed, 3])
    fold = np.concatenate([rng.permutation(np.arange(len(events)) % FOLDS) for events in samples])
    areas = [_held_out(values, labels, weights, fold == k, seed) for k in range(FOLDS)]
    n, m = (effective_number(weights[labels == label]) for label in (0, 1))
    return TwoSampleTest(auc=float(np.mean(areas)), error=float(np.sqrt((n + m + 1) / (12 * n * m))), events=(n, m))


def _stacked(samples: list[Events]) -> tuple[Values, Any, Values]:
    tables = [table(events) for events in samples]
    common = [name for name in tables[0][0] if name in tables[1][0]]
    values = np.concatenate([t[:, [names.index(name) for name in common]] for names, t in tables])
    labels = np.repeat([0, 1], [len(events) for events in samples])
    spread = np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=0) > np.nanmin(
        np.where(np.isnan(values), np.inf, values), axis=0
    )
    return _ranked(values[:, spread]), labels, np.concatenate([normalised_weights(events) for events in samples])


def _ranked(values: Values) -> Values:
    """Values as numbers of bins, equally filled, NaN kept: with weights, trees would bin them far more slowly."""
    ranked = np.full_like(values, np.nan)
    for column, out in zip(values.T, ranked.T, strict=True):
        there = ~np.isnan(column)
        edges = np.unique(np.quantile(column[there], np.arange(1, _BINS) / _BINS))
        out[there] = np.searchsorted(edges, column[there], side="right")
    return ranked


def _held_out(values: Values, labels: Any, weights: Values, test: Any, seed: int) -> float:
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=12, min_samples_leaf=40, l2_regularization=1.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    with threadpool_limits(1):
        model.fit(values[~test], labels[~test], sample_weight=weights[~test])
        score = np.asarray(model.decision_function(values[test]), dtype=np.float64)
    one, w = labels[test] == 1, weights[test]
    return auc(score[~one], score[one], background_weights=w[~one], signal_weights=w[one])
