"""LHC Olympics files in both forms, written here as pandas writes them."""

from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import pytest

from anomalon.errors import InputFileError
from anomalon.events import Events
from anomalon.kinematics import cartesian
from anomalon.sources import ingest, open_source
from anomalon.sources.lhco_clustering import cluster
from anomalon.store import Store

JETS = ["pxj1", "pyj1", "pzj1", "mj1", "tau1j1", "tau2j1", "tau3j1", "pxj2", "pyj2", "pzj2", "mj2"]
JETS += ["tau1j2", "tau2j2", "tau3j2", "label"]


def fixed(path, columns, table):
    """The fixed format of pandas: one block of numbers and the names of its columns."""
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        group["block0_values"], group["block0_items"], group["axis1"] = table, columns, np.arange(len(table))
    return path


def per_jet(path, n=6):
    rng = np.random.default_rng(1)
    table = rng.uniform(100, 2000, (n, len(JETS)))
    table[:, -1] = np.arange(n) % 2
    table[0, 7:14] = 0  # one jet only
    return fixed(path, [name.encode() for name in JETS], table), table


def particles(n=4, label=True):
    """Two narrow bunches of particles back to back, each of two prongs; the first event is empty."""
    rng = np.random.default_rng(2)
    table = np.zeros((n, 700, 3))
    for event in table[1:]:
        event[:60, 0] = rng.uniform(1, 30, 60)
        event[:60, 1] = rng.normal(0, 0.02, 60) + 0.3 * (np.arange(60) % 2)
        event[:60, 2] = rng.normal(0, 0.02, 60) + np.where(np.arange(60) < 30, 0.0, 3.0)
    flat = table.reshape(n, -1)
    return np.column_stack([flat, np.arange(n) % 2]) if label else flat


def test_jets_in_columns_become_fat_jets(tmp_path):
    path, table = per_jet(tmp_path / "a.h5")
    source = open_source(path)
    assert (source.format, source.n_events) == ("lhc-olympics", 6)
    (events,) = source.iterate()
    assert ak.num(events.array.fatjets).to_list() == [1, 2, 2, 2, 2, 2]
    jet = events.array.fatjets[0, 0]
    px, py, pz, _ = cartesian(*(float(jet[q]) for q in ("pt", "eta", "phi", "mass")))
    assert [px, py, pz, float(jet.mass), float(jet["tau1"]), float(jet["tau2"])] == pytest.approx(
        table[0, [0, 1, 2, 3, 4, 5]], rel=1e-5
    )
    assert bool(ak.all(events.array.fatjets.pt[1:, 0] >= events.array.fatjets.pt[1:, 1]))
    assert [(s.name, s.n_generated) for s in events.samples] == [("background", 3), ("signal", 3)]
    assert events.processes().tolist() == ["background", "signal"] * 3


@pytest.mark.parametrize("label", [True, False])
def test_particles_are_clustered_into_fat_jets_with_two_prongs(tmp_path, label):
    pytest.importorskip("fastjet")
    table = particles(label=label)
    path = fixed(tmp_path / "a.h5", np.arange(table.shape[1]), table)
    (events,) = open_source(path).iterate()
    jets = events.array.fatjets
    assert ak.num(jets).to_list() == [0, 2, 2, 2]
    scalar = table[1:, :2100].reshape(3, 700, 3)[:, :, 0].sum(axis=1)
    assert ak.to_numpy(ak.sum(jets.pt, axis=1))[1:] == pytest.approx(scalar, rel=0.01)
    tau1, tau2, tau3 = (jets[f"tau{n}"] for n in (1, 2, 3))
    assert bool(ak.all(tau2 < 0.3 * tau1))
    assert bool(ak.all(tau3 < tau2))
    assert float(ak.min(tau1)) == pytest.approx(0.15, abs=0.03)
    assert len(events.samples) == (2 if label else 1)


def test_clusters_are_those_of_a_loop_over_events():
    fastjet = pytest.importorskip("fastjet")
    rng = np.random.default_rng(5)
    table = np.zeros((5, 700, 3))
    table[:, :80] = np.stack(
        [rng.exponential(5, (5, 80)), rng.normal(0, 1.5, (5, 80)), rng.uniform(-3, 3, (5, 80))], axis=-1
    )
    found = cluster(table, 20.0)
    start = 0
    for event, n in zip(table, found.counts, strict=True):
        pseudo = [fastjet.PseudoJet(*(float(v) for v in cartesian(*p, 0.0))) for p in event[event[:, 0] > 0]]
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0)
        sequence = fastjet._swig.ClusterSequence(pseudo, definition)
        jets = fastjet.sorted_by_pt(sequence.inclusive_jets(20.0))
        assert [jet.pt() for jet in jets] == pytest.approx(found.columns["pt"][start : start + n])
        for i, jet in enumerate(jets):
            parts = jet.constituents()
            kt = fastjet._swig.ClusterSequence(parts, fastjet.JetDefinition(fastjet.kt_algorithm, 1.0))
            for k in (1, 2, 3):
                axes = kt.exclusive_jets(k) if len(parts) > k else []
                sums = (
                    sum(p.pt() * min(np.hypot(p.eta() - a.eta(), p.delta_phi_to(a)) for a in axes) for p in parts)
                    if axes
                    else 0
                )
                assert found.columns[f"tau{k}"][start + i] == pytest.approx(sums / sum(p.pt() for p in parts), abs=1e-9)
        start += n


def test_fat_jets_are_kept_in_a_store(tmp_path):
    path, _ = per_jet(tmp_path / "a.h5")
    ingest([path], tmp_path / "s")
    events = Store(tmp_path / "s").load()
    (expected,) = open_source(path).iterate()
    assert events.array.fatjets.to_list() == expected.array.fatjets.to_list()


def test_events_by_hand_may_have_fat_jets():
    jets = [{"pt": p, "eta": 0.0, "phi": 1.0, "mass": 90.0, "tau1": 0.4, "tau2": 0.1} for p in (200.0, 300.0)]
    events = Events.from_dicts([{"fatjets": jets}, {}])
    assert events.array.fatjets.pt.to_list() == [[300, 200], []]
    assert events.array.fatjets.fields == ["pt", "eta", "phi", "mass", "tau1", "tau2"]
    assert not Events.from_dicts([{}]).has("fatjets")


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_the_chunk_size_does_not_change_the_events(tmp_path, chunk):
    path, _ = per_jet(tmp_path / "a.h5", 9)
    parts = list(open_source(path).iterate(["fatjets.mass"], chunk=chunk))
    assert [i for part in parts for i in part.array.event.to_list()] == list(range(9))
    assert parts[0].array.fatjets.fields == ["pt", "mass"]


def test_a_label_that_is_neither_is_refused(tmp_path):
    path, table = per_jet(tmp_path / "a.h5")
    table[3, -1] = 7
    fixed(path, [name.encode() for name in JETS], table)
    with pytest.raises(InputFileError, match=r"a\.h5: label 7 in row 3, expected 0 or 1"):
        open_source(path).info()
