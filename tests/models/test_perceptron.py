"""The perceptron where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from anomalon.batches import ArrayBatches
from anomalon.errors import ConfigError
from anomalon.models.perceptron import PerceptronClassifier, PerceptronSettings

pytestmark = pytest.mark.usefixtures("one_thread")


def classifier(**settings: object) -> PerceptronClassifier:
    training = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2, **settings.pop("training", {})}  # type: ignore[dict-item]
    return PerceptronClassifier(PerceptronSettings.parse({"training": training, **settings}))


def normals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return rng.normal(size=(n, 2)) + labels[:, None], labels


def test_without_hidden_layers_it_learns_the_log_odds_of_two_normal_distributions() -> None:
    values, labels = normals(20_000, seed=1)
    p = classifier(hidden=[]).fit(ArrayBatches(values, labels=labels)).predict_proba(values)[:, 1]
    np.testing.assert_allclose(p, expit(values.sum(axis=1) - 1), atol=0.05)


def test_three_classes_get_three_probabilities() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 1500)
    values = rng.normal(size=(1500, 2)) + 4 * np.array([[0, 0], [1, 0], [0, 1]])[labels]
    made = classifier(hidden=[8], training={"epochs": 15}).fit(ArrayBatches(values, labels=labels))
    p = made.predict_proba(values)
    assert p.shape == (1500, 3)
    assert (p.argmax(axis=1) == labels).mean() > 0.95


def test_a_training_stops_when_held_out_events_say_so() -> None:
    values, labels = normals(400, seed=3)
    rng = np.random.default_rng(0)
    batches = ArrayBatches(values, labels=rng.permutation(labels))
    made = classifier(hidden=[64], training={"epochs": 500, "patience": 3}).fit(batches)
    assert made.record is not None
    assert made.record.stopped == "patience"
    assert len(made.record.validation_losses) < 100
    assert classifier(hidden=[4], validation=0.0, training={"epochs": 2}).fit(batches).record.validation_losses == ()  # type: ignore[union-attr]


def test_dropout_acts_in_training_alone() -> None:
    values, labels = normals(500, seed=4)
    made = classifier(hidden=[16], dropout=0.5, training={"epochs": 3}).fit(ArrayBatches(values, labels=labels))
    np.testing.assert_array_equal(made.score(values), made.score(values))


def test_impossible_settings_are_refused() -> None:
    for values, message in (
        ({"dropout": 1.0}, "dropout"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"seed": 1, "training": {"seed": 2}}, "training.seed differs"),
    ):
        with pytest.raises(ConfigError, match=message):
            PerceptronSettings.parse(values)
