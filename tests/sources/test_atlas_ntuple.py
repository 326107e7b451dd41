"""ATLAS mini-ntuples: the real files, collision data told from simulation, weights, units, damaged input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import Events
from anomalon.sources import ReadSettings, ingest, open_source
from anomalon.sources.atlas_ntuple import AtlasNtupleSource

FILES = [("data_A.4lep.root", 39), ("data_B.4lep.root", 156)]
OTHERS = {"PHYSLITE_example.root"}  # in test_physlite.py


def load(source: Any, fields: Any = None, chunk: int = 50_000) -> Events:
    return Events.concatenate(source.iterate(fields, chunk))


def plain(path: Path, branch: str) -> Any:
    with uproot.open(path) as file:
        return file["mini"][branch].array()


def test_every_file_of_the_folder_is_in_a_table(shared: Path) -> None:
    assert {path.name for path in (shared / "data" / "atlas").iterdir()} == {name for name, _ in FILES} | OTHERS


@pytest.mark.parametrize(("name", "n"), FILES)
def test_real_files_are_collision_data_in_gev(shared: Path, name: str, n: int) -> None:
    path = shared / "data" / "atlas" / name
    source = open_source(path)
    events = load(source)
    assert (source.format, source.n_events, len(events)) == ("atlas-mini-ntuple", n, n)
    assert events.is_data().all()
    assert events.weights().tolist() == [1.0] * n
    array, kinds = events.array, plain(path, "lep_type")
    for collection, code in (("electrons", 11), ("muons", 13)):
        expected = ak.sort(plain(path, "lep_pt")[kinds == code], ascending=False) / 1000
        assert ak.to_list(ak.num(array[collection])) == ak.to_list(ak.num(expected))
        assert np.allclose(ak.flatten(array[collection].pt), ak.flatten(expected), rtol=1e-6)
    assert np.allclose(array.met.pt, plain(path, "met_et") / 1000, rtol=1e-6)
    assert ak.all(ak.num(array.electrons) + ak.num(array.muons) >= 4)


def test_event_numbers_are_unsigned_and_none_repeats(shared: Path) -> None:
    path = shared / "data" / "atlas" / "data_B.4lep.root"
    array = load(open_source(path), ["met"]).array
    assert ak.min(plain(path, "eventNumber")) < 0 < ak.min(array.event)
    assert len(set(zip(array.run.to_list(), array.event.to_list(), strict=True))) == 156


def test_impact_parameter_significance_keeps_the_sign_of_d0(shared: Path) -> None:
    path = shared / "data" / "atlas" / "data_A.4lep.root"
    first = load(open_source(path), ["electrons"]).array[0].electrons
    assert first.d0_significance.to_list() == pytest.approx([-1.358465, 0.447778], rel=1e-5)


def test_isolation_is_the_larger_of_the_two_ratios(shared: Path) -> None:
    first = load(open_source(shared / "data" / "atlas" / "data_A.4lep.root"), ["electrons"]).array[0].electrons
    assert first.isolation.to_list() == pytest.approx([913.66357 / 49138.34, 1455.16748 / 43451.65], rel=1e-5)


def test_only_what_is_asked_for_is_read(shared: Path) -> None:
    events = load(open_source(shared / "data" / "atlas" / "data_A.4lep.root"), ["muons.eta", "triggers"])
    assert events.array.muons.fields == ["pt", "eta"]
    assert events.array.triggers.fields == ["electron", "muon", "photon"]
    assert not events.has("jets")


def test_data_goes_into_a_store_with_its_triggers(shared: Path, tmp_path: Path) -> None:
    store = ingest([shared / "data" / "atlas" / "data_*.root"], tmp_path / "store", ReadSettings(process="data"))
    events = store.load()
    assert len(events) == 195
    assert events.is_data().all()
    assert events.has("triggers.electron")


def branches(n: int = 6, **changes: Any) -> dict[str, Any]:
    """A simulated mini-ntuple: one electron and one muon per event, in MeV."""
    pair = np.tile(np.array([30e3, 20e3], dtype=np.float32), (n, 1))
    values: dict[str, Any] = {
        "runNumber": np.full(n, 284500, np.int32),
        "eventNumber": np.arange(n, dtype=np.int32),
        "channelNumber": np.full(n, 361106, np.int32),
        "mcWeight": np.linspace(-1, 2, n).astype(np.float32),
        "XSection": np.full(n, 1950.5, np.float32),
        "SumWeights": np.full(n, 4096.0, np.float32),
        **{f"scaleFactor_{name}": np.full(n, 0.5, np.float32) for name in ("PILEUP", "ELE", "MUON", "LepTRIGGER")},
        "scaleFactor_BTAG": np.full(n, 3.0, np.float32),
        "lep_type": np.tile(np.array([11, 13], np.uint32), (n, 1)),
        "lep_pt": pair,
        "lep_eta": 0 * pair,
        "lep_phi": 0 * pair,
        "jet_pt": 2 * pair,
        "jet_eta": 0 * pair,
        "jet_phi": 0 * pair,
        "jet_E": np.hypot(2 * pair, 5e3).astype(np.float32),
        "jet_MV2c10": np.tile(np.array([0.6, 0.7], np.float32), (n, 1)),
        "met_et": np.full(n, 25e3, np.float32),
        "met_phi": np.zeros(n, np.float32),
    }
    return {k: v for k, v in (values | changes).items() if v is not None}


def write(path: Path, values: dict[str, Any]) -> Path:
    jagged = {k: ak.from_regular(ak.Array(v)) if v.ndim == 2 else v for k, v in values.items()}
    with uproot.recreate(path) as file:
        tree = file.mktree("mini", {k: v.dtype if v.ndim == 1 else f"var * {v.dtype.name}" for k, v in values.items()})
        tree.extend(jagged)
    return path


def test_weights_are_the_formula_of_the_release(tmp_path: Path) -> None:
    events = load(open_source(write(tmp_path / "mc.root", branches())))
    (sample,) = events.samples
    assert (sample.process, sample.cross_section_pb, sample.sum_gen_weights) == ("unknown", pytest.approx(1950.5), 4096)
    expected = np.linspace(-1, 2, 6) * 0.5**4 * 1950.5 * 1000 * 10 / 4096
    assert events.weights(10.0) == pytest.approx(expected, rel=1e-6)


def test_scale_factors_belong_to_the_weight_whatever_is_asked_for(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "mc.root", branches()))
    weights = load(source, ["met.pt"]).weights()
    assert weights == pytest.approx(load(source).weights())
    assert load(source, ["met.pt", "factors.scale_factor_btag"]).weights() == pytest.approx(3 * weights)


def test_the_normalisation_of_the_file_reaches_the_store(tmp_path: Path) -> None:
    write(tmp_path / "mc.root", branches())
    (sample,) = ingest([tmp_path / "mc.root"], tmp_path / "store", ReadSettings(process="Zee")).samples
    assert (sample.process, sample.cross_section_pb) == ("Zee", pytest.approx(1950.5))


def test_jets_get_their_mass_from_the_energy_and_their_tag_from_the_score(tmp_path: Path) -> None:
    array = load(open_source(write(tmp_path / "mc.root", branches()))).array
    assert array.jets.mass[0].to_list() == pytest.approx([5.0, 5.0], rel=1e-3)
    assert array.jets.btag[0].to_list() == [False, True]


def test_the_chunk_size_does_not_change_events(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "mc.root", branches(20)))
    assert load(source, chunk=3).array.to_list() == load(source).array.to_list()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mcWeight": np.zeros(6, np.float32)}, "6 of 6 events have mcWeight 0 and 0 have their run number"),
        ({"channelNumber": np.full(6, 284500, np.int32)}, "0 of 6 events have mcWeight 0 and 6"),
        ({"XSection": np.arange(1, 7, dtype=np.float32)}, r"6 values of XSection \(1, 2, 3, ...\): several datasets"),
        ({"channelNumber": None}, "tree 'mini' has no branch channelNumber"),
        ({"lep_pt": np.full((6, 2), 30.0, np.float32)}, "median of the leading .* is 0.03 GeV, .* is in MeV"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "mc.root", branches(**changes))
    with pytest.raises(InputFileError, match=message):
        load(open_source(path))


def test_a_missing_branch_is_named_with_what_needs_it(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "mc.root", branches(met_phi=None)))
    with pytest.raises(
        MissingFieldError, match=r"mc.root: missing branch: met.phi needs met_phi; did you mean 'jet_phi'"
    ):
        source.iterate(["met"])
    with pytest.raises(MissingFieldError, match=r"no field 'muon.pt' in an ATLAS mini-ntuple; did you mean 'muons.pt'"):
        source.iterate(["muon.pt"])
    assert source.info().missing["met.phi"] == "met_phi"


def test_a_file_without_events_is_simulation_and_reads(tmp_path: Path) -> None:
    events = load(AtlasNtupleSource(write(tmp_path / "mc.root", branches(0))))
    assert (len(events), events.has("muons.pt")) == (0, True)


def test_a_file_cut_short_is_named(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "data" / "atlas" / "data_A.4lep.root").read_bytes()
    (tmp_path / "half.root").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputFileError, match=r"half.root: cut short: 12913 of 25826 bytes"):
        open_source(tmp_path / "half.root")
