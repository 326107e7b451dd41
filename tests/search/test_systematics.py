"""Systematics: what is refused, how varied events become templates, and what the table of impacts says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anomalon.errors import ConfigError, UnknownNameError
from anomalon.likelihood.templates import Channel, Template
from anomalon.search.systematics import (
    Expected,
    Shift,
    SystematicsSettings,
    both_ends,
    check,
    fill,
    impact_table,
    shape_p,
)

ROLES = {"wz": "background", "ttbar": "background", "wprime": "signal", "collisions": "data"}
yields = hnp.arrays(np.float64, 4, elements=st.floats(0.0, 1e3))

# ---------------------------------------------------------------------------------------------- settings


def test_backgrounds_have_a_cross_section_uncertainty_and_signals_only_if_asked_for() -> None:
    settings = SystematicsSettings.parse({"luminosity": 0.02, "cross_sections": {"wz": 0.05, "wprime": 0.2}})
    assert settings.norms_of("wz", "background") == {"luminosity": (0.98, 1.02), "cross-section-wz": (0.95, 1.05)}
    assert settings.norms_of("ttbar", "background")["cross-section-ttbar"] == (0.9, 1.1)
    assert settings.norms_of("wprime", "signal")["cross-section-wprime"] == (0.8, 1.2)
    assert set(settings.norms_of("other", "signal")) == {"luminosity"}


def test_a_size_of_zero_leaves_an_uncertainty_out() -> None:
    settings = SystematicsSettings.parse(
        {"luminosity": 0, "cross_sections": {"wz": 0}, "norms": {"fakes": {"wz": 0.3}}}
    )
    assert settings.norms_of("wz", "background") == {"fakes": (0.7, 1.3)}


def test_settings_survive_being_written_out() -> None:
    settings = SystematicsSettings.parse({
        "norms": {"fakes": {"wz": 0.3}}, "weights": ["fake"], "distortions": ["jet-scale", "b-tag-efficiency"],
    })  # fmt: skip
    assert SystematicsSettings.parse(settings.model_dump(mode="json")) == settings
    assert {"jets.pt", "jets.btag", "met.phi"} <= settings.requires
    assert SystematicsSettings().requires == frozenset()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cross_sections": {"wzz": 0.1}}, "systematics.cross_sections: no sample 'wzz'; did you mean 'wz'"),
        ({"norms": {"fakes": {"zjets": 0.1}}}, "systematics.norms.fakes: no sample 'zjets'"),
        ({"norms": {"fakes": {"collisions": 0.1}}}, "norms.fakes: sample 'collisions' is collision data"),
        ({"norms": {"luminosity": {"wz": 0.1}}}, "the name 'luminosity' is taken"),
        ({"norms": {"cross-section-wz": {"wz": 0.1}}}, "the name 'cross-section-wz' is taken"),
        ({"norms": {"a": {"wz": 0.1}}, "distortions": {"a": "jet-scale"}}, "two are called 'a'"),
        ({"norms": {"a": {"wz": 0.1}}, "weights": ["a"]}, "two are called 'a'"),
        ({"weights": ["a", "a"]}, "two are called 'a'"),
    ],
)
def test_names_that_do_not_fit_the_search_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(SystematicsSettings.parse(values), ROLES)  # type: ignore[arg-type]
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"luminosity": 1.0}, "luminosity = 1.0: Input should be less than 1"),
        ({"cross_sections": {"wz": -0.1}}, "cross_sections.wz = -0.1"),
        ({"norms": {"a b": {}}}, "norms.a b"),
        ({"weights": "some"}, "weights"),
        ({"distortions": "jet-scal"}, "no variation called 'jet-scal'; did you mean 'jet-scale'"),
        ({"luminosty": 0.1}, "unknown key 'luminosty'; did you mean 'luminosity'"),
    ],
)
def test_impossible_values_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SystematicsSettings.parse(values)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_fits_the_search_is_accepted() -> None:
    asked = {"cross_sections": {"wprime": 0.1}, "norms": {"fakes": {"wz": 0.3}}, "distortions": "standard"}
    check(SystematicsSettings.parse(asked), ROLES)  # type: ignore[arg-type]


def test_all_weights_are_those_with_both_ends_and_named_ones_may_have_one() -> None:
    factors = ["fake", "fakeUp", "fakeDown", "pdf_1", "pdf_1Up", "plain"]
    assert SystematicsSettings().weight_names(factors) == {"fake": ("down", "up")}
    assert SystematicsSettings(weights="none").weight_names(factors) == {}
    assert SystematicsSettings(weights=("pdf_1",)).weight_names(factors) == {"pdf_1": ("up",)}
    with pytest.raises(UnknownNameError, match="no varied factor 'plain'"):
        SystematicsSettings(weights=("plain",)).weight_names(factors)


# ---------------------------------------------------------------------------------------------- ends and shapes


@given(yields, yields)
def test_a_mirrored_end_is_as_far_on_the_other_side_until_zero(nominal: np.ndarray, other: np.ndarray) -> None:
    down, up = both_ends(nominal, {"up": other})
    assert up is other
    inside = other <= 2 * nominal
    np.testing.assert_allclose((down + other)[inside], 2 * nominal[inside])
    assert (down[~inside] == 0).all()
    np.testing.assert_array_equal(both_ends(nominal, {"down": other})[1], down)


def test_two_ends_stay_as_they_are() -> None:
    low, high = np.array([1.0]), np.array([9.0])
    assert both_ends(np.array([4.0]), {"down": low, "up": high}) == (low, high)


def shifted(index: np.ndarray, varied: np.ndarray, weight: np.ndarray | None = None, n: int = 5) -> tuple[Any, ...]:
    """Events of weight 1 that go from one bin to another, or change their weight."""
    w = np.ones(len(index)) if weight is None else weight
    ones = np.ones(len(index))
    shift = Shift(fill(varied, w, n), fill(varied, w**2, n), fill(varied, w * (index == varied), n))
    return fill(index, ones, n), fill(index, ones, n), shift


def test_migration_by_chance_is_taken_for_chance() -> None:
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        index = rng.integers(0, 5, 4000)
        moves = rng.random(4000) < 0.2
        found.append(shape_p(*shifted(index, np.where(moves, rng.integers(0, 5, 4000), index))))
    p = np.asarray(found)
    assert 0.02 < np.mean(p < 0.05) < 0.1
    assert 0.4 < np.mean(p) < 0.6


def test_a_drift_is_no_chance_although_it_is_smaller_than_the_error_of_the_bins() -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(0, 5, 4000)
    drift = np.where(rng.random(4000) < 0.03, np.minimum(index + 1, 4), index)
    nominal, squares, shift = shifted(index, drift)
    assert np.abs(shift.values - nominal)[0] < np.sqrt(nominal[0]) * 1.5
    assert shape_p(nominal, squares, shift) < 1e-4


def test_a_common_factor_is_no_change_of_shape() -> None:
    index = np.repeat([0, 1, 2], [100, 50, 10])
    assert shape_p(*shifted(index, index, np.full(160, 1.3))) == 1.0


def test_weights_that_follow_the_variable_are_a_change_of_shape() -> None:
    index = np.repeat(np.arange(5), 200)
    rng = np.random.default_rng(0)
    assert shape_p(*shifted(index, index, 1.0 + 0.02 * index + 0.01 * rng.normal(size=1000))) < 1e-6


def expected(shifts: dict[str, Any], **more: Any) -> Expected:
    values = np.array([40.0, 20.0, 10.0, 30.0, 15.0])
    return Expected("wz", "background", values, values, shifts, more.get("norms", {}))


def all_moved(values: list[float]) -> Shift:
    return Shift(np.array(values), np.array(values), np.zeros(5))


def test_templates_are_cut_into_channels() -> None:
    shift = all_moved([44.0, 22.0, 11.0, 30.0, 15.0])
    low, high = expected({"a": {"up": shift}}, norms={"lumi": (0.9, 1.1)}).templates([3, 2])
    assert (low.values.tolist(), high.values.tolist()) == ([40, 20, 10], [30, 15])
    assert low.errors.tolist() == np.sqrt([40, 20, 10]).tolist()
    assert low.norms["lumi"] == high.norms["lumi"] == (0.9, 1.1)
    assert "a" not in (*high.shapes, *high.norms)  # nothing changes there
    np.testing.assert_allclose(low.shapes["a"], [[36, 18, 9], [44, 22, 11]])


def test_a_change_of_shape_within_chance_becomes_a_change_of_the_yield() -> None:
    shift = all_moved([44.5, 21.5, 11.0, 30.0, 15.0])
    low, _ = expected({"a": {"up": shift}}).templates([3, 2], shape_p_value=0.05)
    assert not low.shapes
    assert low.norms["a"] == pytest.approx((0.9, 1.1))
    both = {"down": all_moved([20.0, 30.0, 20.0, 30.0, 15.0]), "up": shift}
    low, _ = expected({"a": both}).templates([3, 2], shape_p_value=0.05)
    np.testing.assert_allclose(low.shapes["a"], [[20, 30, 20], [44.5, 21.5, 11.0]])  # one end is no chance


def test_a_yield_that_would_turn_negative_stays_a_shape() -> None:
    shift = all_moved([120.0, 60.0, 30.0, 30.0, 15.0])
    low, _ = expected({"a": {"up": shift}}).templates([3, 2], shape_p_value=0.0)
    np.testing.assert_allclose(low.shapes["a"], [[0, 0, 0], [120, 60, 30]])


def test_a_process_without_events_has_templates_all_the_same() -> None:
    none = np.zeros(5)
    appearing = {"a": {"up": all_moved([1.0, 0.0, 0.0, 0.0, 0.0])}}
    low, high = Expected("wz", "background", none, none, appearing, {}).templates([3, 2], shape_p_value=0.05)
    np.testing.assert_allclose(low.shapes["a"], [[0, 0, 0], [1, 0, 0]])
    assert not high.shapes


# ---------------------------------------------------------------------------------------------- impact


def template(process: str, role: Any, values: list[float], **more: Any) -> Template:
    v = np.array(values)
    return Template(process, role, v, np.sqrt(v), more.get("shapes", {}), more.get("norms", {}))


def channel(name: str, *templates: Template) -> Channel:
    return Channel(name, "MET_pt", np.array([0.0, 50.0, 100.0]), templates)


@pytest.fixture
def regions() -> tuple[Channel, ...]:
    lumi = {"luminosity": (0.99, 1.01)}
    moved = {"jet-scale": (np.array([50.0, 10.0]), np.array([70.0, 50.0]))}
    wz = template("wz", "background", [60, 20], norms={**lumi, "cross-section-wz": (0.9, 1.1)}, shapes=moved)
    ttbar = template("ttbar", "background", [15, 5], norms={**lumi, "fake": (0.5, 1.5)})
    signal = template("wprime", "signal", [0, 4], norms={**lumi, "jet-scale": (0.75, 1.25), "tilt": (0.9, 1.1)})
    empty = template("wz", "background", [0, 0], norms=lumi)
    return channel("sr", wz, ttbar, signal), channel("vr", empty)


def test_the_table_of_impacts_has_the_largest_change_of_the_background_first(regions: tuple[Channel, ...]) -> None:
    settings = SystematicsSettings.parse({"norms": {"fake": {"ttbar": 0.5}}, "distortions": ["jet-scale"]})
    table = impact_table(regions, settings)
    kinds = {impact.name: impact.kind for impact in table}
    assert [impact.name for impact in table] == ["jet-scale", "fake", "cross-section-wz", "luminosity", "tilt"]
    assert list(kinds.values()) == ["distortion", "normalisation", "cross section", "luminosity", "weight"]
    assert [impact.size for impact in table] == pytest.approx([0.4, 0.1, 0.08, 0.01, 0.0])


def test_changes_are_those_of_the_yields(regions: tuple[Channel, ...]) -> None:
    jets, *_, tilt = impact_table(regions, SystematicsSettings())
    sr, vr = jets.regions
    assert (sr.region, sr.background.down, sr.background.up) == ("sr", pytest.approx(-0.2), pytest.approx(0.4))
    assert (sr.processes["wz"].down, sr.processes["wz"].up) == (pytest.approx(-0.25), pytest.approx(0.5))
    assert (sr.signals["wprime"].down, sr.signals["wprime"].up) == (pytest.approx(-0.25), pytest.approx(0.25))
    assert set(sr.processes) == {"wz"}
    assert vr.background is None  # no background is expected there, and no ratio exists
    assert (vr.processes, vr.signals) == ({}, {})
    assert tilt.regions[0].background.up == 0
    assert type(jets).parse(jets.model_dump(mode="json")) == jets
