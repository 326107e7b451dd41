"""Two-sample tests among the measures of a generator: trees and a small network as judges, see the metrics' own page.

By chance a held-out AUC is below one half as often as above: the symmetrised 0.5 + |AUC - 0.5| is a distance, its floor
above one half.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from anomalon.generation.columns import columns
from anomalon.generation.flatten import Floats
from anomalon.generation.splits import Measure, Prepared
from anomalon.generation.validation import Judge, View
from anomalon.metrics.two_sample import Learner, Score, boosted_trees, held_out_auc

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
        return {name: held_out_auc(a, b, learner=LEARNERS[judge], folds=folds, seed=seed)}

    return Measure(compute, {name: f"AUC of {_TITLES[judge]}"}, "judges", {name: NEAR_HALF}, kind="auc")


def _boosting(values: Floats, labels: npt.NDArray[np.int64], weights: Floats | None, seed: int) -> Score:
    return boosted_trees(
        values, labels, weights, max_iter=200, learning_rate=0.08, max_leaf_nodes=16, early_stopping=True,
        validation_fraction=0.15, n_iter_no_change=15, random_state=seed,
    )  # fmt: skip


def _mlp(values: Floats, labels: npt.NDArray[np.int64], weights: Floats | None, seed: int) -> Score:  # noqa: ARG001
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


LEARNERS: dict[Judge, Learner] = {"boosting": _boosting, "mlp": _mlp}
