"""Models where the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from anomalon.errors import ConfigError
from anomalon.models.autoencoder import Autoencoder, AutoencoderSettings
from anomalon.models.clustering import (
    GaussianMixtureLikelihood,
    GaussianMixtureSettings,
    KMeansDistance,
    KMeansSettings,
)
from anomalon.models.single_variable import SingleVariable, SingleVariableSettings

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_linear_autoencoder_is_a_principal_component_analysis() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(1000, 4)) * [3.0, 2.0, 0.5, 0.3]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    values = (values - values.mean(axis=0)).astype(np.float32)
    settings = AutoencoderSettings.parse(
        {
            "hidden": [],
            "code": 2,
            "training": {
                "epochs": 150,
                "batch_size": 100,
                "learning_rate": 0.02,
                "weight_decay": 0,
                "schedule": "cosine",
            },
        }
    )
    pca = PCA(2).fit(values)
    known = ((pca.inverse_transform(pca.transform(values)) - values) ** 2).mean(axis=1)
    scores = Autoencoder(settings).fit(values).score(values)
    assert scores.mean() == pytest.approx(known.mean(), rel=0.02)
    assert np.corrcoef(scores, known)[0, 1] > 0.99


def test_one_gaussian_has_the_likelihood_of_a_gaussian() -> None:
    values = np.random.default_rng(1).normal(size=(200_000, 2)) * [1.0, 2.0]
    scorer = GaussianMixtureLikelihood(GaussianMixtureSettings(components=1)).fit(values)
    at = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]])
    known = np.log(2 * np.pi * 2.0) + 0.5 * np.array([0.0, 2.0, 9.0])
    np.testing.assert_allclose(scorer.score(at), known, atol=0.05)
    np.testing.assert_allclose(scorer.explain(at), [[0, 0], [1, 1], [9, 0]], atol=0.2)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_every_shape_of_covariance_explains_in_units_of_its_variance(covariance: str) -> None:
    values = np.random.default_rng(1).normal(size=(5000, 2)) * 3.0
    settings = GaussianMixtureSettings.parse({"components": 1, "covariance": covariance})
    explained = GaussianMixtureLikelihood(settings).fit(values).explain([[3.0, 6.0]])
    np.testing.assert_allclose(explained, [[1, 4]], rtol=0.2)


def test_a_weighted_gaussian_follows_the_weights() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0, 1, (2000, 1)), rng.normal(6, 1, (2000, 1))])
    scorer = GaussianMixtureLikelihood(GaussianMixtureSettings(components=2))
    scorer.fit((values, np.repeat([9.0, -1.0], 2000)))
    density = np.exp(-scorer.score([[0.0], [6.0]]))
    assert density[0] / density[1] == pytest.approx(9, rel=0.2)


def test_kmeans_scores_the_distance_to_the_nearest_centre() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 0.1, (200, 2)), rng.normal(10, 0.1, (200, 2))])
    scorer = KMeansDistance(KMeansSettings(clusters=2)).fit(values)
    at = np.array([[3.0, 4.0], [10.0, 12.0]])
    np.testing.assert_allclose(scorer.score(at), [5, 2], atol=0.1)
    explained = scorer.explain(at)
    assert explained is not None
    np.testing.assert_allclose(explained.sum(axis=1), scorer.score(at) ** 2, rtol=1e-6)


def test_kmeans_uses_no_more_centres_than_there_are_different_events() -> None:
    values = np.repeat([[0.0], [1.0]], 20, axis=0)
    np.testing.assert_allclose(KMeansDistance().fit(values).score([[3.0]]), [2.0])


def test_the_autoencoders_explanation_adds_up_to_its_score() -> None:
    values = np.random.default_rng(4).normal(size=(200, 3))
    settings = AutoencoderSettings.parse({"code": 1, "training": {"epochs": 2}})
    scorer = Autoencoder(settings).fit(values)
    explained = scorer.explain(values)
    assert explained is not None
    np.testing.assert_allclose(explained.sum(axis=1), scorer.score(values), rtol=1e-6)
    code = scorer.encode(values)
    assert code is not None
    assert code.shape == (200, 1)


@pytest.mark.parametrize("error", ["mse", "smooth-l1", "mae"])
def test_the_logarithmic_score_is_that_of_the_summed_error(error: str) -> None:
    values = np.random.default_rng(4).normal(size=(200, 3)).astype(np.float32)
    both = {"code": 1, "error": error, "training": {"epochs": 2}}
    plain, logarithmic = (
        Autoencoder(AutoencoderSettings.parse({**both, "scale": scale})).fit(values) for scale in ("mean", "log10-sum")
    )
    given = plain.reconstruct(values)
    assert given is not None
    size = np.abs(given.astype(np.float64) - values)
    slow = {"mse": size**2, "mae": size, "smooth-l1": np.where(size < 1, 0.5 * size**2, size - 0.5)}[error]
    np.testing.assert_allclose(plain.score(values), slow.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(logarithmic.score(values), np.log10(slow.sum(axis=1)), rtol=1e-6)
    np.testing.assert_array_equal(logarithmic.explain(values), plain.explain(values))


def test_a_perfect_reconstruction_has_a_finite_logarithmic_score() -> None:
    settings = {"code": 1, "hidden": [], "scale": "log10-sum", "training": {"epochs": 1}}
    scorer = Autoencoder(AutoencoderSettings.parse(settings)).fit(np.zeros((30, 2)))
    for parameter in scorer.network.parameters():
        torch.nn.init.zeros_(parameter)
    assert scorer.score([[0.0, 0.0], [1.0, 3.0]]).tolist() == [-20.0, 1.0]


def test_a_far_outlier_does_not_overflow_the_error() -> None:
    values = np.random.default_rng(4).normal(size=(200, 3))
    scorer = Autoencoder(AutoencoderSettings.parse({"training": {"epochs": 1}})).fit(values)
    far = scorer.score(np.array([[1e6, 0, 0], [1e25, 0, 0]]))
    assert np.isfinite(far).all()
    assert far[0] < far[1]


def test_the_autoencoders_validation_sample_decides_when_it_stops() -> None:
    values = np.random.default_rng(5).normal(size=(200, 3))
    settings = AutoencoderSettings.parse({"training": {"epochs": 5}})
    record = Autoencoder(settings).fit(values, values[:50]).record
    assert record is not None
    assert len(record.validation_losses) == 5


def test_two_different_seeds_in_an_autoencoder_are_refused() -> None:
    with pytest.raises(ConfigError, match="detector's own seed"):
        AutoencoderSettings.parse({"seed": 1, "training": {"seed": 2}})


@pytest.mark.parametrize(("direction", "sign"), [("high", 1), ("low", -1)])
def test_a_single_variable_is_its_own_score(direction: str, sign: int) -> None:
    scorer = SingleVariable(SingleVariableSettings.parse({"direction": direction})).fit([[1.0], [2.0]])
    np.testing.assert_array_equal(scorer.score([[5.0], [-1.0]]), [5.0 * sign, -1.0 * sign])


def test_a_single_variable_takes_one_input_only() -> None:
    with pytest.raises(ConfigError, match="2 inputs"):
        SingleVariable().fit([[1.0, 2.0]])
