"""Flat files: a mapping names every column, text is checked line by line, shipped mappings read the real files."""

from __future__ import annotations

import gzip
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from anomalon.errors import ConfigError, InputFileError, MissingFieldError
from anomalon.kinematics import M_MUON, M_Z, invariant_mass
from anomalon.sources import ReadSettings, ingest, open_source
from anomalon.sources.flat import open_flat
from anomalon.sources.mapping import FlatMapping, load_mapping

MAPPINGS = Path(__file__).resolve().parents[2] / "examples" / "mappings"
PAIR = {
    "event": "id",
    "muons": {"slots": 2, "columns": {"pt": "mu#_pt", "eta": "mu#_eta", "phi": "mu#_phi"}, "constants": {"charge": -1}},
}
HEAD = "id,mu1_pt,mu2_pt,mu1_eta,mu2_eta,mu1_phi,mu2_phi"
ROWS = ("5,30,40,0.5,-1,1,2", "6,50,,1.5,,3,", "7,0,0,0,0,0,0", "8,20,10,0,0,0,3.2")


def csv(path, *rows, head=HEAD, end="\n"):
    path.write_text("\n".join([head, *rows]) + end)
    return path


def read(path, mapping=PAIR):
    (events,) = open_flat(path, FlatMapping.parse(mapping)).iterate()
    return events


def masses(objects):
    two = [tuple(objects[q][:, i] for q in ("pt", "eta", "phi", "mass")) for i in (0, 1)]
    return ak.to_numpy(invariant_mass(two))


REAL = {
    "csv/Zmumu_Run2011A.csv": ("zmumu", 10_583),
    "csv/2e2mu_2012.csv": ("four_leptons", None),
    "csv/4mu_2012.csv": ("four_leptons", None),
    "cms/flat_zz.root": ("cms_tutorial", 2421),
    "cms/flat_ww.root": ("cms_tutorial", 4580),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_with_the_shipped_mappings(tmp_path, shared, name):
    mapping, n = REAL[name]
    path = shared / "data" / name
    store = ingest([path], tmp_path / "s", ReadSettings(mapping=MAPPINGS / f"{mapping}.yaml"))
    assert store.ledger.check().totals.read == (n or len(path.read_text().split()) - 1)
    assert store.samples[0].is_data == name.startswith("csv")


@pytest.mark.parametrize("name", REAL)
def test_real_flat_files_need_a_mapping(shared, name):
    with pytest.raises(
        InputFileError, match=r"needs a mapping: --mapping FILE; its columns are (Run, Event|NJet, Jet_Px)"
    ):
        open_source(shared / "data" / name)


def test_the_z_boson_is_in_the_muon_pairs(shared):
    events = open_flat(shared / "data/csv/Zmumu_Run2011A.csv", load_mapping(MAPPINGS / "zmumu.yaml"))
    muons = ak.concatenate([part.array.muons for part in events.iterate()])
    assert np.median(masses(muons)) == pytest.approx(90.3, abs=0.1)


def test_four_lepton_masses_are_those_of_the_file(shared):
    path = shared / "data/csv/2e2mu_2012.csv"
    (events,) = open_flat(path, load_mapping(MAPPINGS / "four_leptons.yaml")).iterate()
    names = path.read_text().split("\n")[0].split(",")
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    expected = {round(v, 2) for v in table[:, names.index("mZ1")]} | {round(v, 2) for v in table[:, names.index("mZ2")]}
    assert set(ak.num(events.array.electrons).to_list()) == {2}
    close = [min(abs(m - e) for e in expected) < 0.02 * m for m in masses(events.array.muons)]
    assert np.mean(close) == 1


def test_tutorial_pairs_make_a_z_boson(shared):
    (events,) = open_flat(shared / "data/cms/flat_zz.root", load_mapping(MAPPINGS / "cms_tutorial.yaml")).iterate()
    muons = events.array.muons[ak.num(events.array.muons) == 2]
    assert np.median(masses(muons)) == pytest.approx(M_Z, abs=2)
    assert float(ak.max(abs(muons.mass))) < 1
    assert {"btag", "btag_score"} <= set(events.array.jets.fields)


@pytest.mark.parametrize("packed", [False, True])
def test_slots_become_lists_and_empty_ones_hold_nothing(tmp_path, packed):
    path = csv(tmp_path / "a.csv", *ROWS)
    if packed:
        (tmp_path / "b.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "b.csv.gz"
    events = read(path)
    assert events.array.event.to_list() == [5, 6, 7, 8]
    assert events.array.muons.pt.to_list() == [[40, 30], [50], [], [20, 10]]
    assert float(events.array.muons.phi[3, 1]) == pytest.approx(3.2 - 2 * np.pi, abs=1e-6)
    assert set(ak.flatten(events.array.muons.charge).to_list()) == {-1}
    assert ak.flatten(events.array.muons.mass).to_list() == pytest.approx([M_MUON] * 5)


def test_the_same_events_from_csv_hdf5_and_root(tmp_path):
    rng = np.random.default_rng(3)
    table = {name: rng.uniform(20, 60, 30) if "pt" in name else rng.uniform(-2, 2, 30) for name in HEAD.split(",")}
    table["id"] = np.arange(30.0)
    rows = [",".join(repr(float(v[i])) for v in table.values()) for i in range(30)]
    files = [csv(tmp_path / "a.csv", *rows, end="")]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in table.items():
            file[f"events/{name}"] = values
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["t"] = np.rec.fromarrays(list(table.values()), names=list(table))
    with uproot.recreate(tmp_path / "a.root") as file:
        file["tree"] = table
    files += [tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "a.root"]
    expected, *others = [read(file).array.to_list() for file in files]
    assert all(other == expected for other in others)


def test_momenta_may_be_cartesian_ragged_and_in_mev(tmp_path):
    momentum = {"px": [[3e4, -1e4], [], [2e4]], "py": [[4e4, 1e4], [], [0.0]], "pz": [[0.0, 1e4], [], [5e4]]}
    arrays = {name: ak.Array(values) for name, values in momentum.items()}
    arrays["e"] = np.sqrt(arrays["px"] ** 2 + arrays["py"] ** 2 + arrays["pz"] ** 2 + 1e8)
    with uproot.recreate(tmp_path / "a.root") as file:
        file["t"] = {f"jet_{name}": values for name, values in arrays.items()}
    columns = {"px": "jet_px", "py": "jet_py", "pz": "jet_pz", "energy": "jet_e"}
    jets = read(tmp_path / "a.root", {"unit": "MeV", "jets": {"columns": columns}}).array.jets
    assert ak.num(jets).to_list() == [2, 0, 1]
    assert jets.pt[0].to_list() == pytest.approx([50, np.sqrt(200)])
    assert ak.flatten(jets.mass).to_list() == pytest.approx([10] * 3, rel=1e-4)
    with pytest.raises(InputFileError, match=r"leading jets\.pt is .* GeV.*not in GeV; change 'unit'"):
        read(tmp_path / "a.root", {"jets": {"columns": columns}})


BAD = {
    "9,30,40,0.5,-1,1": "missing field",
    "9,30,40,0.5,-1,1,2,3": "too many fields",
    "9,30,4o,0.5,-1,1,2": "text in a number: mu2_pt = '4o'",
}


@pytest.mark.parametrize("row", BAD)
def test_a_damaged_line_is_named_or_counted(tmp_path, row):
    path = csv(tmp_path / "a.csv", *ROWS, row, ROWS[0].replace("5,", "10,", 1))
    (tmp_path / "m.yaml").write_text(f"event: id\nmuons: {PAIR['muons']}\n")
    settings = ReadSettings(mapping=tmp_path / "m.yaml")
    with pytest.raises(InputFileError, match=rf"a\.csv, line 6: {BAD[row]}.*--lenient"):
        ingest([path], tmp_path / "s", settings)
    store = ingest([path], tmp_path / "s", settings.model_copy(update={"lenient": True}))
    (entry,) = store.ledger.check()
    assert (entry.read, entry.written, sum(entry.skipped.values())) == (6, 5, 1)
    assert store.samples[0].sum_gen_weights == 5
    assert store.load().array.event.to_list() == [5, 6, 7, 8, 10]


def test_a_number_that_is_half_there_is_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"muons: a momentum that is only half there: pt = nan, eta = 1, phi = 2"):
        read(csv(tmp_path / "a.csv", "1,,30,1,1,2,2"))
    with pytest.raises(InputFileError, match=r"event = nan in row 1: every event needs a number"):
        read(csv(tmp_path / "a.csv", ",20,30,1,1,2,2"))


def test_a_column_that_is_not_there_is_named_with_near_ones(tmp_path):
    with pytest.raises(MissingFieldError, match=r"no column 'mu1_pT', which the mapping names; did you mean 'mu1_pt'"):
        read(
            csv(tmp_path / "a.csv", *ROWS),
            {"muons": {"slots": 2, "columns": {"pt": "mu#_pT", "eta": "mu#_eta", "phi": "mu#_phi"}}},
        )


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "maps nothing"),
        ({"muon": {}}, "unknown key 'muon'; did you mean 'muons'"),
        (
            {"muons": {"columns": {"pt": "a", "eta": "b"}}},
            "muons: needs pt, eta, phi or px, py, pz, energy; given eta, pt",
        ),
        ({"muons": {"columns": {"pt": "a", "eta": "b", "phi": "c", "px": "d"}}}, "muons: needs"),
        (
            {"muons": {"columns": {"pt": "a", "eta": "b", "phi": "c", "chrge": "d"}}},
            "unknown quantity 'chrge'; did you mean 'charge'",
        ),
        ({"muons": {"columns": {"pt": "a#", "eta": "b#", "phi": "c#"}}}, "say how many 'slots'"),
        ({"muons": {"slots": 2, "columns": {"pt": "a", "eta": "b", "phi": "c"}}}, "'slots' without a '#'"),
        ({"jets": {"btag_above": 1, "columns": {"pt": "a", "eta": "b", "phi": "c"}}}, "btag_above needs btag_score"),
        ({"unit": "TeV", "met": {"columns": {"pt": "a", "phi": "b"}}}, "unit"),
    ],
)
def test_a_wrong_mapping_is_explained(mapping, message):
    with pytest.raises(ConfigError, match=message):
        FlatMapping.parse(mapping)


def test_tables_that_are_ambiguous_or_uneven_are_refused(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["one"], file["two"] = {"x": np.zeros(2)}, {"x": np.zeros(2)}
    with pytest.raises(InputFileError, match="holds the tables one, two: say which"):
        read(tmp_path / "a.root")
    with pytest.raises(InputFileError, match="no table 'three'; allowed: one, two"):
        read(tmp_path / "a.root", PAIR | {"table": "three"})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = np.zeros(2), np.zeros(3)
    with pytest.raises(InputFileError, match=r"different lengths \[2, 3\]"):
        read(tmp_path / "a.h5")
    with pytest.raises(InputFileError, match="column 'a' is there twice"):
        read(csv(tmp_path / "a.csv", "1,2", head="a,a"))


def test_a_table_without_rows_has_no_events(tmp_path):
    assert len(read(csv(tmp_path / "a.csv"))) == 0
