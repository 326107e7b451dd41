"""HepMC3: the real file, jets, prompt leptons and weights of files made here, damaged input."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import InputFileError, MissingExtraError, MissingFieldError
from anomalon.events import Events
from anomalon.generator import HepmcFile
from anomalon.generator.clustering import load_fastjet
from anomalon.sources import Source, open_source

pyhepmc = pytest.importorskip("pyhepmc", reason="HepMC3 files need the extra 'generator'")


@pytest.fixture(scope="module")
def path(shared: Path) -> Path:
    return shared / "data" / "generator" / "example.hepmc3"


def load(source: Source, fields: Any = None, chunk: int = 50_000) -> Events:
    return Events.concatenate(source.iterate(fields, chunk))


def test_the_real_file_reads(path: Path) -> None:
    source = open_source(path)
    events = load(source)
    assert (source.format, source.n_events, len(events)) == ("hepmc3", 100, 100)
    (sample,) = events.samples
    assert (sample.origin, sample.sum_gen_weights) == ("generated", 100.0)
    assert sample.cross_section_pb == pytest.approx(1247.76654)  # of the last event
    assert sample.sqrt_s_gev == pytest.approx(92.0)
    # nothing but pairs of taus, which the generator left undecayed, and photons along the beam
    assert ak.sum(ak.num(events.array.photons)) == ak.sum(ak.num(events.array.jets)) == 0


def test_particles_are_those_that_pyhepmc_reads(path: Path) -> None:
    (part,) = HepmcFile(path).iterate(1000)
    with pyhepmc.open(str(path)) as file:
        by_hand = [(p.pid, p.momentum.px, p.status == 1, _mother(p)) for event in file for p in event.particles]
    found = part.particles
    first = np.searchsorted(found.event, found.event)
    mother = np.where(found.mother >= 0, found.mother - first + 1, 0)
    assert list(zip(found.pdg_id, found.px, found.final, mother, strict=True)) == by_hand


def _mother(particle: Any) -> int:
    """Number of the first mother within the event, 0 for none."""
    vertex = particle.production_vertex
    return int(vertex.particles_in[0].id) if vertex is not None and vertex.particles_in else 0


def test_the_chunk_size_and_compression_do_not_change_events(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(gzip.compress(path.read_bytes()))
    expected = load(open_source(path)).array.to_list()
    assert load(open_source(path), chunk=7).array.to_list() == expected
    assert load(open_source(tmp_path / "a.dat")).array.to_list() == expected


Row = tuple[int, float, float, float, float]


def write(
    path: Path, events: list[list[tuple[Row, list[Row]]]], *, weights: list[float] | None = None, unit: Any = None
) -> Path:
    """Events as decays: each (mother, daughters) with rows (pdg id, px, py, pz, mass)."""
    names = ["nominal", "muR=2"][: len(weights or [1.0])]
    run = pyhepmc.GenRunInfo()
    run.weight_names = names
    with pyhepmc.open(str(path), "w") as file:
        for number, decays in enumerate(events):
            event = pyhepmc.GenEvent(unit or pyhepmc.Units.GEV, pyhepmc.Units.MM)
            event.run_info = run
            event.weights = weights or [1.0]
            event.event_number = number
            for mother, daughters in decays:
                vertex = pyhepmc.GenVertex()
                vertex.add_particle_in(particle(mother, 2))
                for daughter in daughters:
                    vertex.add_particle_out(particle(daughter, 1))
                event.add_vertex(vertex)
            file.write(event)
    return path


def particle(row: Row, status: int) -> Any:
    pdg_id, px, py, pz, mass = row
    energy = float(np.sqrt(px**2 + py**2 + pz**2 + mass**2))
    return pyhepmc.GenParticle((px, py, pz, energy), pdg_id, status)


B_JET = ((511, 50.0, 0.0, 0.0, 5.28), [(211, 30.0, 1.0, 0.0, 0.14), (13, 20.0, -1.0, 0.0, 0.106)])
LIGHT_JET = ((111, -40.0, 0.0, 5.0, 0.135), [(22, -25.0, 0.0, 3.0, 0.0), (22, -15.0, 0.0, 2.0, 0.0)])
W = ((24, 0.0, 60.0, 0.0, 80.4), [(-11, 0.0, 45.0, 3.0, 0.0005), (12, 0.0, 15.0, -3.0, 0.0)])


def test_prompt_leptons_jets_and_missing_momentum(tmp_path: Path) -> None:
    pytest.importorskip("fastjet")
    array = load(open_source(write(tmp_path / "a.hepmc", [[B_JET, LIGHT_JET, W]]))).array[0]
    assert array.electrons.to_list() == [
        {
            "pt": 45.0,
            "eta": pytest.approx(np.arcsinh(3 / 45), rel=1e-6),
            "phi": pytest.approx(np.pi / 2, rel=1e-6),
            "mass": pytest.approx(0.000511, rel=1e-4),
            "charge": 1,
        }
    ]
    assert len(array.muons) == len(array.photons) == 0  # from hadrons: part of the jets
    assert array.jets.pt.to_list() == pytest.approx([50.0, 40.0], rel=1e-3)
    assert array.jets.btag.to_list() == [True, False]
    assert (array.met.pt, array.met.phi) == (pytest.approx(15.0), pytest.approx(np.pi / 2, rel=1e-6))


def test_energies_in_mev_become_gev(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.hepmc", [[((23, 0.0, 0.0, 0.0, 91e3), [(13, 4e4, 0.0, 0.0, 106.0)])]], unit=pyhepmc.Units.MEV
    )
    assert load(open_source(path), ["muons"]).array.muons.pt.to_list() == [[pytest.approx(40.0)]]


def test_weights_beyond_the_first_are_variations(tmp_path: Path) -> None:
    events = load(open_source(write(tmp_path / "a.hepmc", [[W], [W]], weights=[2.0, 3.0])), ["met", "factors"])
    assert events.weights(None).tolist() == [2.0, 2.0]
    assert events.weights(None, "weight_muR_2Up").tolist() == [3.0, 3.0]
    assert events.samples[0].sum_gen_weights == 4.0
    assert events.samples[0].cross_section_pb is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "HepMC::Asciiv3-END",
            "HepMC::Asciiv3-MIDDLE",
            "cut short: it ends in line .*, event 99, without HepMC::Asciiv3-END",
        ),
        ("P 1 0 11 ", "P x y z ", "line 4: event 0 is broken"),
        ("W 1.0000000000000000000000e+00", "W one", "line 6: b'W one.*' is not a weight"),
        ("4.5978461985283630e+01", "nan", "line 4: event 0 "),
        ("Asciiv3-START", "IO_GenEvent-START", "'HepMC::Version 3.01.01' is not a HepMC3 listing"),
    ],
)
def test_broken_files_are_refused_by_line(path: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = path.read_text()
    assert old in text
    (tmp_path / "bad.hepmc3").write_text(text.replace(old, new, 1))
    with pytest.raises(InputFileError, match=f"bad.hepmc3.*{message}"):
        load(open_source(tmp_path / "bad.hepmc3"))


def test_a_file_cut_in_the_middle_is_named(path: Path, tmp_path: Path) -> None:
    (tmp_path / "half.hepmc3").write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(InputFileError, match=r"half.hepmc3: cut short: it ends in line \d+, event 31"):
        open_source(tmp_path / "half.hepmc3")


def test_a_listing_without_events_reads(tmp_path: Path) -> None:
    (tmp_path / "none.hepmc3").write_text(
        "HepMC::Version 3.01.01\nHepMC::Asciiv3-START_EVENT_LISTING\nHepMC::Asciiv3-END_EVENT_LISTING\n"
    )
    events = load(open_source(tmp_path / "none.hepmc3"))
    assert (len(events), events.has("jets.btag")) == (0, True)


def test_without_fastjet_all_but_jets_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastjet", None)
    load_fastjet.cache_clear()
    assert len(load(open_source(path), ["electrons", "muons", "met"])) == 100
    with pytest.raises(MissingExtraError, match="jets need FastJet, which is missing"):
        load(open_source(path))


def test_without_pyhepmc_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyhepmc", None)
    with pytest.raises(MissingExtraError, match=r'HepMC3 files need pyhepmc, .* pip install "anomalon\[generator\]"'):
        open_source(path)


def test_a_field_that_particles_lack_is_named(path: Path) -> None:
    with pytest.raises(
        MissingFieldError, match=r"no field 'jets.btag_score' in a HepMC3 file; did you mean 'jets.btag'"
    ):
        open_source(path).iterate(["jets.btag_score"])
