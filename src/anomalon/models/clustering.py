"""Clustering: events far from every cluster of the background are anomalous."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from anomalon.batches import Batches, gather, resample
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.models.storage import load_estimator, save_estimator
from anomalon.models.threads import threads_for
from anomalon.training import TrainingRun

ESTIMATOR = "estimator.skops"


class KMeansSettings(ModelSettings):
    """k-means.

    Attributes:
        clusters: number of centres.
        starts: the best of so many random starts is kept.
    """

    clusters: int = Field(default=8, ge=1)
    starts: int = Field(default=4, ge=1)


class KMeansDistance(Scorer):
    """k-means; the score is the distance to the nearest centre."""

    Settings: ClassVar[type[ModelSettings]] = KMeansSettings
    kind = "kmeans"
    settings: KMeansSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        s = self.settings
        clusters = min(s.clusters, len(np.unique(values, axis=0)))
        self.estimator = KMeans(clusters, n_init=s.starts, random_state=s.seed)
        with threads_for(values.size):
            self.estimator.fit(values.astype(np.float64), sample_weight=np.abs(weights))

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(self.estimator.transform(x.astype(np.float64)).min(axis=1), dtype=np.float64)

    def _explain(self, x: Inputs) -> Floats:
        """Squared distance to the nearest centre along each input: the columns add up to the score squared."""
        nearest = self.estimator.predict(x.astype(np.float64))
        return np.asarray((x - self.estimator.cluster_centers_[nearest]) ** 2, dtype=np.float64)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.estimator = load_estimator(folder / ESTIMATOR, KMeans)


class GaussianMixtureSettings(ModelSettings):
    """Gaussian mixture.

    Attributes:
        components: number of Gaussians.
        covariance: their shape.
        regularisation: added to the variances: keeps a Gaussian from shrinking onto one event.
        starts: the best of so many random starts is kept.
    """

    components: int = Field(default=5, ge=1)
    covariance: Literal["full", "tied", "diag", "spherical"] = "full"
    regularisation: float = Field(default=1e-3, gt=0)
    starts: int = Field(default=1, ge=1)


class GaussianMixtureLikelihood(Scorer):
    """Gaussian mixture; the score is minus the log likelihood. Learns from a resample by absolute weight."""

    Settings: ClassVar[type[ModelSettings]] = GaussianMixtureSettings
    kind = "gaussian-mixture"
    settings: GaussianMixtureSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        s = self.settings
        self.estimator = GaussianMixture(
            s.components,
            covariance_type=s.covariance,
            reg_covar=s.regularisation,
            n_init=s.starts,
            max_iter=300,
            random_state=s.seed,
        )
        with threads_for(values.size):
            self.estimator.fit(values[resample(weights, s.seed)].astype(np.float64))

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(-self.estimator.score_samples(x.astype(np.float64)), dtype=np.float64)

    def _explain(self, x: Inputs) -> Floats:
        """Squared distance along each input from the mean of the likeliest Gaussian, in its variances."""
        component = self.estimator.predict(x.astype(np.float64))
        variances = self._variances()
        return np.asarray((x - self.estimator.means_[component]) ** 2 / variances[component], dtype=np.float64)

    def _variances(self) -> Floats:
        """Variance of every Gaussian along every input, (component, input)."""
        covariances, shape = self.estimator.covariances_, self.estimator.means_.shape
        shapes: dict[str, Callable[[], Floats]] = {
            "full": lambda: np.diagonal(covariances, axis1=1, axis2=2),
            "tied": lambda: np.diagonal(covariances)[None, :],
            "diag": lambda: covariances,
            "spherical": lambda: covariances[:, None],
        }
        return np.broadcast_to(shapes[self.settings.covariance](), shape)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.estimator = load_estimator(folder / ESTIMATOR, GaussianMixture)
