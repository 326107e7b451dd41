"""Flows, neighbours, kernels, histograms, tails and components against what is known of simple samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from anomalon.errors import ConfigError
from anomalon.features import Features
from anomalon.models.deep_svdd import DeepSVDD, DeepSVDDSettings
from anomalon.models.flow import Flow, FlowSettings
from anomalon.models.marginals import EmpiricalTails, Histograms, HistogramsSettings
from anomalon.models.masked_prediction import MaskedPrediction, MaskedPredictionSettings
from anomalon.models.neighbours import (
    KernelDensity,
    KernelDensitySettings,
    NearestNeighbours,
    NearestNeighboursSettings,
)
from anomalon.models.principal_components import PrincipalComponents, PrincipalComponentsSettings
from anomalon.models.set_vae import SetVAE, SetVAESettings
from anomalon.models.vae import VAE, VAESettings
from anomalon.streaming import FeatureBlocks

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = {"epochs": 60, "batch_size": 256, "learning_rate": 1e-2, "patience": 20}
NAMES = ("MET_pt", "jet1_pt", "jet1_eta", "jet2_pt", "jet2_eta")


def normal(n: int = 4000, seed: int = 0) -> np.ndarray:
    """Two correlated inputs of known density."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return np.stack([x, 0.8 * x + 0.6 * rng.normal(size=n)], axis=1).astype(np.float32)


def minus_log_density(x: np.ndarray) -> np.ndarray:
    return np.asarray(-norm.logpdf(x[:, 0]) - norm.logpdf(x[:, 1], 0.8 * x[:, 0], 0.6))


def jets(n: int = 600, seed: int = 0, scale: float = 1.0) -> Features:
    """Events with up to two jets; one in four has none, every second of the others one."""
    rng = np.random.default_rng(seed)
    values = np.stack([rng.exponential(30 * scale, n), *np.tile([1.0, 0.0], (n, 2)).T], axis=1).astype(np.float32)
    values[:, [1, 3]] = np.sort(rng.exponential(60 * scale, (n, 2)))[:, ::-1] + 30
    values[:, [2, 4]] = rng.normal(size=(n, 2))
    number = np.where(np.arange(n) % 4 == 0, 0, 1 + np.arange(n) % 2)
    mask = np.stack([number >= 0, number >= 1, number >= 1, number >= 2, number >= 2], axis=1)
    values[~mask] = np.nan
    return Features(values, mask, NAMES)


def blocks(features: Features) -> FeatureBlocks:
    return FeatureBlocks(features)


# ------------------------------------------------------------------------------------------------- flows


@pytest.mark.parametrize("bins", [0, 6])
def test_a_flow_finds_a_known_density(bins: int) -> None:
    scorer = Flow(FlowSettings.parse({"transforms": 2, "hidden": [16], "bins": bins, "training": QUICK}))
    values = normal()
    scorer.fit(values)
    fresh = normal(1000, seed=1)
    np.testing.assert_allclose(scorer.score(fresh).mean(), minus_log_density(fresh).mean(), atol=0.04)
    explained = scorer.explain(fresh)
    assert explained is not None
    np.testing.assert_allclose(explained.sum(axis=1), scorer.score(fresh), rtol=1e-6)
    np.testing.assert_allclose(explained[:, 0].mean(), -norm.logpdf(fresh[:, 0]).mean(), atol=0.05)


def test_a_density_integrates_to_one_in_every_measure() -> None:
    rng = np.random.default_rng(0)
    energy = rng.gamma(3.0, 20.0, 3000).astype(np.float32)[:, None]
    features = Features(energy, np.ones_like(energy, dtype=bool), ("MET_pt",))
    grid = np.linspace(0.01, 1500, 20_000, dtype=np.float32)[:, None]
    at = Features(grid, np.ones_like(grid, dtype=bool), ("MET_pt",))
    for measure in ("gev", "log", "standardised"):
        settings = {"transforms": 2, "hidden": [8], "measure": measure, "training": {**QUICK, "epochs": 15}}
        scorer = Flow(FlowSettings.parse(settings)).fit_blocks(blocks(features))
        logarithm = np.log1p(grid[:, 0].astype(float))
        spread = np.log1p(energy).std()
        along = {"gev": grid[:, 0].astype(float), "log": logarithm, "standardised": logarithm / spread}[measure]
        assert np.trapezoid(np.exp(-scorer.score_features(at)), along) == pytest.approx(1.0, abs=0.02)


def test_what_is_missing_counts_by_its_frequency_and_has_no_density() -> None:
    scorer = Flow(FlowSettings.parse({"transforms": 1, "hidden": [8], "training": {**QUICK, "epochs": 3}}))
    features = jets()
    scorer.fit_blocks(blocks(features))
    explained = scorer.explain_features(features)
    assert explained is not None
    assert (explained[~features.mask] == 0).all()
    got = scorer.score_features(features) - explained.sum(axis=1)
    number = features.mask[:, 1].astype(int) + features.mask[:, 3]
    np.testing.assert_allclose(np.exp(-got), (np.bincount(number) / len(number))[number])


# -------------------------------------------------------------------------------- neighbours and kernels


@pytest.mark.parametrize("distance", ["mean", "furthest"])
def test_neighbours_are_those_of_a_slow_loop(distance: str) -> None:
    values, fresh = normal(200), normal(30, seed=1)
    settings = NearestNeighboursSettings.parse({"neighbours": 5, "distance": distance})
    scorer = NearestNeighbours(settings).fit(values)
    every = np.sort(np.linalg.norm(fresh[:, None].astype(float) - values[None], axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(scorer.score(fresh), every.mean(1) if distance == "mean" else every[:, -1])


def test_kernels_are_those_of_a_slow_loop() -> None:
    values, fresh = normal(300).astype(float), normal(40, seed=1).astype(float)
    scorer = KernelDensity(KernelDensitySettings(bandwidth=0.7)).fit(values)
    widths = 0.7 * 300 ** (-1 / 6) * values.std(axis=0)
    density = norm.pdf(fresh[:, None], values[None], widths).prod(axis=2).mean(axis=1)
    np.testing.assert_allclose(scorer.score(fresh), -np.log(density), rtol=1e-4)


def test_a_kernel_density_integrates_to_one() -> None:
    values = np.random.default_rng(0).normal(size=(500, 1))
    scorer = KernelDensity().fit(values)
    grid = np.linspace(-9, 9, 2001)
    assert np.trapezoid(np.exp(-scorer.score(grid[:, None])), grid) == pytest.approx(1, abs=1e-3)


# ------------------------------------------------------------------------------------ one at a time


def test_histograms_are_densities() -> None:
    values = np.random.default_rng(0).uniform(0, 4, (5000, 1))
    scorer = Histograms(HistogramsSettings(bins=10)).fit(values)
    np.testing.assert_allclose(scorer.score([[0.5], [1.5], [3.9]]), np.log(4), atol=0.15)
    assert scorer.score([[9.0]])[0] > scorer.score(values).max()


def test_empirical_tails_are_those_of_the_definition() -> None:
    values = np.random.default_rng(0).exponential(1, (400, 2)).astype(np.float32)
    scorer = EmpiricalTails().fit(values)
    fresh = np.random.default_rng(1).exponential(1, (50, 2)).astype(np.float32)
    left = -np.log(np.maximum((values[None] <= fresh[:, None]).mean(1), 0.5 / 400))
    right = -np.log(np.maximum((values[None] >= fresh[:, None]).mean(1), 0.5 / 400))
    np.testing.assert_allclose(scorer.score(fresh), np.maximum(left.sum(1), right.sum(1)), rtol=1e-6)


def test_components_give_back_a_plane() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(400, 2)) @ np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
    scorer = PrincipalComponents(PrincipalComponentsSettings(components=2)).fit(plane)
    np.testing.assert_allclose(scorer.score(plane), 0, atol=1e-9)
    assert scorer.score(plane + np.array([0.0, 0.0, 1.0])).min() > 0.01
    given = scorer.reconstruct(plane)
    assert given is not None
    np.testing.assert_allclose(given, plane, atol=1e-5)


def test_the_distance_of_mahalanobis_is_chi_squared() -> None:
    scorer = PrincipalComponents(PrincipalComponentsSettings(score="mahalanobis")).fit(normal())
    scores = scorer.score(normal(4000, seed=1))
    assert scores.mean() == pytest.approx(2, abs=0.1)
    explained = scorer.explain(normal(50))
    assert explained is not None
    np.testing.assert_allclose(explained.sum(axis=1), scorer.score(normal(50)))


# ------------------------------------------------------------------------------------------- networks


def test_masked_prediction_finds_the_conditionals() -> None:
    settings = MaskedPredictionSettings.parse({"hidden": [32], "training": QUICK, "share": 0.5})
    scorer = MaskedPrediction(settings).fit(normal())
    fresh = normal(2000, seed=1)
    explained = scorer.explain(fresh)
    assert explained is not None
    wanted = [-norm.logpdf(fresh[:, k], 0.8 * fresh[:, 1 - k], 0.6) for k in (0, 1)]
    np.testing.assert_allclose(explained.mean(axis=0), np.mean(wanted, axis=1), atol=0.06)


@pytest.mark.parametrize("target", ["constant", "initial", "learned"])
def test_background_lands_closer_than_what_is_unlike_it(target: str) -> None:
    settings = {"dimensions": [2, 4], "hidden": [16], "target": target, "training": {**QUICK, "epochs": 20}}
    scorer = DeepSVDD(DeepSVDDSettings.parse(settings)).fit(normal(1000))
    usual = scorer.score(normal(500, seed=1))
    assert usual.mean() == pytest.approx(1, abs=0.3)
    assert np.median(scorer.score(normal(500, seed=2) + np.array([6.0, -6.0]))) > np.quantile(usual, 0.9)


def test_a_learned_point_is_not_reached_by_collapse() -> None:
    settings = {"dimensions": [2], "hidden": [16], "target": "learned", "training": {**QUICK, "epochs": 30}}
    scorer = DeepSVDD(DeepSVDDSettings.parse(settings)).fit(normal(1000))
    assert scorer.usual[0] > 0.1


@pytest.mark.parametrize("attention", [0, 1])
@pytest.mark.parametrize("score", ["reconstruction", "elbo", "kl", "radius"])
def test_a_set_autoencoder_sees_what_is_there_and_how_much(attention: int, score: str) -> None:
    settings = {"width": 16, "code": 2, "attention": attention, "score": score, "training": {**QUICK, "epochs": 8}}
    scorer = SetVAE(SetVAESettings.parse(settings)).fit_blocks(blocks(jets()))
    usual, hard = scorer.score_features(jets(seed=1)), scorer.score_features(jets(seed=1, scale=20))
    assert np.isfinite(usual).all()
    if score in ("reconstruction", "elbo"):
        assert np.median(hard) > np.median(usual)
    explained = scorer.explain_features(jets(seed=1))
    if score == "reconstruction":
        assert explained is not None
        np.testing.assert_allclose(explained.sum(axis=1), usual)


def test_what_is_missing_is_not_read() -> None:
    settings = {"width": 16, "code": 2, "attention": 1, "training": {**QUICK, "epochs": 1}}
    scorer = SetVAE(SetVAESettings.parse(settings)).fit_blocks(blocks(jets()))
    features = jets(seed=1)
    other = np.where(features.mask, features.values, 777.0).astype(np.float32)
    changed = Features(other, features.mask, features.names)
    np.testing.assert_array_equal(scorer.score_features(features), scorer.score_features(changed))


def test_a_transformer_needs_a_width_for_its_heads() -> None:
    with pytest.raises(ConfigError, match="give a multiple of 4"):
        SetVAESettings.parse({"attention": 1, "width": 30})


@pytest.mark.parametrize("kind", ["deep-svdd", "kl", "radius"])
def test_integrated_gradients_add_up_to_the_change_of_the_score(kind: str) -> None:
    training = {**QUICK, "epochs": 10}
    settings = {"code": 1, "hidden": [16], "beta": 0.1, "score": kind, "training": training}
    scorer = (
        DeepSVDD(DeepSVDDSettings.parse({"dimensions": [2, 4], "hidden": [16], "training": training}))
        if kind == "deep-svdd"
        else VAE(VAESettings.parse(settings))
    ).fit(normal(1000))
    values = normal(50, seed=1)
    explained = scorer.explain(values)
    assert explained is not None
    change = scorer.score(values) - scorer.score(np.zeros((1, 2)))
    np.testing.assert_allclose(explained.sum(axis=1), change, rtol=0.05, atol=0.05)
