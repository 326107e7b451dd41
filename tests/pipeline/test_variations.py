"""Varied events of a small search: nothing varied gives the search again, and what is varied is what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.batches import TEST
from anomalon.distortions import Variation, parse_distortions
from anomalon.errors import ConfigError, MissingFieldError, UnknownNameError
from anomalon.events import Sample
from anomalon.features import Features
from anomalon.pipeline import fit
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.mixed import mixed_stage
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Silent
from anomalon.pipeline.samples import obtain, select_samples
from anomalon.pipeline.table import Table
from anomalon.pipeline.variations import Varied, Varying, varied_events
from anomalon.search.systematics import SystematicsSettings
from anomalon.store import Store
from tests.pipeline.conftest import Row, simulation, trilepton_rows, write_store

EDGES = np.array([0.0, 20.0, 40.0, 80.0])
OWN = {"kind": "isolation-forest", "name": "own-features", "features": "rmm"}
TABULATED = {"kind": "autoencoder", "training": {"epochs": 2, "batch_size": 256}}


def with_factors(rows: list[Row]) -> list[Row]:
    """Every third event is a fake one; ``tilt`` goes with MET, and ``pdf_3`` has one end alone."""
    for row in rows:
        p = 0.2 if row["event"] % 3 == 0 else 1.0
        varied = (p, p * 1.5, p * 0.5) if p < 1 else (1.0, 1.0, 1.0)
        tilt = 1.0 + row["met"]["pt"] / 200.0
        row["factors"] = dict(zip(("fake", "fakeUp", "fakeDown"), varied, strict=True))
        row["factors"] |= {"tilt": 1.0, "tiltUp": tilt, "tiltDown": 2.0 - tilt, "pdf_3": 1.0, "pdf_3Up": tilt}
    return rows


@pytest.fixture(scope="session")
def varied_stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("varied-stores")
    rows = with_factors(trilepton_rows(1500, 11))
    for row in rows[7::50]:
        row["met"]["pt"] = float("nan")
    data = Sample(name="collisions", process="data", origin="data")
    return {
        "soft": write_store(folder / "soft", rows, simulation("soft", 1500, 0.5)),
        "hard": write_store(folder / "hard", trilepton_rows(900, 12, hardness=1.4), simulation("hard", 900, 0.05)),
        "signal": write_store(folder / "signal", trilepton_rows(600, 13, hardness=5), simulation("signal", 600, 1e-3)),
        "data": write_store(folder / "data", trilepton_rows(100, 14, run=315267), data),
    }


@pytest.fixture(scope="session")
def make_varying(varied_stores: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Varying]:
    cache = StageCache(tmp_path_factory.mktemp("cache"))

    def make(detector: dict[str, Any] = TABULATED, **systematics: Any) -> Varying:
        roles = {"soft": "background", "hard": "background", "signal": "signal", "data": "data"}
        samples = [{"name": n, "role": r, "files": [str(varied_stores[n])]} for n, r in roles.items()]
        search = SearchConfig.parse({"seed": 5, "samples": samples, "detectors": [detector], "supervised": None})
        stages: dict[str, str] = {}
        selected = select_samples(search, cache, Silent(), stages)
        stores = [s.events for s in selected]
        table = Table.concatenate([s.table for s in selected])
        parts = Parts.of(table, search, lambda places: Store(mixed_stage(stores, places, cache, Silent())))
        fitted = fit.fit_detector(
            search.detector_settings()[-1], parts, fit.training_key(search, stages), cache, Silent()
        )
        settings = SystematicsSettings.parse(systematics)
        return Varying(search, settings, parts, fitted, parts.score(fitted.detector), cache, Silent())

    return make


def by_met(features: Features, score: np.ndarray) -> np.ndarray:
    """Bin of MET in two channels: ordinary events below the median score, three bins each."""
    met = features.column("MET_pt")
    index = np.searchsorted(EDGES, met, side="right") - 1 + 4 * (score > 0.5)
    return np.where(np.isnan(score), -1, index)


BINS = (4, 4)


def in_order(table: Table) -> np.ndarray:
    return np.lexsort((table.ids.event, table.ids.run))


# ---------------------------------------------------------------------------------------------- nominal


@pytest.mark.parametrize("detector", [TABULATED, OWN], ids=["features of the table", "features of its own"])
@pytest.mark.parametrize("name", ["soft", "hard", "signal"])
def test_without_a_distortion_the_events_and_scores_are_those_of_the_search(
    make_varying: Callable[..., Varying], detector: dict[str, Any], name: str
) -> None:
    varying = make_varying(detector)
    config = next(s for s in varying.search.samples if s.name == name)
    store = obtain(config, varying.search, varying.cache, Silent())
    table, score = varied_events(store, config, (), varying.search, varying.fitted.detector, Silent())
    parts = varying.parts
    own = parts.where("signal" if name == "signal" else "background", TEST, name)
    nominal, ours = in_order(parts.table[own]), in_order(table)
    assert len(table) == own.sum() > 50
    np.testing.assert_array_equal(table.features.values[ours], parts.table[own].features.values[nominal])
    np.testing.assert_array_equal(table.weight[ours], parts.table[own].weight[nominal])
    np.testing.assert_array_equal(table.ids.event[ours], parts.table[own].ids.event[nominal])
    np.testing.assert_allclose(score[ours], varying.score[own][nominal], atol=1e-6)


def test_nominal_templates_are_the_test_events_scaled_to_the_whole(make_varying: Callable[..., Varying]) -> None:
    varying = make_varying()
    templates = varying.templates(by_met, BINS)
    assert set(templates) == {"soft", "hard", "signal"}
    parts, weight = varying.parts, varying.parts.test_weight()
    index = by_met(parts.table.features, varying.score)
    for name, (low, high) in templates.items():
        own = parts.usable & (parts.split == TEST) & (parts.table.sample_name == name)
        for channel, template in enumerate((low, high)):
            for i in range(4):
                inside = own & (index == 4 * channel + i)
                assert template.values[i] == pytest.approx(weight[inside].sum(), rel=1e-12)
                assert template.errors[i] == pytest.approx(np.sqrt((weight[inside] ** 2).sum()), rel=1e-12)


# ---------------------------------------------------------------------------------------------- weights


def test_varied_weights_are_those_of_the_same_events(make_varying: Callable[..., Varying]) -> None:
    varying = make_varying(weights="all", shape_p_value=1.0)
    soft = {e.process: e for e in varying.expected(by_met, 8)}["soft"]
    parts = varying.parts
    own = parts.usable & (parts.split == TEST) & (parts.table.sample_name == "soft")
    rows = np.flatnonzero(own)
    factors = parts.events_of(rows).array.factors
    index = by_met(parts.table.features, varying.score)[rows]
    weight = parts.test_weight()[rows]
    assert set(soft.shifts) == {"fake", "tilt"}
    for name in ("fake", "tilt"):
        for end in ("down", "up"):
            varied = weight / factors[name].to_numpy() * factors[name + end.capitalize()].to_numpy()
            shift = soft.shifts[name][end]
            for values, power in ((shift.values, varied), (shift.squares, varied**2), (shift.common, varied * weight)):
                np.testing.assert_allclose(values, np.bincount(index, power, minlength=8), rtol=1e-12)


def test_a_weight_changes_only_the_samples_that_have_it(make_varying: Callable[..., Varying]) -> None:
    templates = make_varying().templates(by_met, BINS)
    moved = {name: {n for t in both for n in (*t.shapes, *t.norms)} for name, both in templates.items()}
    assert {"fake", "tilt"} <= moved["soft"]
    assert not {"fake", "tilt"} & (moved["hard"] | moved["signal"])


def test_a_named_weight_with_one_end_is_mirrored(make_varying: Callable[..., Varying]) -> None:
    for template in make_varying(weights=["pdf_3"], shape_p_value=1.0).templates(by_met, BINS)["soft"]:
        down, up = template.shapes["pdf_3"]
        np.testing.assert_allclose(down, 2 * template.values - up, rtol=1e-12)
        assert (up >= template.values).all()


def test_no_weights_are_varied_where_none_are_asked_for(make_varying: Callable[..., Varying]) -> None:
    templates = make_varying(weights="none").templates(by_met, BINS)
    assert all(not t.shapes for both in templates.values() for t in both)


def test_an_unknown_weight_is_refused(make_varying: Callable[..., Varying]) -> None:
    with pytest.raises(UnknownNameError, match=r"systematics.weights: no varied factor 'fakes'; did you mean 'fake'"):
        make_varying(weights=["fakes"]).templates(by_met, BINS)


def test_a_weight_and_a_distortion_of_one_name_are_refused(make_varying: Callable[..., Varying]) -> None:
    with pytest.raises(ConfigError, match="two are called 'fake'"):
        make_varying(distortions={"fake": "jet-scale"}).templates(by_met, BINS)


# ---------------------------------------------------------------------------------------------- distortions


def collected(varying: Varying) -> dict[tuple[str, str, str], Varied]:
    return {(v.sample, v.systematic, v.end): v for v in varying.distorted()}


def test_every_simulated_sample_is_distorted_at_every_end_and_collisions_are_not(
    make_varying: Callable[..., Varying],
) -> None:
    found = collected(make_varying(distortions=["jet-scale", "jet-resolution"]))
    ends = [("jet-scale", "down"), ("jet-scale", "up"), ("jet-resolution", "up")]
    assert list(found) == [(name, *end) for name in ("soft", "hard", "signal") for end in ends]


def test_an_identity_gives_the_weights_and_templates_of_the_search(make_varying: Callable[..., Varying]) -> None:
    nothing = {"kind": "scale", "factor": 1.0, "which": {"collection": "jets"}}
    varying = make_varying(distortions={"nothing": {"up": [nothing]}})
    total = varying.parts.test_weight()
    for (name, _, _), varied in collected(varying).items():
        own = varying.parts.usable & (varying.parts.table.sample_name == name)
        assert varied.table.weight.sum() == pytest.approx(total[own].sum(), rel=1e-12)
    for both in varying.templates(by_met, BINS).values():
        assert all("nothing" not in (*t.shapes, *t.norms) for t in both)


def test_distortions_come_before_the_selection(make_varying: Callable[..., Varying]) -> None:
    softer = {"kind": "scale", "factor": 0.5, "which": {"collection": "leptons"}}
    varying = make_varying(distortions={"half": {"down": [softer]}})
    table, parts = collected(varying)["soft", "half", "down"].table, varying.parts
    nominal = parts.of_part("background", TEST, "soft")
    assert 0 < len(table) < len(nominal)
    scale = parts.test_weight()[parts.where("background", TEST, "soft")][0] / nominal.weight[0]
    fake = np.isin(np.round(table.weight / nominal.weight.max() / scale, 6), [0.2, 1.0])
    assert fake.all()


def test_a_harder_met_moves_events_to_higher_bins(make_varying: Callable[..., Varying]) -> None:
    varying = make_varying(distortions={"met": Variation(up=parse_distortions([{"kind": "soft", "factor": 1.3}]))})
    moved = {e.process: e for e in varying.expected(by_met, 8)}["hard"]
    shift = moved.shifts["met"]["up"]
    low, high = moved.values[:4] + moved.values[4:], shift.values[:4] + shift.values[4:]
    assert high[-1] > 1.03 * low[-1]
    assert (shift.common <= np.minimum(shift.squares, moved.squares) + 1e-12).all()
    assert shift.common.sum() > 0.3 * moved.squares.sum()


def test_distorted_events_are_taken_from_the_cache(
    make_varying: Callable[..., Varying], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = collected(make_varying(distortions=["muon-scale"]))
    monkeypatch.setattr("anomalon.pipeline.variations.distort", None)
    varying = make_varying(distortions=["muon-scale"])
    again = collected(varying)
    for key, varied in again.items():
        np.testing.assert_array_equal(varied.score, first[key].score)
        np.testing.assert_array_equal(varied.table.features.values, first[key].table.features.values)
    assert set(varying.stages) == {
        f"vary-{n}-muon-scale-{e}" for n in ("soft", "hard", "signal") for e in ("down", "up")
    }


def test_other_steps_of_one_name_are_made_anew(make_varying: Callable[..., Varying]) -> None:
    def met(percent: int) -> float:
        pair = {"up": f"jet-scale-up-{percent}"}
        return float(
            collected(make_varying(distortions={"jets": pair}))["hard", "jets", "up"]
            .table.features.column("MET_pt")
            .sum()
        )

    assert met(1) != met(5)


def test_a_store_that_lacks_what_is_distorted_is_named(make_varying: Callable[..., Varying]) -> None:
    fat = [{"kind": "scale", "factor": 1.1, "which": {"collection": "fatjets"}}]
    with pytest.raises(MissingFieldError, match=r"no field 'fatjets.eta' in this store"):
        collected(make_varying(distortions={"fat": {"up": fat}}))


def test_the_whole_standard_list_runs(make_varying: Callable[..., Varying]) -> None:
    templates = make_varying(OWN, distortions="standard").templates(by_met, BINS)
    moved = {n for both in templates.values() for t in both for n in (*t.shapes, *t.norms)}
    assert {"jet-scale", "jet-resolution", "muon-scale", "soft-met", "luminosity", "cross-section-soft"} <= moved
    for both in templates.values():
        for t in both:
            assert all(np.isfinite(end).all() and (end >= 0).all() for ends in t.shapes.values() for end in ends)
            assert all(min(down, up) > 0 for down, up in t.norms.values())
