"""The laws that every registered classifier obeys, and the discriminator around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anomalon.batches import ArrayBatches
from anomalon.errors import ConfigError, ModelFileError, OutputExistsError, TrainingError, UnknownNameError
from anomalon.models.contract import Classifier
from anomalon.models.discriminator import Discriminator, DiscriminatorSettings
from anomalon.models.registry import classifier_names, get_classifier, load_classifier
from tests.models.examples import trilepton

pytestmark = pytest.mark.usefixtures("one_thread")
every_classifier = pytest.mark.parametrize("name", classifier_names())
QUICK = {
    "gradient-boosting": {"trees": 15},
    "perceptron": {"hidden": [8], "training": {"epochs": 20, "batch_size": 64, "learning_rate": 1e-2}},
}


def quick(name: str) -> Classifier:
    classifier = get_classifier(name)
    return classifier(classifier.Settings.parse({"seed": 1, **QUICK.get(name, {})}))


def two_classes(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return (rng.normal(size=(n, 2)) + 2 * labels[:, None]).astype(np.float32), labels


@every_classifier
def test_probabilities_sum_to_one_and_separate_the_classes(name: str) -> None:
    values, labels = two_classes()
    classifier = quick(name).fit(ArrayBatches(values, labels=labels))
    p = classifier.predict_proba(values)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert p[labels == 1, 1].mean() > 0.7 > 0.3 > p[labels == 0, 1].mean()
    assert classifier.predict_proba(values[:0]).shape == (0, 2)


@every_classifier
def test_classes_weigh_the_same_whatever_their_numbers(name: str) -> None:
    values, labels = two_classes(2000)
    weights = np.where(labels == 1, 1e-3, 50.0)
    classifier = quick(name).fit(ArrayBatches(values, weights, labels=labels))
    assert classifier.predict_proba([[1.0, 1.0]])[0, 1] == pytest.approx(0.5, abs=0.15)


@every_classifier
def test_the_same_seed_and_a_saved_classifier_give_the_same_scores(name: str, tmp_path: Path) -> None:
    values, labels = two_classes()
    first, again = (quick(name).fit(ArrayBatches(values, labels=labels)) for _ in range(2))
    np.testing.assert_array_equal(first.score(values), again.score(values))
    first.save(tmp_path / "model")
    np.testing.assert_array_equal(load_classifier(tmp_path / "model").score(values), first.score(values))


@every_classifier
def test_labels_of_two_classes_are_required(name: str) -> None:
    values, labels = two_classes()
    with pytest.raises(TrainingError, match="labels"):
        quick(name).fit(ArrayBatches(values))
    with pytest.raises(TrainingError, match="two classes"):
        quick(name).fit(ArrayBatches(values, labels=np.ones(len(values))))
    with pytest.raises(TrainingError, match="has no weight"):
        quick(name).fit(ArrayBatches(values, labels, labels=labels))


@every_classifier
def test_missing_inputs_are_taken_or_refused(name: str) -> None:
    values, labels = two_classes()
    values[::4, 0] = np.nan
    batches = ArrayBatches(values, labels=labels)
    if get_classifier(name).accepts_missing:
        assert np.isfinite(quick(name).fit(batches).score(values)).all()
    else:
        with pytest.raises(TrainingError, match="missing"):
            quick(name).fit(batches)


@every_classifier
def test_a_feature_that_no_training_event_has_is_ignored(name: str) -> None:
    values, labels = two_classes()
    if get_classifier(name).accepts_missing:
        batches = ArrayBatches(np.c_[values, np.full(len(values), np.nan)], labels=labels)
        classifier = quick(name).fit(batches)
        scores = [classifier.score(np.c_[values, np.full(len(values), x)]) for x in (np.nan, 3.0)]
        np.testing.assert_array_equal(*scores)


def test_an_unknown_classifier_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="gradient-boosting"):
        get_classifier("gradientboosting")
    with pytest.raises(ConfigError, match="did you mean 'gradient-boosting'"):
        DiscriminatorSettings.parse({"kind": "gradient-bosting"})
    with pytest.raises(ConfigError, match="unknown key 'treees'; did you mean 'trees'"):
        DiscriminatorSettings.parse({"treees": 3})
    with pytest.raises(ConfigError, match="expected a mapping"):
        DiscriminatorSettings.parse(3)


def test_a_discriminator_separates_what_it_was_taught_and_survives_saving(tmp_path: Path) -> None:
    settings = DiscriminatorSettings.parse({"trees": 20, "seed": 3})
    assert DiscriminatorSettings.parse(settings.to_dict()) == settings
    made = Discriminator(settings).fit(trilepton(), trilepton(scale=3, seed=1), signal_weights=np.full(300, 0.1))
    background, signal = trilepton(seed=5), trilepton(scale=3, seed=6)
    assert made.score_features(signal).mean() > made.score_features(background).mean()
    made.save(tmp_path / "model")
    loaded = Discriminator.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_features(signal), made.score_features(signal))
    assert (loaded.name, loaded.inputs) == ("supervised", made.inputs)
    with pytest.raises(OutputExistsError):
        made.save(tmp_path / "model")


def test_a_discriminator_gives_broken_events_no_score() -> None:
    made = Discriminator(DiscriminatorSettings.parse({"trees": 5})).fit(trilepton(), trilepton(seed=1))
    broken = trilepton()
    broken.values[4, 0], broken.mask[4, 0] = np.inf, True
    assert np.isnan(made.score_features(broken)).nonzero()[0].tolist() == [4]


def test_a_damaged_discriminator_is_refused(tmp_path: Path) -> None:
    Discriminator(DiscriminatorSettings.parse({"trees": 5})).fit(trilepton(), trilepton(seed=1)).save(tmp_path / "m")
    text = (tmp_path / "m" / "discriminator.json").read_text()
    (tmp_path / "m" / "discriminator.json").write_text(text.replace('"gradient-boosting"', '"unheard-of"'))
    with pytest.raises(ModelFileError, match="damaged"):
        Discriminator.load(tmp_path / "m")
