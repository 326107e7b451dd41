"""The laws that every registered scorer obeys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anomalon.errors import ModelFileError, NotFittedError, TrainingError, UnknownNameError
from anomalon.models.contract import Scorer
from anomalon.models.registry import get_scorer, load_scorer, register_scorer, scorer_names
from anomalon.models.single_variable import SingleVariable
from tests.models.examples import background, n_inputs, quick

pytestmark = pytest.mark.usefixtures("one_thread")
every_scorer = pytest.mark.parametrize("name", scorer_names())


@pytest.fixture(scope="module")
def fitted() -> dict[str, Scorer]:
    return {name: quick(name).fit(background(name), background(name, seed=9)) for name in scorer_names()}


@every_scorer
def test_scores_have_one_finite_number_per_event(name: str, fitted: dict[str, Scorer]) -> None:
    scores = fitted[name].score(background(name, 50, seed=2))
    assert scores.shape == (50,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@every_scorer
def test_no_events_have_no_scores(name: str, fitted: dict[str, Scorer]) -> None:
    nothing = background(name)[:0]
    assert fitted[name].score(nothing).shape == (0,)
    explained = fitted[name].explain(nothing)
    assert explained is None or explained.shape == nothing.shape


@every_scorer
def test_scores_do_not_depend_on_the_other_events(name: str, fitted: dict[str, Scorer]) -> None:
    values = background(name, 40, seed=3)
    alone = np.concatenate([fitted[name].score(row[None]) for row in values])
    np.testing.assert_allclose(fitted[name].score(values), alone, rtol=1e-5, atol=1e-5)


@every_scorer
def test_the_same_seed_gives_the_same_scores(name: str, fitted: dict[str, Scorer]) -> None:
    again = quick(name).fit(background(name), background(name, seed=9))
    values = background(name, 50, seed=2)
    np.testing.assert_array_equal(fitted[name].score(values), again.score(values))


@every_scorer
def test_far_outliers_score_higher(name: str, fitted: dict[str, Scorer]) -> None:
    rng = np.random.default_rng(6)
    far = (10 + rng.uniform(0, 5, (50, n_inputs(name))) * np.arange(1, n_inputs(name) + 1)).astype(np.float32)
    usual = fitted[name].score(background(name, 200, seed=2))
    assert fitted[name].score(far).mean() > np.quantile(usual, 0.95)


@every_scorer
def test_a_saved_scorer_gives_the_same_scores(name: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted[name].save(tmp_path / "model")
    loaded = load_scorer(tmp_path / "model")
    values = background(name, 50, seed=2)
    np.testing.assert_array_equal(loaded.score(values), fitted[name].score(values))
    assert loaded.settings == fitted[name].settings
    assert loaded.record == fitted[name].record


@every_scorer
def test_explanations_and_codes_have_one_row_per_event(name: str, fitted: dict[str, Scorer]) -> None:
    values = background(name, 50, seed=2)
    explained, code = fitted[name].explain(values), fitted[name].encode(values)
    assert explained is None or (explained.shape == values.shape and np.isfinite(explained).all())
    assert code is None or (len(code) == 50 and np.isfinite(code).all())


@every_scorer
def test_events_of_weight_zero_are_not_learned(name: str) -> None:
    strange = background(name, seed=4) + 20
    values = np.concatenate([background(name), strange])
    weights = np.r_[np.ones(300), np.zeros(300)]
    scorer = quick(name).fit((values, weights))
    assert np.median(scorer.score(strange)) > np.quantile(scorer.score(background(name)), 0.9)


@every_scorer
def test_nan_is_never_trained_on(name: str) -> None:
    values = background(name)
    values[5, 0] = np.nan
    with pytest.raises(TrainingError, match="1 of 300 events"):
        quick(name).fit(values)


@every_scorer
def test_too_few_events_are_refused(name: str) -> None:
    with pytest.raises(TrainingError, match=r"0 training events, at least \d+ are needed"):
        quick(name).fit(background(name)[:0])


@every_scorer
def test_an_unfitted_scorer_neither_scores_nor_saves(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        quick(name).score(background(name))
    with pytest.raises(NotFittedError):
        quick(name).save(tmp_path / "model")


@every_scorer
def test_another_number_of_inputs_is_refused(name: str, fitted: dict[str, Scorer]) -> None:
    with pytest.raises(TrainingError, match="the model was fitted on"):
        fitted[name].score(np.zeros((3, 7)))


@every_scorer
def test_a_changed_or_missing_file_is_refused(name: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    fitted[name].save(folder)
    for file in [f for f in folder.iterdir() if f.is_file() and f.name != "model.json"]:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ModelFileError, match="changed since it was saved"):
            load_scorer(folder)
        file.unlink()
        with pytest.raises(ModelFileError, match="missing"):
            load_scorer(folder)


@every_scorer
@pytest.mark.parametrize("damage", ["{", "[]", '{"files": {}, "format": 99}', '{"files": {}, "format": 1}'])
def test_a_damaged_manifest_is_refused(name: str, damage: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted[name].save(tmp_path)
    (tmp_path / "model.json").write_text(damage)
    with pytest.raises(ModelFileError, match=r"model\.json"):
        load_scorer(tmp_path)


@every_scorer
def test_damaged_settings_are_refused(name: str, fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted[name].save(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["settings"]["seed"] = "often"
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match="damaged"):
        load_scorer(tmp_path)


def test_a_model_of_another_kind_is_refused(fitted: dict[str, Scorer], tmp_path: Path) -> None:
    fitted["kmeans"].save(tmp_path)
    with pytest.raises(ModelFileError, match="holds a 'kmeans', expected a 'isolation-forest'"):
        get_scorer("isolation-forest").load(tmp_path)


def test_an_unknown_scorer_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'kmeans'"):
        get_scorer("k-means")


def test_third_parties_can_register(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(SingleVariable):
        kind = "mine"

    monkeypatch.setattr("anomalon.models.registry._SCORERS", {})
    register_scorer("mine", Mine)
    assert get_scorer("mine") is Mine
    register_scorer("wrong", dict)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="is none"):
        get_scorer("wrong")
