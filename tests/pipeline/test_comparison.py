"""Laws of the check of data against simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import kstest

from anomalon.errors import ConfigError
from anomalon.features import Features
from anomalon.pipeline.compare_run import compare_search
from anomalon.pipeline.comparison import check_figures, data_mc_check
from anomalon.search.results import FeatureCheck, SearchResults


def table(background: np.ndarray, data: np.ndarray, weights: np.ndarray | None = None, name: str = "x"):
    values = np.concatenate([background, data]).astype(np.float32)[:, None]
    weights = np.ones(len(background)) if weights is None else weights
    roles = np.array(["background"] * len(background) + ["data"] * len(data))
    features = Features(values, ~np.isnan(values), (name,))
    return features, np.concatenate([weights, np.ones(len(data))]), roles


def check(*arguments, **options) -> FeatureCheck:
    (only,) = data_mc_check(*table(*arguments, **options))
    return only


def test_p_values_are_uniform_when_data_are_background():
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(400):
        background = rng.normal(size=3000)
        signed = np.where(rng.random(3000) < 0.2, -0.05, 0.1)  # one weight in five is negative
        p_values.append(check(background, rng.normal(size=300), signed).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_a_shifted_feature_is_found_and_its_bin_named():
    rng = np.random.default_rng(2)
    background, data = rng.normal(size=5000), np.concatenate([rng.normal(size=400), np.full(60, 3.0)])
    found = check(background, data)
    assert found.p_value < 1e-6
    assert found.pull > 4
    assert found.worst.startswith("from")


def test_the_shape_does_not_depend_on_the_normalisation_which_is_told_beside_it():
    rng = np.random.default_rng(3)
    background, data = rng.exponential(size=4000), rng.exponential(size=300)
    once, twice = (check(background, data, np.full(4000, w)) for w in (0.05, 0.1))
    assert once.ratio == pytest.approx(1.5)
    assert twice.ratio == pytest.approx(0.75)
    # with scaled weights the effective number of background events stays, and so does the chi2
    assert once.chi2 == pytest.approx(twice.chi2)


def test_a_count_is_compared_value_by_value():
    rng = np.random.default_rng(4)
    found = check(rng.poisson(1.0, 5000).astype(float), rng.poisson(1.0, 500).astype(float))
    assert 1 <= found.ndof <= 5


def test_events_that_miss_the_feature_are_compared_too():
    rng = np.random.default_rng(5)
    background, data = rng.normal(size=4000), rng.normal(size=400)
    background[:2000], data[:100] = np.nan, np.nan
    found = check(background, data)
    assert (found.missing_background, found.missing_data) == (0.5, 0.25)
    assert found.p_value < 1e-6
    assert found.worst == "missing"


def test_values_that_are_not_finite_are_counted_and_left_out():
    features, weights, roles = table(np.linspace(0, 1, 500), np.linspace(0, 1, 50))
    features.values[-1, 0] = np.inf
    assert features.mask[-1, 0]
    (found,) = data_mc_check(features, weights, roles)
    assert found.not_finite == 1
    assert found.p_value > 0.5


@pytest.mark.parametrize("data", [[0.5], [1.0] * 100])
def test_too_few_events_or_a_constant_give_no_p_value(data):
    found = check(np.full(300, 1.0), np.asarray(data))
    assert found.p_value is None
    assert "constant, or too few" in found.note


def test_nothing_is_checked_without_data_or_background():
    features, weights, _ = table(np.ones(3), np.ones(2))
    assert data_mc_check(features, weights, np.array(["background"] * 5)) == []
    assert data_mc_check(features, weights, np.array(["data"] * 5)) == []


def test_features_come_worst_first_and_those_without_p_value_last():
    rng = np.random.default_rng(6)
    parts = [rng.normal(size=(2300, 1)) for _ in range(2)] + [np.ones((2300, 1))]
    parts[1][2000:] += 1.0
    values = np.concatenate(parts, axis=1).astype(np.float32)
    features = Features(values, np.ones(values.shape, bool), ("good", "bad", "constant"))
    roles = np.array(["background"] * 2000 + ["data"] * 300)
    found = data_mc_check(features, np.ones(2300), roles)
    assert [c.feature for c in found] == ["bad", "good", "constant"]
    figures = check_figures(found, features, np.ones(2300), roles, np.where(roles == "data", "data", "mc"))
    assert [f.name for f in figures] == ["data_mc_bad", "data_mc_good"]


def test_a_search_with_data_checks_every_feature_below_the_threshold(finished: tuple[Path, SearchResults]):
    output, results = finished
    assert {c.feature for c in results.feature_checks} == {f.name for f in results.features}
    assert SearchResults.parse(json.loads((output / "results.json").read_text())).feature_checks
    assert any(output.glob("figures/data_mc_*.png"))
    page = (output / "report.html").read_text()
    assert "Data against simulation" in page
    assert "blinded: at or below the threshold" in page


def test_a_run_is_compared_in_the_region_that_blinding_shows(finished: tuple[Path, SearchResults]):
    output, _ = finished
    compared = compare_search(output, ("MET_pt",))
    scores = pq.read_table(output / "scores.parquet", columns=["role", "region"]).to_pylist()
    for role in ("data", "signal", "background"):
        shown = sum(y.raw for y in compared.yields if y.role == role)
        assert shown == sum(row == {"role": role, "region": "below"} for row in scores) > 0


def test_a_configuration_is_compared_without_its_data(finished: tuple[Path, SearchResults]):
    output, _ = finished
    compared = compare_search(output.parent / "search.yaml", ("MET_pt",))
    assert {y.role for y in compared.yields} == {"background", "signal"}
    with pytest.raises(ConfigError, match=r"'met\.pt' is a column of the events"):
        compare_search(output, ("met.pt",))
