"""NanoAOD: every real file is read or refused with the right message; laws of reading; damaged files."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import Events
from anomalon.sources import nanoaod, open_source
from anomalon.sources.nanoaod import NanoAODSource
from tests.sources.nano_files import as_data, nano_branches, write_nano

RNTUPLE = "cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root"
MUONS_ONLY = "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root"
READ = [
    # file, events, data, sum of generator weights
    ("nano_dy.root", 40, False, 15166686735.858717),
    ("nano_dimuon.root", 40, True, None),
    ("nano_tt_v12.root", 200, False, 66735.30541992188),
    ("nanoAOD_2015_CMS_Open_Data_ttbar.root", 200, False, 33432083.0625),
    (RNTUPLE, 10, False, 10.0),
]
REFUSED = [
    ("missing_luminosityBlock.root", MissingFieldError, r"missing branch: lumi needs luminosityBlock"),
    (
        MUONS_ONLY,
        MissingFieldError,
        r"event needs event, lumi needs luminosityBlock, run needs run; the file has Muon_",
    ),
    ("flat_ww.root", InputFileError, r"a flat file needs a mapping: --mapping FILE; its columns are NJet, Jet_Px"),
    ("flat_zz.root", InputFileError, r"a flat file needs a mapping: --mapping FILE"),
]


def load(source: NanoAODSource, fields=None, chunk: int = 50_000) -> Events:
    return Events.concatenate(source.iterate(fields, chunk))


def test_every_file_of_the_folder_is_in_a_table(shared):
    known = {row[0] for row in READ} | {row[0] for row in REFUSED}
    assert {path.name for path in (shared / "data" / "cms").iterdir()} == known


@pytest.mark.parametrize(("name", "n", "is_data", "total"), READ)
def test_real_files_are_read(shared, name, n, is_data, total):
    source = open_source(shared / "data" / "cms" / name)
    events = load(source)
    assert (source.format, source.n_events, len(events)) == ("cms-nanoaod", n, n)
    assert events.is_data().all() == is_data
    (sample,) = events.samples
    assert sample.process == ("data" if is_data else "unknown")
    assert sample.sum_gen_weights == (None if total is None else pytest.approx(total, rel=1e-9))
    assert events.has("electrons.d0_significance")
    assert events.has("jets.btag")
    for name in ("electrons", "muons", "jets"):
        pt = events.array[name].pt
        assert ak.all(pt[:, 1:] <= pt[:, :-1])


@pytest.mark.parametrize(("name", "error", "message"), REFUSED)
def test_other_real_files_are_refused_by_what_is_missing(shared, name, error, message):
    with pytest.raises(error, match=message):
        open_source(shared / "data" / "cms" / name).iterate()


def test_info_says_what_a_file_lacks(shared):
    info = open_source(shared / "data" / "cms" / "missing_luminosityBlock.root").info()
    assert dict(info.missing) == {"lumi": "luminosityBlock"}
    info = open_source(shared / "data" / "cms" / MUONS_ONLY).info()
    assert {"run", "lumi", "event", "electrons", "jets", "met"} < set(info.missing)
    assert info.fields == ("muons.pt", "muons.eta", "muons.phi", "muons.mass", "muons.charge")


def test_trileptons_of_the_ttbar_file(shared):
    array = load(open_source(shared / "data" / "cms" / "nano_tt_v12.root"), ["electrons", "muons"]).array
    leptons = ak.concatenate([array[name][abs(array[name].eta) < 2.5].pt for name in ("electrons", "muons")], axis=1)
    leading = ak.fill_none(ak.pad_none(ak.sort(leptons, ascending=False), 3), 0)
    assert int(ak.sum((leading[:, 0] > 20) & (leading[:, 1] > 15) & (leading[:, 2] > 10))) == 38


def test_values_are_those_of_the_branches(tmp_path):
    raw = nano_branches(50)
    events = load(open_source(write_nano(tmp_path / "a.root", raw)))
    order = ak.argsort(raw["Muon_pt"], ascending=False)
    muons = events.array.muons
    for name, branch in {
        "pt": "pt",
        "eta": "eta",
        "phi": "phi",
        "charge": "charge",
        "isolation": "pfRelIso03_all",
    }.items():
        assert ak.array_equal(muons[name], raw[f"Muon_{branch}"][order], dtype_exact=False), name
    assert events.array.event.to_list() == raw["event"].tolist()
    assert events.array.lumi.to_list() == raw["luminosityBlock"].tolist()
    assert events.array.gen_weight.to_list() == raw["genWeight"].tolist()
    assert events.array.met.pt.to_list() == raw["MET_pt"].tolist()
    assert {name: str(events.array[name].type.content) for name in ("run", "lumi", "event", "gen_weight")} == {
        "run": "int64", "lumi": "int64", "event": "int64", "gen_weight": "float64",
    }  # fmt: skip


def test_the_impact_parameter_without_an_uncertainty_is_missing_and_not_zero(tmp_path):
    raw = nano_branches(50)
    muons = load(open_source(write_nano(tmp_path / "a.root", raw))).array.muons
    order = ak.argsort(raw["Muon_pt"], ascending=False)
    value, error = (np.asarray(ak.flatten(raw[f"Muon_{name}"][order])) for name in ("dxy", "dxyErr"))
    got = np.asarray(ak.flatten(muons.d0_significance))
    assert np.isnan(got[error == 0]).all()
    assert np.allclose(got[error > 0], value[error > 0] / error[error > 0])


def test_muon_identification_is_on_the_scale_of_electrons(tmp_path):
    raw = nano_branches(50)
    muons = load(open_source(write_nano(tmp_path / "a.root", raw))).array.muons
    order = ak.argsort(raw["Muon_pt"], ascending=False)
    flags = [ak.flatten(raw[f"Muon_{name}Id"][order]) for name in ("tight", "medium", "loose")]
    for got, tight, medium, loose in zip(ak.flatten(muons.id), *flags, strict=True):
        assert got == (4 if tight else 3 if medium else 2 if loose else 0)


@pytest.mark.parametrize(
    ("met", "tagger", "cut"),
    [
        ("MET", "btagDeepFlavB", 0.2783),
        ("MET", "btagCSVV2", 0.8484),
        ("PFMET", "btagUParTAK4B", 0.1272),
        ("PuppiMET", "btagPNetB", 0.2450),
    ],
    ids=["v9 and v12", "old", "v15", "puppi only"],
)
def test_names_of_every_version_are_mapped(tmp_path, met, tagger, cut):
    raw = nano_branches(20, met=met, tagger=tagger)
    source = open_source(write_nano(tmp_path / "a.root", raw))
    events = load(source)
    assert events.array.met.pt.to_list() == raw[f"{met}_pt"].tolist()
    assert ak.array_equal(events.array.jets.btag, events.array.jets.btag_score > cut)
    assert events.samples[0].provenance["met"] == met
    assert events.samples[0].provenance["btag"] == f"Jet_{tagger} > {cut}"


def test_particle_flow_met_goes_before_puppi(tmp_path):
    raw = nano_branches(5, met="PFMET")
    raw |= {"PuppiMET_pt": raw["PFMET_pt"] + 1, "PuppiMET_phi": raw["PFMET_phi"]}
    assert load(open_source(write_nano(tmp_path / "a.root", raw))).array.met.pt.to_list() == raw["PFMET_pt"].tolist()


@pytest.mark.parametrize("chunk", [1, 7, 10, 25, 1000])
@pytest.mark.parametrize("step", [None, 10])
def test_chunk_size_does_not_change_events(tmp_path, chunk, step):
    source = open_source(write_nano(tmp_path / "a.root", nano_branches(40), step=step))
    parts = list(source.iterate(chunk=chunk))
    assert max(map(len, parts)) <= chunk
    assert ak.array_equal(Events.concatenate(parts).array, load(source).array, equal_nan=True)


def test_only_the_branches_that_are_needed_are_read(tmp_path, monkeypatch):
    names: set[str] = set()
    original = nanoaod.read_flat
    monkeypatch.setattr(nanoaod, "read_flat", lambda t, n, *range_: names.update(n) or original(t, n, *range_))
    source = open_source(write_nano(tmp_path / "a.root", nano_branches()))
    events = load(source, ["electrons.eta", "met.pt"])
    assert names == {"run", "luminosityBlock", "event", "genWeight", "Electron_pt", "Electron_eta", "MET_pt"}
    assert events.array.electrons.fields == ["pt", "eta"]
    assert ak.array_equal(events.array.electrons.eta, load(source).array.electrons.eta)


def test_a_missing_branch_is_named_before_anything_is_read(tmp_path):
    raw = nano_branches()
    raw["Muon_etta"] = raw.pop("Muon_eta")
    source = open_source(write_nano(tmp_path / "a.root", raw))
    with pytest.raises(MissingFieldError, match=r"a\.root: missing branch: muons.eta needs Muon_eta; .* 'Muon_etta'"):
        source.iterate(["muons"])
    with pytest.raises(MissingFieldError, match=r"no field 'muon.pt' in NanoAOD; did you mean 'muons.pt'"):
        source.iterate(["muon.pt"])
    assert len(load(source, ["electrons"])) == 30


def test_simulation_needs_its_weights_and_data_does_not(tmp_path):
    raw = as_data(nano_branches())
    events = load(open_source(write_nano(tmp_path / "data.root", raw)))
    assert events.is_data().all()
    assert set(events.array.gen_weight.to_list()) == {1.0}
    with pytest.raises(MissingFieldError, match="gen_weight needs genWeight"):
        open_source(write_nano(tmp_path / "mc.root", raw | {"GenMET_pt": raw["MET_pt"]})).iterate()


def test_the_sum_of_weights_is_that_before_any_skim(tmp_path):
    runs = {
        "run": np.array([1, 2], np.uint32),
        "genEventSumw": np.array([10.0, -3.0]),
        "genEventCount": np.array([5, 6]),
    }
    sample = open_source(write_nano(tmp_path / "a.root", nano_branches(), runs=runs)).info().samples[0]
    assert (sample.sum_gen_weights, sample.n_generated) == (7.0, 11)
    assert sample.provenance["sum_gen_weights_from"] == "Runs.genEventSumw"
    raw = nano_branches()
    sample = open_source(write_nano(tmp_path / "b.root", raw)).info().samples[0]
    assert sample.sum_gen_weights == raw["genWeight"].astype(float).sum()
    assert "wrong if the file is a skim" in sample.provenance["sum_gen_weights_from"]


def test_file_names_are_not_believed(shared):
    source = open_source(shared / "data" / "cms" / "nanoAOD_2015_CMS_Open_Data_ttbar.root")
    assert source.info().samples[0].process == "unknown"


def test_not_a_number_is_passed_on_to_be_counted_later(tmp_path):
    raw = nano_branches(3) | {"MET_pt": np.array([1, np.nan, np.inf], np.float32)}
    got = load(open_source(write_nano(tmp_path / "a.root", raw))).array.met.pt.to_numpy()
    assert np.array_equal(got, raw["MET_pt"], equal_nan=True)


def test_energies_in_mev_are_refused(tmp_path):
    raw = nano_branches()
    raw["Jet_pt"] = raw["Jet_pt"] * 1000
    source = open_source(write_nano(tmp_path / "a.root", raw))
    with pytest.raises(InputFileError, match=r"median of the leading Jet_pt is \d+ GeV.*MeV"):
        source.iterate()
    assert len(load(source, ["muons"])) == 30


def test_a_file_without_events_is_legal(tmp_path):
    events = load(open_source(write_nano(tmp_path / "a.root", nano_branches(0))))
    assert len(events) == 0
    assert events.array.muons.fields[:4] == ["pt", "eta", "phi", "mass"]


def test_empty_cut_and_treeless_files_have_their_own_messages(tmp_path, shared):
    empty, cut, bare, text = (tmp_path / f"{name}.root" for name in ("empty", "cut", "bare", "text"))
    empty.touch()
    cut.write_bytes((shared / "data" / "cms" / "nano_dy.root").read_bytes()[:176299])
    with uproot.recreate(bare) as file:
        file["note"] = "no tree here"
    text.write_text("run,lumi,event\n1,2,3\n")
    for path, message in [
        (empty, r"empty\.root: empty file \(0 bytes\)"),
        (cut, r"cut\.root: cut short: 176299 of 352599 bytes are there"),
        (bare, r"bare\.root: a ROOT file without a tree; it holds note"),
        (text, r"text\.root: a flat file needs a mapping"),
        (tmp_path / "none.root", r"none\.root: no such file"),
    ]:
        with pytest.raises(InputFileError, match=message):
            open_source(path)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.7, 0.97])
def test_bytes_lost_in_the_middle_never_give_an_error_of_a_library(tmp_path, place):
    """A hole where nothing is read does no harm; any other gives one line that names the file."""
    path = write_nano(tmp_path / "holes.root", nano_branches(400), step=50)
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + 600] = b"\xff" * 600
    path.write_bytes(content)
    message = ""
    try:
        assert len(load(open_source(path))) == 400
    except InputFileError as error:
        message = str(error)
    assert not message or ("holes.root" in message and "\n" not in message)


def test_a_damaged_basket_is_found_while_reading(tmp_path):
    path = write_nano(tmp_path / "holes.root", nano_branches(400), step=100)
    source = open_source(path)
    branch = uproot.open(path)["Events"]["Muon_phi"]
    where = branch.member("fBasketSeek")[2]
    content = bytearray(path.read_bytes())
    content[where : where + 200] = b"\xff" * 200
    path.write_bytes(content)
    parts = open_source(path).iterate(chunk=100)
    assert len(next(parts)) == len(next(parts)) == 100
    with pytest.raises(InputFileError, match=r"holes\.root, events 200 to 300: damaged"):
        next(parts)
    assert source.n_events == 400
