"""The variational autoencoder as a scorer: known answers, its four scores, saving and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.decomposition import PCA

from anomalon.models.contract import Scorer
from anomalon.models.registry import load_scorer
from anomalon.models.vae import VAE, VAESettings
from anomalon.training import EpochReport, TrainingRun
from tests.models.examples import background, quick

pytestmark = pytest.mark.usefixtures("one_thread")

SCORES = ("reconstruction", "elbo", "kl", "radius")


def vae(**changes: Any) -> VAE:
    training = {"epochs": 4, "batch_size": 100, "learning_rate": 1e-2}
    return VAE(VAESettings.parse({"hidden": [8], "code": 2, "training": training, **changes}))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorer]:
    """One training, read back with each of the scores."""
    folder = tmp_path_factory.mktemp("vae")
    quick("vae").fit(background("vae")).save(folder)
    scorers = {name: VAE.load(folder) for name in SCORES}
    for name, scorer in scorers.items():
        scorer.settings = scorer.settings.model_copy(update={"score": name})
    return dict(scorers)


def test_a_linear_variational_autoencoder_without_beta_finds_the_principal_components() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(1000, 4)) * [3.0, 2.0, 0.5, 0.3]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    values = (values - values.mean(axis=0)).astype(np.float32)
    training = {"epochs": 150, "batch_size": 100, "learning_rate": 0.02, "weight_decay": 0, "schedule": "cosine"}
    scorer = vae(hidden=[], beta=1e-4, training=training).fit(values)
    pca = PCA(2).fit(values)
    known = ((pca.inverse_transform(pca.transform(values)) - values) ** 2).mean(axis=1)
    scores = scorer.score(values)
    assert scores.mean() == pytest.approx(known.mean(), rel=0.03)
    assert np.corrcoef(scores, known)[0, 1] > 0.99


def test_a_large_beta_leaves_the_code_at_the_prior(fitted: dict[str, Scorer]) -> None:
    values = background("vae")
    training = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2}
    held = vae(beta=1000.0, score="kl", training=training).fit(values).score(values)
    assert np.median(held) < 0.01 < np.median(fitted["kl"].score(values))


def test_the_four_scores_are_made_of_error_and_code(fitted: dict[str, Scorer]) -> None:
    values = background("vae", 50, seed=2)
    scores = {name: scorer.score(values) for name, scorer in fitted.items()}
    code = fitted["kl"].encode(values)
    assert code is not None
    beta = quick("vae").settings.model_dump()["beta"]
    np.testing.assert_allclose(scores["elbo"], 0.5 * 3 * scores["reconstruction"] + beta * scores["kl"], rtol=1e-6)
    np.testing.assert_allclose(scores["radius"], (code**2).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_two_calls_agree_and_no_noise_is_drawn(name: str, fitted: dict[str, Scorer]) -> None:
    values, before = background("vae", 50, seed=2), torch.get_rng_state()
    np.testing.assert_array_equal(fitted[name].score(values), fitted[name].score(values))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", SCORES)
def test_a_far_outlier_has_a_finite_score_above_all_others(name: str, fitted: dict[str, Scorer]) -> None:
    far = fitted[name].score(np.full((1, 3), 1e6))
    assert np.isfinite(far).all()
    assert far > fitted[name].score(background("vae")).max()


@pytest.mark.parametrize("name", SCORES)
def test_logarithms_of_the_scores_keep_their_order(name: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted[name].save(tmp_path)
    logarithmic = VAE.load(tmp_path)
    logarithmic.settings = logarithmic.settings.model_copy(update={"scale": "log10-sum"})
    values = background("vae", 50, seed=2)
    factor = 3 if name == "reconstruction" else 1
    np.testing.assert_allclose(10 ** logarithmic.score(values), factor * fitted[name].score(values), rtol=1e-9)


@pytest.mark.parametrize("name", SCORES)
def test_explanations_add_up_to_what_belongs_to_inputs(name: str, fitted: dict[str, Scorer]) -> None:
    values = background("vae", 50, seed=2)
    explained, scores = fitted[name].explain(values), fitted[name].score(values)
    assert explained is not None
    if name in ("kl", "radius"):
        change = scores - fitted[name].score(np.zeros_like(values))
        np.testing.assert_allclose(explained.sum(axis=1), change, rtol=0.05, atol=0.05)
        return
    beta = quick("vae").settings.model_dump()["beta"]
    rest = beta * fitted["kl"].score(values) if name == "elbo" else 0.0
    np.testing.assert_allclose(explained.sum(axis=1) + rest, scores, rtol=1e-6)


def test_encoder_and_decoder_are_saved(fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted["elbo"].save(tmp_path)
    with safe_open(tmp_path / "network.safetensors", framework="pt") as file:
        assert {name.split(".")[0] for name in file.keys()} == {"encoder", "mean", "log_variance", "decoder"}  # noqa: SIM118
    values = background("vae", 20, seed=2)
    np.testing.assert_array_equal(load_scorer(tmp_path).reconstruct(values), fitted["elbo"].reconstruct(values))


def test_weights_count_by_their_size_and_not_by_their_sign() -> None:
    values, weights = background("vae"), np.random.default_rng(3).normal(size=300)
    signed, absolute = vae().fit((values, weights)), vae().fit((values, np.abs(weights)))
    np.testing.assert_array_equal(signed.score(values), absolute.score(values))
    assert not np.array_equal(signed.score(values), vae().fit(values).score(values))


def test_a_killed_training_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    values = background("vae")

    def killed(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    whole = vae().fit(values, values[:50])
    with pytest.raises(KeyboardInterrupt):
        vae().fit(values, values[:50], run=TrainingRun(tmp_path, progress=killed, checkpoint_seconds=0))
    resumed = vae().fit(values, values[:50], run=TrainingRun(tmp_path, resume=True))
    assert whole.record is not None
    assert resumed.record is not None
    assert resumed.record.validation_losses == whole.record.validation_losses
    np.testing.assert_array_equal(resumed.score(values), whole.score(values))
