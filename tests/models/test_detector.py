"""Detectors: settings from a flat fragment, features in, scores out, saved and loaded whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon import features as feature_sets
from anomalon.errors import (
    ConfigError,
    EmptySelectionError,
    ModelFileError,
    NotFittedError,
    OutputExistsError,
    TrainingError,
)
from anomalon.events import Events
from anomalon.features import Features
from anomalon.models.autoencoder import AutoencoderSettings
from anomalon.models.detector import Detector, DetectorSettings, detector_names
from tests.models.examples import trilepton

pytestmark = pytest.mark.usefixtures("one_thread")

UNIFORM = {"kind": "outlier-exposure", "against": "uniform", "trees": 10}
"""Outliers that need no events; those that do are taught in test_outlier_exposure.py."""

FRAGMENTS: dict[str, dict[str, Any]] = {
    "autoencoder": {"training": {"epochs": 2}},
    "vae": {"training": {"epochs": 2}},
    "terrazas2025": {"training": {"epochs": 2}},
    **{
        f"frette2023-{network}": {
            "features": "trilepton",
            "inputs": ["MET_pt", "lep*"],
            "code": 3,
            "training": {"epochs": 2},
        }
        for network in ("ae-small", "ae-large", "vae-small", "vae-large")
    },
    "convolutional-autoencoder": {
        "features": "trilepton",
        "inputs": ["MET_pt", "lep*"],
        "image": [1, 2, 2],
        "training": {"epochs": 2},
    },
    "single-variable": {"inputs": ["mT_W"]},
    **{
        kind: {"training": {"epochs": 2}}
        for kind in ("flow", "affine-flow", "deep-svdd", "deep-svdd-learned", "masked-prediction")
    },
    **{
        kind: {"features": "trilepton", "inputs": ["MET_pt", "lep*"], "training": {"epochs": 2}}
        for kind in ("cloud-flow", "set-vae", "transformer-vae")
    },
    **{f"beta-vae-{score}": {"training": {"epochs": 2}} for score in ("elbo", "kl", "radius")},
    "outlier-exposure": UNIFORM,
    "exposed-to-pseudo-events": UNIFORM,
    "exposed-to-heavy": UNIFORM,
    "exposed-to-exaggerated": UNIFORM,
    "exposed-to-both": {"folds": 2, "members": [UNIFORM, "joint-survival"]},
    "exposed-or-joint": {"folds": 2, "members": [UNIFORM, "joint-survival"]},
    "exposed-and-energetic": {"folds": 2, "members": [UNIFORM, "lt-plus-met"]},
    "combination": {"members": ["met", "lt-plus-met"], "how": "and"},
    "isolation-forest": {"trees": 20},
}
every_detector = pytest.mark.parametrize("kind", detector_names())


def settings_of(kind: str) -> DetectorSettings:
    return DetectorSettings.parse({"seed": 3, **FRAGMENTS.get(kind, {}), "kind": kind})


@pytest.fixture(scope="module")
def fitted() -> dict[str, Detector]:
    weights = np.random.default_rng(1).normal(1, 0.5, 300)
    return {
        kind: Detector(settings_of(kind)).fit(trilepton(), weights, validation=trilepton(100, seed=1))
        for kind in detector_names()
    }


@every_detector
def test_settings_survive_being_written_out(kind: str) -> None:
    settings = settings_of(kind)
    assert DetectorSettings.parse(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.name == kind


@every_detector
def test_a_detector_scores_every_usable_event(kind: str, fitted: dict[str, Detector]) -> None:
    values = trilepton(60, seed=2)
    first = values.index(fitted[kind].inputs[0])
    values.values[7, first], values.mask[7, first] = np.nan, True
    scores = fitted[kind].score_features(values)
    assert np.isnan(scores).nonzero()[0].tolist() == [7]
    for per_input in (fitted[kind].explain(values), fitted[kind].encode(values)):
        assert per_input is None or np.isnan(per_input).any(axis=1).nonzero()[0].tolist() == [7]


@every_detector
def test_a_broken_feature_that_is_no_input_costs_no_event(kind: str, fitted: dict[str, Detector]) -> None:
    values = trilepton(20, seed=2)
    other = next((n for n in values.names if n not in fitted[kind].inputs), None)
    if other is None:
        pytest.fail("every feature is an input: choose some")
    values.values[3, values.index(other)], values.mask[3, values.index(other)] = np.inf, True
    assert np.isfinite(fitted[kind].score_features(values)).all()


@every_detector
def test_a_saved_detector_is_the_same_detector(kind: str, fitted: dict[str, Detector], tmp_path: Path) -> None:
    detector = fitted[kind]
    detector.threshold = 1.25
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    values = trilepton(60, seed=2)
    np.testing.assert_array_equal(loaded.score_features(values), detector.score_features(values))
    assert (loaded.settings, loaded.threshold, loaded.inputs) == (detector.settings, 1.25, detector.inputs)
    assert loaded.record == detector.record
    assert loaded.compare_inputs(values) == detector.compare_inputs(values)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@every_detector
def test_no_events_have_no_scores(kind: str, fitted: dict[str, Detector]) -> None:
    assert fitted[kind].score_features(trilepton()[:0]).shape == (0,)
    assert fitted[kind].score(Events.from_dicts([])).shape == (0,)


@every_detector
def test_events_that_pass_no_selection_leave_nothing_to_train_on(kind: str) -> None:
    with pytest.raises((TrainingError, EmptySelectionError), match="none of 0 training events"):
        Detector(settings_of(kind)).fit(trilepton()[:0])


@pytest.mark.parametrize("kind", ["met", "terrazas2025"])
def test_broken_training_events_are_left_out_and_counted(kind: str) -> None:
    broken, clean = trilepton(), trilepton()
    met = broken.index("MET_pt")
    broken.mask[:5, met] = True
    broken.values[:5, met] = [np.nan, np.inf, -np.inf, np.nan, np.nan]
    first = Detector(settings_of(kind)).fit(broken)
    assert first.dropped == {"MET_pt": 5}
    second = Detector(settings_of(kind)).fit(clean[5:])
    np.testing.assert_array_equal(first.score_features(clean), second.score_features(clean))


def test_events_are_scored_through_the_feature_set() -> None:
    leptons = [{"pt": 60, "eta": 0.1, "phi": 0, "charge": c} for c in (1, -1)]
    event = {"muons": leptons, "electrons": [{"pt": 40, "eta": 1, "phi": 2, "charge": 1}], "met": {"pt": 77, "phi": 1}}
    events = Events.from_dicts([event])
    detector = Detector(settings_of("met")).fit(feature_sets.get("trilepton").transform(events))
    np.testing.assert_array_equal(detector.score(events), [77])


def test_features_and_scorer_settings_are_one_flat_list() -> None:
    fragment = {"kind": "autoencoder", "code": 2, "training": {"epochs": 50}, "inputs": ["MET_pt", "lep*"]}
    settings = DetectorSettings.parse(fragment)
    scorer = settings.scorer
    assert isinstance(scorer, AutoencoderSettings)
    assert (scorer.code, scorer.training.epochs) == (2, 50)
    detector = Detector(settings.seeded(8)).fit(trilepton())
    assert detector.inputs == ("MET_pt", "lep1_pt", "lep2_pt", "lep3_pt")
    assert detector.scorer.settings.seed == 8


def test_the_preset_of_terrazas_is_the_network_of_the_thesis() -> None:
    settings = DetectorSettings.parse("terrazas2025")
    scorer = settings.scorer
    assert isinstance(scorer, AutoencoderSettings)
    assert settings.kind == "autoencoder"
    assert set(settings.preprocessing.inputs or ()) == {"A_Dr_Z", "B_Dr_Z", "C_Dr_Z", "D_Dr_Z", "MET_pt"}
    assert {settings.preprocessing.treatment(n) for n in settings.preprocessing.inputs or ()} == {"linear"}
    assert (scorer.hidden, scorer.code, scorer.activation, scorer.batch_norm) == ((64, 32), 16, "selu", True)
    t = scorer.training
    assert (t.learning_rate, t.weight_decay, t.epochs, t.patience, t.min_delta) == (1e-4, 1e-5, 1000, 5, 1e-5)
    raw = DetectorSettings.parse({"kind": "terrazas2025", "preprocessing": {"mode": "raw"}})
    assert raw.preprocessing.inputs == settings.preprocessing.inputs
    assert raw.preprocessing.mode == "raw"


def test_the_default_autoencoder_has_a_real_bottleneck(fitted: dict[str, Detector]) -> None:
    settings = fitted["autoencoder"].settings.scorer
    assert isinstance(settings, AutoencoderSettings)
    assert settings.code < len(fitted["autoencoder"].inputs) // 2


def test_another_feature_set_has_all_of_its_columns_as_inputs() -> None:
    assert DetectorSettings.parse({"kind": "kmeans", "features": "rmm"}).preprocessing.inputs is None
    chosen = DetectorSettings.parse({"kind": "kmeans", "features": "rmm", "inputs": ["cell_*"]})
    assert chosen.preprocessing.inputs == ("cell_*",)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ({"kind": "kmean"}, r"detectors\[0\]: no detector 'kmean'; did you mean 'kmeans'\?"),
        ({"kind": "kmeans", "cluster": 3}, "unknown key 'cluster'; did you mean 'clusters'"),
        ({"kind": "kmeans", "imputs": ["a"]}, "unknown key 'imputs'; did you mean 'inputs'"),
        ({"kind": "autoencoder", "training": {"epoch": 3}}, "unknown key 'training.epoch'; did you mean 'epochs'"),
        ({"kind": "kmeans", "preprocessing": {"fil": 3}}, "unknown key 'fil'; did you mean 'fill'"),
        ({"kind": "kmeans", "preprocessing": 3, "inputs": ["a"]}, "expected a mapping"),
        ({"kind": "autoencoder", "code": 0}, "code = 0"),
        ({}, "give a mapping with kind"),
        (None, "give a mapping with kind"),
        ({"kind": ["met"]}, "no detector"),
    ],
)
def test_mistakes_in_the_settings_give_one_readable_line(fragment: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        DetectorSettings.parse(fragment, where="detectors[0]")
    assert "\n" not in str(caught.value)


def test_an_input_that_no_feature_has_is_refused_with_a_suggestion() -> None:
    detector = Detector(DetectorSettings.parse({"kind": "kmeans", "inputs": ["MET_ptt"]}))
    with pytest.raises(ConfigError, match="did you mean 'MET_pt'"):
        detector.fit(trilepton())


def test_weights_that_do_not_belong_to_the_events_are_refused() -> None:
    with pytest.raises(TrainingError, match="do not belong to 300 events"):
        Detector(settings_of("met")).fit(trilepton(), np.ones(7))


def test_features_of_the_same_kind_look_like_training_and_others_do_not(fitted: dict[str, Detector]) -> None:
    detector = fitted["kmeans"]
    assert not any(shift.unlike for shift in detector.compare_inputs(trilepton(500, seed=4)))
    shifts = detector.compare_inputs(trilepton(500, scale=3, seed=4))
    assert all(shift.unlike for shift in shifts)
    assert [s.distance for s in shifts] == sorted((s.distance for s in shifts), reverse=True)
    # Three events prove nothing, however far they are.
    assert not any(shift.unlike for shift in detector.compare_inputs(trilepton(3, scale=3, seed=4)))
    assert not any(shift.unlike for shift in detector.compare_inputs(trilepton()[:0]))


def test_a_feature_that_is_suddenly_always_missing_is_noticed(fitted: dict[str, Detector]) -> None:
    now = trilepton(500, seed=4)
    column = now.index("m_3l")
    mask = now.mask.copy()
    mask[:, column] = False
    shifts = {s.feature: s for s in fitted["kmeans"].compare_inputs(Features(now.values, mask, now.names))}
    assert shifts["m_3l"].unlike
    assert shifts["m_3l"].distance == pytest.approx(0.9, abs=0.05)
    assert not shifts["MET_pt"].unlike
    assert json.dumps(shifts["m_3l"].to_dict())


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    """On a variable with few values the summary is exact."""
    rng = np.random.default_rng(0)
    then, now = rng.integers(0, 5, 400), rng.integers(0, 6, 300)
    made = [Features(x[:, None].astype(np.float32), np.ones((len(x), 1), dtype=bool), ("nJet",)) for x in (then, now)]
    detector = Detector(DetectorSettings.parse({"kind": "single-variable", "inputs": ["nJet"]})).fit(made[0])
    slow = max(abs((then <= k).mean() - (now <= k).mean()) for k in range(6))
    assert detector.compare_inputs(made[1])[0].distance == pytest.approx(slow)


def test_an_unfitted_detector_says_so(tmp_path: Path) -> None:
    detector = Detector(settings_of("kmeans"))
    for use in (detector.score_features, detector.compare_inputs):
        with pytest.raises(NotFittedError):
            use(trilepton())
    with pytest.raises(NotFittedError):
        detector.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_saving_never_overwrites(fitted: dict[str, Detector], tmp_path: Path) -> None:
    fitted["met"].save(tmp_path / "model")
    with pytest.raises(OutputExistsError, match="already there"):
        fitted["met"].save(tmp_path / "model")


def test_a_failed_save_leaves_nothing(
    fitted: dict[str, Detector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("anomalon.models.detector.write_manifest", full)
    with pytest.raises(OSError, match="disk full"):
        fitted["met"].save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind": "kmeans"', '"kind": "keans"'),
        ('"threshold": null', '"threshold": []'),
        ('"dropped": {}', '"dropped": 3'),
        ('"centre"', '"center"'),
        ('"effective_events"', '"events"'),
        ('"names"', '"name"'),
        ('"clusters": 8', '"clusters": "many"'),
    ],
)
def test_a_damaged_detector_is_refused(old: str, new: str, tmp_path: Path) -> None:
    Detector(settings_of("kmeans")).fit(trilepton()).save(tmp_path / "model")
    file = tmp_path / "model" / "detector.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(ModelFileError, match="damaged"):
        Detector.load(tmp_path / "model")


def test_a_scorer_of_another_detector_is_refused(fitted: dict[str, Detector], tmp_path: Path) -> None:
    fitted["met"].save(tmp_path / "a")
    fitted["kmeans"].save(tmp_path / "b")
    (tmp_path / "a" / "scorer").rename(tmp_path / "old")
    (tmp_path / "b" / "scorer").rename(tmp_path / "a" / "scorer")
    with pytest.raises(ModelFileError, match="does not belong"):
        Detector.load(tmp_path / "a")


def test_comparing_energies_weighs_a_doubled_energy_by_its_size() -> None:
    rng = np.random.default_rng(3)
    values = rng.lognormal(4, 0.4, (800, 3)).astype(np.float32)
    features = Features(values, np.ones(values.shape, dtype=bool), ("lep1_pt", "MET_pt", "HT"))
    base = {"kind": "autoencoder", "inputs": ["lep1_pt", "MET_pt", "HT"], "code": 1, "training": {"epochs": 3}}
    detector = Detector(DetectorSettings.parse({**base, "compare": "energies"})).fit(features)
    scores, shares = detector.score_features(features), detector.explain(features)
    assert shares is not None
    np.testing.assert_allclose(shares.sum(axis=1), scores)
    low, high = values[:1].copy(), values[:1].copy()
    low[:, 0], high[:, 0] = 5.0, 5000.0
    tails = [float(detector.score_features(Features(v, features.mask[:1], features.names))[0]) for v in (low, high)]
    assert tails[1] > 10 * tails[0]
