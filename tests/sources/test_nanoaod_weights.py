"""Weight variations of NanoAOD: which entry is which, what is read and when, and what is refused."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import Events
from anomalon.sources import ReadSettings, ingest, open_source
from tests.sources.nano_files import as_data, nano_branches, write_nano

N = 6
NINE = np.arange(9) / 8 + 0.5
EIGHT = np.delete(NINE, 4)
SHOWER = np.array([0.5, 0.25, 2.0, 4.0])
OLD = "PS weights (w_var / w_nominal); [0] is ISR=0.5 FSR=1; [1] is ISR=1 FSR=0.5; [2] is ISR=2 FSR=1"


def lists(*rows) -> ak.Array:
    return ak.values_astype(ak.Array([list(row) for row in rows]), np.float32)


def branches(scales=None, shower=None, **more):
    return nano_branches(N) | {
        "LHEScaleWeight": lists(*[NINE] * N) if scales is None else scales,
        "PSWeight": lists(*[SHOWER] * N) if shower is None else shower,
        "puWeight": np.full(N, 0.5, np.float32),
        "puWeightUp": np.full(N, 0.75, np.float32),
        "puWeightDown": np.full(N, 0.25, np.float32),
        **more,
    }


def read(path, *fields) -> Events:
    return Events.concatenate(open_source(path).iterate(["met", *fields]))


def factor(events, name) -> list[float]:
    return ak.to_list(events.array.factors[name])


def test_no_factor_is_read_that_was_not_asked_for(tmp_path):
    path = write_nano(tmp_path / "a.root", branches())
    source = open_source(path)
    assert not Events.concatenate(source.iterate()).has("factors")
    assert not any(name.startswith("factors") for name in source.info().fields)
    assert source.info().details["factors on request"] == "pileup, scale, muR, muF, isr, fsr"


def test_a_nominal_factor_changes_the_weight_and_its_variation_replaces_it(tmp_path):
    path = write_nano(tmp_path / "a.root", branches())
    weight = read(path).weights(None)
    events = read(path, "factors.pileup")
    np.testing.assert_allclose(events.weights(None), 0.5 * weight)
    np.testing.assert_allclose(events.weights(None, "pileupUp"), 0.75 * weight)
    np.testing.assert_allclose(events.weights(None, "pileupDown"), 0.25 * weight)


def test_scale_variations_leave_the_nominal_weight_as_it_is(tmp_path):
    path = write_nano(tmp_path / "a.root", branches())
    weight = read(path).weights(None)
    events = read(path, "factors.scale", "factors.fsr")
    np.testing.assert_array_equal(events.weights(None), weight)
    np.testing.assert_allclose(events.weights(None, "scaleUp"), NINE[8] * weight)
    np.testing.assert_allclose(events.weights(None, "fsrDown"), SHOWER[3] * weight)


@pytest.mark.parametrize("scales", [NINE, EIGHT], ids=["nine", "eight"])
def test_entries_are_those_of_the_grid_with_or_without_the_nominal_one(tmp_path, scales):
    path = write_nano(tmp_path / "a.root", branches(lists(*[scales] * N)))
    events = read(path, "factors")
    expected = {"scaleUp": NINE[8], "scaleDown": NINE[0], "muRUp": NINE[7], "muRDown": NINE[1]}
    expected |= {"muFUp": NINE[5], "muFDown": NINE[3], "scale": 1.0, "muR": 1.0, "muF": 1.0}
    for name, value in expected.items():
        assert factor(events, name) == [value] * N, name


@pytest.mark.parametrize("asked", ["factors.isr", "factors.isrDown"])
def test_a_variation_comes_with_its_nominal_factor(tmp_path, asked):
    events = read(write_nano(tmp_path / "a.root", branches()), asked)
    assert sorted(events.array.factors.fields) == ["isr", "isrDown", "isrUp"]
    assert (factor(events, "isrUp"), factor(events, "isrDown")) == ([0.5] * N, [2.0] * N)


def test_the_title_of_old_files_turns_the_shower_weights_round(tmp_path, monkeypatch):
    source = open_source(write_nano(tmp_path / "a.root", branches()))
    monkeypatch.setattr(source, "_title", {"PSWeight": OLD}.get)
    events = Events.concatenate(source.iterate(["factors.isr", "factors.fsr"]))
    assert (factor(events, "isrUp")[0], factor(events, "isrDown")[0]) == (2.0, 0.5)
    assert (factor(events, "fsrUp")[0], factor(events, "fsrDown")[0]) == (4.0, 0.25)


def test_events_without_a_list_vary_by_one(tmp_path):
    scales = lists(NINE, [], NINE, [], EIGHT, [1.0])
    path = write_nano(tmp_path / "a.root", branches(scales, lists(*[[1.0]] * N)))
    events = read(path, "factors.scale", "factors.isr")
    assert factor(events, "scaleUp") == [NINE[8], 1, NINE[8], 1, EIGHT[7], 1]
    assert factor(events, "isrUp") == [1.0] * N


def test_a_member_of_the_parton_densities_is_read_by_its_number(tmp_path):
    members = np.arange(33) / 32 + 0.5
    path = write_nano(tmp_path / "a.root", branches(LHEPdfWeight=lists(*[members] * N)))
    events = read(path, "factors.pdf_7")
    assert (factor(events, "pdf_7Up"), factor(events, "pdf_7")) == ([members[7]] * N, [1.0] * N)
    with pytest.raises(InputFileError, match=r"LHEPdfWeight has 33 entries in an event, of which none is .* pdf_33Up"):
        read(path, "factors.pdf_33")


REFUSED = {
    "unknown factor": ("scael", {}, MissingFieldError, r"no weight factor 'scael' in NanoAOD; did you mean 'scale'"),
    "missing branch": ("prefiring", {}, MissingFieldError, r"factors.prefiring needs L1PreFiringWeight_Nom; .*pileup"),
    "unknown length": ("fsr", {"shower": lists(*[np.ones(44)] * N)}, InputFileError, r"PSWeight has 44 entries"),
    "one per event": ("fsr", {"shower": np.ones(N)}, InputFileError, r"PSWeight has one number per event"),
    "not finite": ("scale", {"scales": lists(*[NINE * np.nan] * N)}, InputFileError, r"6 of 6 .* are not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused(tmp_path, case):
    name, values, error, message = REFUSED[case]
    path = write_nano(tmp_path / "a.root", branches(**values))
    with pytest.raises(error, match=rf"a\.root.*{message}"):
        read(path, f"factors.{name}")


def test_a_store_has_the_factors_asked_for_and_collision_data_none(tmp_path):
    path = write_nano(tmp_path / "a.root", branches())
    store = ingest([path], tmp_path / "s", ReadSettings(factors=("scale", "isr")))
    names = {"isr", "isrUp", "isrDown", "scale", "scaleUp", "scaleDown"}
    assert set(store.load().array.factors.fields) == names
    assert set(store.load(["met"]).array.factors.fields) == names
    assert store.load().has("jets.btag")
    data = write_nano(tmp_path / "b.root", {k: v for k, v in as_data(branches()).items() if not k.startswith("LHE")})
    store = ingest([data], tmp_path / "d", ReadSettings(factors=("all",)))
    assert not store.load().has("factors")


@pytest.mark.parametrize("name", ["nano_tt_v12.root", "nano_dy.root"])
def test_of_real_files_twice_the_shower_scale_spreads_weights_less_than_half(shared, name):
    """Emission goes with alpha_s, which is larger and runs faster at the lower scale: the entries are not swapped."""
    events = next(iter(open_source(shared / "data" / "cms" / name).iterate(["factors.fsr"])))
    assert np.std(events.array.factors.fsrUp) < np.std(events.array.factors.fsrDown)


def test_of_real_top_pairs_a_higher_renormalisation_scale_lowers_the_yield(shared):
    events = next(iter(open_source(shared / "data" / "cms" / "nano_tt_v12.root").iterate(["factors.muR"])))
    nominal = events.weights(None).sum()
    assert events.weights(None, "muRUp").sum() < nominal < events.weights(None, "muRDown").sum()
