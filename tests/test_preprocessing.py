"""Preprocessing: fitted on training background, finite for every usable event."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.errors import ConfigError, ModelFileError, NotFittedError, TrainingError, UnknownNameError
from anomalon.features import Features
from anomalon.features import get as feature_set
from anomalon.preprocessing import Preprocessing, PreprocessingSettings

NAMES = ("MET_pt", "A_Dr_Z", "dphi_W_MET", "channel_A")


def some_features(n: int = 200, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    values = np.stack(
        [rng.exponential(50, n), rng.uniform(0, 5, n), rng.uniform(-3, 3, n), rng.integers(0, 2, n)], axis=1
    ).astype(np.float32)
    mask = np.ones_like(values, dtype=bool)
    mask[::3, 1] = False
    values[~mask] = np.nan
    return Features(values, mask, NAMES)


def test_present_inputs_have_weighted_mean_zero_and_deviation_one() -> None:
    features, weights = some_features(), np.random.default_rng(1).normal(1, 2, 200)
    inputs = Preprocessing().fit(features, weights).transform(features)
    for k in range(3):
        present = features.mask[:, k]
        x, w = inputs[present, k].astype(np.float64), np.abs(weights[present])
        mean = np.average(x, weights=w)
        assert abs(mean) < 1e-5
        assert abs(np.average((x - mean) ** 2, weights=w) - 1) < 1e-4


def test_energies_are_logged_angles_unsigned_flags_untouched() -> None:
    features = some_features()
    settings = PreprocessingSettings(standardise=False)
    inputs = Preprocessing(settings).fit(features).transform(features)
    np.testing.assert_allclose(inputs[:, 0], np.log1p(features.values[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(inputs[:, 2], np.abs(features.values[:, 2]), rtol=1e-6)
    np.testing.assert_array_equal(Preprocessing().fit(features).transform(features)[:, 3], features.values[:, 3])


def test_every_trilepton_feature_has_the_treatment_that_its_name_asks_for() -> None:
    settings = PreprocessingSettings()
    treatments = {name: settings.treatment(name) for name in feature_set("trilepton").names}
    energies = [n for n in treatments if n.endswith(("_pt", "mass")) or n in ("m_3l", "mT_W", "LT", "HT")]
    assert {n for n, t in treatments.items() if t == "log"} == set(energies)
    assert {n for n, t in treatments.items() if t == "untouched"} == {f"channel_{c}" for c in "ABCD"}
    assert {n for n, t in treatments.items() if t == "absolute"} == {"dphi_W_MET"}


def test_missing_values_become_the_fill_value() -> None:
    features = some_features()
    inputs = Preprocessing(PreprocessingSettings(fill=-7.0)).fit(features).transform(features)
    assert (inputs[~features.mask] == -7).all()
    kept = Preprocessing(PreprocessingSettings(fill=None)).fit(features).transform(features)
    assert np.isnan(kept[~features.mask]).all()


def test_signal_does_not_move_the_scale() -> None:
    background, signal = some_features(), some_features(seed=5)
    fitted = Preprocessing().fit(background)
    before = fitted.transform(background)
    fitted.transform(Features(signal.values * 100, signal.mask, NAMES))
    np.testing.assert_array_equal(fitted.transform(background), before)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(["standard", "raw"]))
@settings(max_examples=60, deadline=None)
def test_inputs_of_every_usable_event_are_finite(value: float, mode: str) -> None:
    fitted = Preprocessing(PreprocessingSettings.parse({"mode": mode})).fit(some_features())
    odd = Features(np.full((1, 4), value, dtype=np.float32), np.ones((1, 4), dtype=bool), NAMES)
    assert np.isfinite(fitted.transform(odd)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_value_stays_nan_and_is_never_filled(bad: float) -> None:
    features = some_features()
    fitted = Preprocessing().fit(features)
    features.values[0, 0] = bad
    inputs = fitted.transform(features)
    assert np.isnan(inputs[0, 0])
    assert np.isfinite(inputs[1:]).all()


def test_fitting_on_a_broken_value_names_the_feature_and_the_count() -> None:
    features = some_features()
    features.values[:4, 0] = np.nan
    with pytest.raises(TrainingError, match=r"MET_pt: 4"):
        Preprocessing().fit(features)


def test_constant_and_always_missing_columns_stay_finite() -> None:
    values = np.array([[5.0, np.nan]] * 10, dtype=np.float32)
    features = Features(values, np.isfinite(values), ("nJet", "A_Dr_Z"))
    np.testing.assert_array_equal(Preprocessing().fit(features).transform(features), 0)
    now = Features(np.array([[6.0, 2.0]], dtype=np.float32), np.ones((1, 2), dtype=bool), features.names)
    np.testing.assert_array_equal(Preprocessing().fit(features).transform(now), [[1, 2]])


def test_raw_mode_passes_gev_through() -> None:
    features = some_features()
    inputs = Preprocessing(PreprocessingSettings(mode="raw")).fit(features).transform(features)
    np.testing.assert_array_equal(inputs[features.mask], features.values[features.mask])


def test_inputs_are_chosen_and_ordered_by_patterns() -> None:
    settings = PreprocessingSettings(inputs=("channel_*", "MET_pt"))
    assert Preprocessing(settings).fit(some_features()).names == ("channel_A", "MET_pt")
    shuffled = some_features().select(NAMES[::-1])
    np.testing.assert_array_equal(
        Preprocessing(settings).fit(some_features()).transform(shuffled),
        Preprocessing(settings).fit(some_features()).transform(some_features()),
    )


def test_an_unknown_input_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'MET_pt'"):
        Preprocessing(PreprocessingSettings(inputs=("MET_ptt",))).fit(some_features())
    with pytest.raises(UnknownNameError, match="channel_A"):
        Preprocessing().fit(some_features()).transform(some_features().select(NAMES[:3]))


def test_state_survives_json() -> None:
    features = some_features()
    fitted = Preprocessing(PreprocessingSettings(clip=2.0)).fit(features)
    again = Preprocessing.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(again.transform(features), fitted.transform(features))


@pytest.mark.parametrize("key", ["settings", "fitted"])
def test_damaged_state_is_refused(key: str) -> None:
    saved = Preprocessing().fit(some_features()).to_dict()
    with pytest.raises(ModelFileError, match="damaged"):
        Preprocessing.from_dict({k: v for k, v in saved.items() if k != key})
    with pytest.raises(ModelFileError, match="damaged"):
        Preprocessing.from_dict({**saved, "fitted": {**saved["fitted"], "scale": [1.0]}})


def test_unfitted_and_empty_are_refused() -> None:
    with pytest.raises(NotFittedError):
        Preprocessing().transform(some_features())
    with pytest.raises(TrainingError, match="no events"):
        Preprocessing().fit(some_features()[:0])


def test_undoing_the_logarithms_gives_energies_in_units_of_the_backgrounds_spread() -> None:
    rng = np.random.default_rng(5)
    values = np.stack([rng.lognormal(4, 0.5, 500), rng.uniform(0, 3, 500)], axis=1).astype(np.float32)
    features = Features(values, np.ones(values.shape, dtype=bool), ("MET_pt", "A_Dr_Z"))
    preprocessing = Preprocessing().fit(features)
    inputs = preprocessing.transform(features)
    back = preprocessing.without_logarithms(inputs)
    np.testing.assert_allclose(back[:, 0], values[:, 0] / values[:, 0].std(), rtol=1e-3)
    np.testing.assert_array_equal(back[:, 1], inputs[:, 1])
    assert np.isfinite(preprocessing.without_logarithms(np.full((1, 2), 1e9))).all()


def test_inputs_are_lowered_to_the_largest_of_the_training_background() -> None:
    values = np.array([[10.0], [20.0], [80.0]], dtype=np.float32)
    features = Features(values, np.ones((3, 1), dtype=bool), ("MET_pt",))
    preprocessing = Preprocessing().fit(features)
    inputs = preprocessing.transform(features)
    np.testing.assert_allclose(preprocessing.within_training(inputs), inputs)
    assert preprocessing.within_training([[1e6]])[0, 0] == inputs.max()
    assert Preprocessing.from_dict(preprocessing.to_dict()).within_training([[1e6]])[0, 0] == inputs.max()


@pytest.mark.parametrize("mode", ["standard", "raw", "minmax"])
def test_blocks_teach_what_the_whole_sample_teaches(mode: str) -> None:
    features, weights = some_features(1000), np.random.default_rng(1).normal(1, 2, 1000)
    settings = PreprocessingSettings.parse({"mode": mode})
    whole = Preprocessing(settings).fit(features, weights)
    edges = [0, 1, 300, 301, 1000]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    streamed = Preprocessing(settings).fit_blocks((features[p], weights[p]) for p in parts)
    before, after = (p.to_dict()["fitted"] for p in (whole, streamed))
    for key in ("centre", "scale", "spread", "highest"):
        np.testing.assert_allclose(after[key], before[key], rtol=1e-6, atol=1e-9)


def test_minmax_scales_the_training_background_to_one_and_knows_no_logarithm() -> None:
    values = np.array([[2.0, 7.0], [4.0, 7.0], [6.0, 7.0]], dtype=np.float32)
    features = Features(values, np.ones((3, 2), dtype=bool), ("MET_pt", "constant"))
    fitted = Preprocessing(PreprocessingSettings(mode="minmax")).fit(features, [0.0, -1.0, 5.0])
    np.testing.assert_array_equal(fitted.transform(features), [[0, 0], [0.5, 0], [1, 0]])
    beyond = Features(np.array([[10.0, 8.0]], dtype=np.float32), np.ones((1, 2), dtype=bool), features.names)
    np.testing.assert_array_equal(fitted.transform(beyond), [[2, 1]])


@pytest.mark.parametrize("mode", ["standard", "minmax"])
def test_scales_of_complete_linear_columns_are_those_of_numpy(mode: str) -> None:
    rng = np.random.default_rng(7)
    values = np.stack([rng.normal(1e4, 1.0, 500), rng.exponential(1e-3, 500), np.full(500, 7.0)], 1).astype(np.float32)
    weights = rng.normal(1, 2, 500)
    features = Features(values, np.broadcast_to(np.True_, values.shape), ("a", "b", "c"))
    fitted = Preprocessing(PreprocessingSettings.parse({"mode": mode})).fit(features, weights).to_dict()["fitted"]
    exact, w = values.astype(np.float64), np.abs(weights)
    mean = np.average(exact, axis=0, weights=w)
    deviation = np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=w))
    width = exact.max(axis=0) - exact.min(axis=0)
    centre, scale = (mean, deviation) if mode == "standard" else (exact.min(axis=0), width)
    np.testing.assert_allclose(fitted["centre"], centre, rtol=1e-9)
    np.testing.assert_allclose(fitted["scale"], np.where(width > 0, scale, 1.0), rtol=1e-6)


@pytest.mark.parametrize("mode", ["standard", "raw", "minmax"])
def test_the_compiled_passes_equal_a_plain_loop(mode: str) -> None:
    features, weights = some_features(50), np.random.default_rng(3).normal(1, 2, 50)
    settings = PreprocessingSettings.parse({"mode": mode, "fill": -3.0, "clip": 1.5})
    state = Preprocessing(settings).fit(features, weights)
    fitted = state.to_dict()["fitted"]
    inputs = state.transform(features)
    for k, name in enumerate(NAMES):
        treat = {"log": lambda x: np.log1p(max(x, 0)), "absolute": abs}.get(settings.treatment(name), lambda x: x)
        for i in range(50):
            value = (treat(float(features.values[i, k])) - fitted["centre"][k]) / fitted["scale"][k]
            expected = min(max(value, -1.5), 1.5) if features.mask[i, k] else -3.0
            assert inputs[i, k] == pytest.approx(expected, rel=1e-5, abs=1e-6)
