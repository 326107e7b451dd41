"""Classifier two-sample tests: how well a classifier that never saw an event can tell whether it is generated.

AUC of held-out events, mean over the folds of a cross-validation; one half means that it cannot. By chance a held-out
AUC is below one half as often as above: the symmetrised 0.5 + |AUC - 0.5| is a distance, its floor above one half.
Ref: Lopez-Paz, Oquab, arXiv:1610.06545.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from anomalon.generation.columns import columns
from anomalon.generation.flatten import Floats
from anomalon.generation.splits import Measure, Prepared
from anomalon.generation.validation import Judge, View
from anomalon.metrics import auc

NEAR_HALF = 0.55
"""AUC up to which a verdict is ``near``."""
_TITLES = {"boosting": "gradient boosting", "mlp": "MLP"}
_FAR = 8.0
"""Standard deviations beyond which the MLP sees no difference: tails would dominate its gradients."""


def two_sample_test(judge: Judge, view: View = "judge", folds: int = 2) -> Measure:
    """The measure of one classifier, ``auc_<judge>``."""
    name = f"auc_{judge}"

    def compute(real: Prepared, generated: Prepared, seed: int) -> dict[str, float]:
        a, b = (columns(sample.arrays, sample.derived, view).values for sample in (real, generated))
        return {name: held_out_auc(a, b, judge=judge, folds=folds, seed=seed)}

    return Measure(compute, {name: f"AUC of {_TITLES[judge]}"}, "judges", {name: NEAR_HALF}, kind="auc")


def held_out_auc(real: Floats, generated: Floats, *, judge: Judge, folds: int = 2, seed: int = 0) -> float:
    """Mean AUC over the folds, each scored by a classifier that was trained on the others.

    Args:
        real: columns of real events, NaN where missing, shape (event, column).
        generated: of generated events.
        judge: ``boosting`` or ``mlp``.
        folds: of the cross-validation.
        seed: of folds and classifier.
    """
    values = np.concatenate([real, generated])
    labels = np.repeat([0, 1], [len(real), len(generated)])
    rng = np.random.default_rng([seed, 2])
    fold = np.concatenate([rng.permutation(np.arange(n) % folds) for n in (len(real), len(generated))])
    return float(np.mean([_fold_auc(values, labels, fold == k, judge, seed) for k in range(folds)]))


def _fold_auc(values: Floats, labels: npt.NDArray[np.int64], held_out: Any, judge: Judge, seed: int) -> float:
    score = _trained(judge, values[~held_out], labels[~held_out], seed)(values[held_out])
    kept = labels[held_out]
    return auc(score[kept == 0], score[kept == 1])


def _trained(judge: Judge, values: Floats, labels: npt.NDArray[np.int64], seed: int) -> Callable[[Floats], Floats]:
    with threadpool_limits(1):  # threads that wait for each other beside a busy process take longer than one
        return (_boosting if judge == "boosting" else _mlp)(values, labels, seed)


def _boosting(values: Floats, labels: npt.NDArray[np.int64], seed: int) -> Callable[[Floats], Floats]:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 slow to import

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.08, max_leaf_nodes=16, l2_regularization=1.0, early_stopping=True,
        validation_fraction=0.15, n_iter_no_change=15, random_state=seed,
    )  # fmt: skip
    use = _varying(values)
    model.fit(values[:, use], labels)
    return lambda x: np.asarray(model.decision_function(x[:, use]), dtype=np.float64)


def _varying(values: Floats) -> npt.NDArray[np.bool_]:
    """Columns with more than one finite value: a slot that no event fills tells nothing, and trees refuse it."""
    finite = np.isfinite(values)
    low, high = np.where(finite, values, np.inf).min(axis=0), np.where(finite, values, -np.inf).max(axis=0)
    return np.asarray(low < high)


def _mlp(values: Floats, labels: npt.NDArray[np.int64], seed: int) -> Callable[[Floats], Floats]:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 slow to import
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    scaled = _scaling(values)
    model = MLPClassifier(
        (64, 64), batch_size=min(256, len(values) // 4), learning_rate_init=2e-3, alpha=1e-3, max_iter=30,
        early_stopping=True, validation_fraction=0.15, n_iter_no_change=6, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops early or after a fixed time, on purpose
        model.fit(scaled(values), labels)
    return lambda x: np.asarray(model.predict_proba(scaled(x))[:, 1], dtype=np.float64)


def _scaling(values: Floats) -> Callable[[Floats], Floats]:
    """Zero mean, unit width, missing values at the mean with a column that tells; columns that vary alone."""
    n = np.maximum(np.isfinite(values).sum(axis=0), 1)
    mean = np.where(np.isfinite(values), values, 0.0).sum(axis=0) / n
    width = np.sqrt(np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0) / n)
    use, gaps = width > 0, ~np.isfinite(values).all(axis=0)

    def scaled(x: Floats) -> Floats:
        z = np.where(np.isfinite(x[:, use]), (x[:, use] - mean[use]) / width[use], 0.0)
        return np.hstack([np.clip(z, -_FAR, _FAR), ~np.isfinite(x[:, gaps])]).astype(np.float32)

    return scaled
