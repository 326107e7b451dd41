from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.report.binning import Bins, feature_bins, histogram, score_bins
from anomalon.report.records import Group, coloured

EDGES = Bins(np.array([0.0, 1.0, 2.0, 3.0]))


def group(values: np.ndarray | list[float], role: str = "background") -> Group:
    array = np.asarray(values, dtype=np.float64)
    return Group("a", role, array, np.ones(len(array)))  # type: ignore[arg-type]  # the roles are literals in the tests


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=50))
def test_every_finite_value_is_counted_once(values: list[float]) -> None:
    assert histogram(np.array(values), np.ones(len(values)), EDGES).values.sum() == len(values)


def test_missing_and_infinite_values_are_not_overflow() -> None:
    filled = histogram(np.array([0.5, np.nan, np.inf, -np.inf]), np.ones(4), EDGES)
    assert filled.values.tolist() == [1, 0, 0]
    bins = feature_bins([group([0.5, 0.7, np.nan])], "number")
    assert not bins.overflow
    assert bins.note == ""


def test_values_beyond_the_edges_go_to_the_outer_bins_and_are_announced() -> None:
    values = np.concatenate([np.random.default_rng(1).exponential(10.0, 1000), [5000.0]])
    bins = feature_bins([group(values)], "energy")
    assert bins.edges[0] == 0
    assert bins.edges[-1] < 100
    assert bins.note == "last bin: overflow"
    assert histogram(values, np.ones(1001), bins).values[-1] >= 1


def test_a_density_has_unit_area_and_keeps_relative_errors() -> None:
    filled = histogram(np.array([0.5, 0.6, 1.5]), np.array([1.0, 2.0, 3.0]), EDGES)
    density = filled.density()
    assert (density.values * np.diff(EDGES.edges)).sum() == pytest.approx(1.0)
    assert density.errors[0] / density.values[0] == pytest.approx(np.sqrt(5) / 3)


def test_an_empty_histogram_has_an_empty_density() -> None:
    assert histogram(np.array([np.nan]), np.ones(1), EDGES).density().values.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("kind", "edges"), [("flag", [-0.5, 0.5, 1.5]), ("count", [-0.5, 0.5, 1.5, 2.5, 3.5])])
def test_integers_stand_in_the_middle_of_their_bins(kind: str, edges: list[float]) -> None:
    values = [0.0, 1.0] if kind == "flag" else [1.0, 3.0]
    assert feature_bins([group(values)], kind).edges.tolist() == edges  # type: ignore[arg-type]  # a literal above


def test_a_resonance_does_not_start_at_zero() -> None:
    assert feature_bins([group(np.random.default_rng(1).normal(91, 3, 500))], "energy").edges[0] > 70


@pytest.mark.parametrize("values", [[], [np.nan], [3.0, 3.0], [-1.0, 0.0, 2.0]])
def test_bins_exist_for_any_values(values: list[float]) -> None:
    for bins in (feature_bins([group(values)], "number"), score_bins([group(values)])):
        assert (np.diff(bins.edges) > 0).all()


def test_scores_over_decades_get_logarithmic_bins() -> None:
    edges = score_bins([group(np.geomspace(0.01, 100, 500))]).edges
    assert np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))


def test_colours_differ_within_a_role_and_a_given_colour_stays() -> None:
    groups = coloured(
        [group([1.0]), group([1.0]), group([1.0], "signal"), Group("b", "signal", *2 * [np.ones(1)], "red")]
    )
    assert len({g.colour for g in groups}) == 4
    assert groups[3].colour == "red"


def test_an_angle_up_to_pi_fills_its_axis() -> None:
    bins = feature_bins([group(np.linspace(0, np.pi, 500))], "angle")
    assert bins.edges[-1] == pytest.approx(np.pi, abs=1e-4)
    assert bins.note == ""


def test_one_far_score_does_not_stretch_the_axis() -> None:
    bins = score_bins([group(np.append(np.random.default_rng(1).uniform(1.0, 2.0, 2000), 1000.0))])
    assert bins.edges[-1] < 3
    assert bins.overflow
