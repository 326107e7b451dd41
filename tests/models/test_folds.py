"""Folds: nobody scores what it has learned; probabilities mean what they say; what is saved comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anomalon.batches import EventIds
from anomalon.errors import ConfigError, EmptySelectionError, ModelFileError, NotFittedError, TrainingError
from anomalon.features import Features
from anomalon.metrics import auc
from anomalon.models.classifier_presets import CLASSIFIER_PRESETS
from anomalon.models.discriminator import DiscriminatorSettings
from anomalon.models.folds import FoldedDiscriminator, Labelled, fold_of
from anomalon.models.probabilities import ProbabilityMap

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = {"trees": 10, "events_per_leaf": 1, "l2": 0.0, "learning_rate": 0.5}


def sample(n: int = 900, folds: int = 3, shift: float = 1.0, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    values = (rng.normal(size=(n, 2)) + shift * labels[:, None]).astype(np.float32)
    features = Features(values, np.ones(values.shape, dtype=bool), ("x", "y"))
    return Labelled(features, labels, np.ones(n), rng.integers(0, folds, n), folds)


def fitted(events: Labelled, **settings: object) -> FoldedDiscriminator:
    return FoldedDiscriminator(DiscriminatorSettings.parse({**QUICK, **settings})).fit(events)


def test_labels_without_meaning_are_learned_by_heart_and_not_held_out() -> None:
    events = sample(shift=0.0)
    made = fitted(events, trees=60)
    held, seen = made.held_out(events), made.trained(events)
    one = events.labels == 1
    assert np.isnan(seen).sum(axis=0).tolist() == [1] * len(events)
    for fold in range(3):
        rows = events.fold != fold
        assert auc(seen[fold, rows & ~one], seen[fold, rows & one]) > 0.95
    assert auc(held[~one], held[one]) == pytest.approx(0.5, abs=0.06)


def test_scores_of_all_folds_are_on_one_scale() -> None:
    events = sample(n=3000)
    made = fitted(events)
    spread = [made.score_of(fold, events.features).std() for fold in range(3)]
    made.scales[0] = made.scales[0].model_copy(update={"slope": 10 * made.scales[0].slope})
    assert max(spread) < 1.2 * min(spread)
    assert made.score_of(0, events.features).std() == pytest.approx(10 * spread[0])


def test_new_events_get_the_mean_of_the_folds_and_a_probability() -> None:
    events, other = sample(), sample(seed=9)
    made = fitted(events)
    each = [made.score_of(fold, other.features) for fold in range(3)]
    np.testing.assert_allclose(made.score_features(other.features), np.mean(each, axis=0))
    p = made.predict(other.features)
    assert p[other.labels == 1].mean() > 0.6 > 0.4 > p[other.labels == 0].mean()
    with pytest.raises(NotFittedError):
        FoldedDiscriminator(made.settings).predict(other.features)


def test_versions_of_an_event_share_its_fold_and_folds_are_equal() -> None:
    n = 6000
    event, run = np.arange(n) // 2, np.arange(n) % 2 + 1
    ids = EventIds(run, np.ones(n, dtype=int), event, np.zeros(n, dtype=int), ("ttbar",))
    fold = fold_of(ids, 4, seed=3)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(fold).min() > 0.2 * n
    assert (fold_of(ids, 4, seed=4) != fold).any()


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_probabilities_are_the_fraction_of_signal(method: str) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40_000)
    scores = rng.normal(2 * labels - 1, 1.0) * 3.0  # the true log odds are 2 x / 3
    half = np.arange(len(labels)) < 20_000
    found = ProbabilityMap.fit(scores[half], labels[half], np.ones(half.sum()), method)  # type: ignore[arg-type]
    p = found(scores[~half])
    for low in (0.1, 0.4, 0.7):
        chosen = (p >= low) & (p < low + 0.2)
        assert labels[~half][chosen].mean() == pytest.approx(p[chosen].mean(), abs=0.03)
    assert (p > 0).all()
    assert (p < 1).all()
    assert np.isnan(found([np.nan, 0.0])).tolist() == [True, False]


def test_classes_count_the_same_in_probabilities_whatever_their_weights() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 20_000)
    scores = rng.normal(2 * labels - 1, 1.0)
    weights = np.where(labels == 1, 1e-3, -20.0)
    assert ProbabilityMap.fit(scores, labels, weights)([0.0])[0] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(TrainingError, match="two classes"):
        ProbabilityMap.fit(scores, labels * 0, weights)


def test_a_saved_classifier_scores_alike(tmp_path: Path) -> None:
    events = sample()
    made = fitted(events, name="trees")
    made.save(tmp_path / "model")
    again = FoldedDiscriminator.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score_features(events.features), made.score_features(events.features))
    np.testing.assert_array_equal(again.held_out(events), made.held_out(events))
    assert (again.name, again.inputs, again.probability) == ("trees", ("x", "y"), made.probability)
    text = (tmp_path / "model" / "folds.json").read_text()
    (tmp_path / "model" / "folds.json").write_text(text.replace('"isotonic"', '"isotonik"'))
    with pytest.raises(ModelFileError, match="damaged"):
        FoldedDiscriminator.load(tmp_path / "model")


def test_a_fold_without_enough_of_a_class_is_refused() -> None:
    events = sample(n=60)
    with pytest.raises(EmptySelectionError, match="at least 20 per fold"):
        fitted(events)


@pytest.mark.parametrize("name", CLASSIFIER_PRESETS)
def test_every_preset_is_valid_and_written_out_in_full(name: str) -> None:
    settings = DiscriminatorSettings.parse({"kind": name})
    assert DiscriminatorSettings.parse(settings.to_dict()) == settings
    assert settings.kind == "perceptron"


def test_the_networks_of_the_source_have_its_layers() -> None:
    hidden = {name: DiscriminatorSettings.parse({"kind": name}).classifier.hidden for name in CLASSIFIER_PRESETS}  # type: ignore[attr-defined]
    assert hidden["senas2018-gaussians-2"] == (8, 4)
    assert hidden["senas2018-gaussians-4"] == (16, 12, 8, 4)
    assert hidden["senas2018-3-layers"] == (7, 4, 4)
    changed = DiscriminatorSettings.parse({"kind": "senas2018-2-layers", "training": {"epochs": 9}})
    assert (changed.classifier.training.epochs, changed.classifier.training.batch_size) == (9, 32)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="did you mean 'senas2018-2-layers"):
        DiscriminatorSettings.parse({"kind": "senas2018-2-layer"})
