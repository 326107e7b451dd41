"""Files of other generators through PYTHIA and the detector."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.cli import main
from anomalon.errors import ConfigError, InputFileError
from anomalon.simulation import SimulationSettings, file_settings, simulate, simulate_hepmc, simulate_lhe
from anomalon.simulation.blocks import simulate_block
from anomalon.simulation.particles import Particles, record_from_batch
from anomalon.simulation.pythia import Generator
from anomalon.simulation.shower import LheSettings
from anomalon.store import Store

for module, extra in {
    "pythia8mc": "simulate",
    "fastjet": "simulate",
    "pylhe": "generator",
    "pyhepmc": "generator",
}.items():
    pytest.importorskip(module, reason=f"needs the extra '{extra}'")

WEAK = "pylhe-testfile-pythia-8.3.14-weakbosons.lhe"
WBJ = "pylhe-testfile-madgraph-2.0.0-wbj.lhe"
MLM = "pylhe-testfile-madgraph-2.2.1-Z-mlm.lhe.gz"


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data" / "generator"


@pytest.mark.parametrize(
    ("name", "n", "sigma", "error", "weight"),
    [
        (WEAK, 100, 48.76776, 2.195044, 1.0),
        (WBJ, 59, 50.109093, 0.089185, 50.109093),
        ("pylhe-testfile-pr180.lhe", 10, 2.8947316e-19, 9.713655e-22, 2.8947316e-19),
        ("pylhe-testfile-pythia-6.413-ttbar.lhe", 100, 5.4803624, 0.5487961, 1.0),
    ],
)
def test_lhe_files_are_showered_with_their_normalisation(
    folder: Path, name: str, n: int, sigma: float, error: float, weight: float
) -> None:
    simulation = simulate_lhe(folder / name, workers=1, mpi=False, process="named")
    events = simulation.load()
    (sample,) = events.samples
    assert (len(events), sample.process, sample.n_generated) == (n, "named", n)
    assert sample.cross_section_pb == pytest.approx(sigma, rel=1e-6)
    assert sample.cross_section_error_pb == pytest.approx(error, rel=1e-4)
    assert events.array.gen_weight.to_list() == pytest.approx([weight] * n)
    assert events.weights(1.0).sum() == pytest.approx(1000 * sigma, rel=1e-6)
    assert "showered by PYTHIA" in sample.provenance["generator"]


def test_a_hard_lepton_of_the_file_is_found_again(folder: Path) -> None:
    """Of the charged leptons above 30 GeV in the file, most are reconstructed near their momentum."""
    lines = re.findall(r"^ +-?1[13] +1 .*$", (folder / WEAK).read_text(), re.MULTILINE)
    hard = [np.hypot(float(line.split()[6]), float(line.split()[7])) > 30 for line in lines]
    array = simulate_lhe(folder / WEAK, workers=1, mpi=False).load().array
    found = sum(int((np.asarray(pt) > 28).sum()) for name in ("electrons", "muons") for pt in array[name].pt)
    assert 0.5 * sum(hard) < found <= 1.1 * sum(hard)


def test_the_same_seed_gives_the_same_events_and_blocks_do_not_matter(folder: Path) -> None:
    options = {"mpi": False, "n_events": 520, "allow_unmatched": True, "process": "z"}
    settings = file_settings(folder / MLM, **options)
    last = simulate_block(settings, 1)
    assert last.n_generated == 20
    assert last.events.event.to_list() == list(range(500, 520))
    assert simulate_block(file_settings(folder / MLM, **options), 1).events.to_list() == last.events.to_list()
    other = file_settings(folder / MLM, **options | {"seed": 1})
    assert simulate_block(other, 1).events.to_list() != last.events.to_list()


def test_skims_leave_the_sums_of_weights_alone(folder: Path) -> None:
    everything = simulate_lhe(folder / WEAK, workers=1, mpi=False)
    skimmed = simulate_lhe(folder / WEAK, workers=1, mpi=False, skim_leptons=2)
    kept = skimmed.load()
    events = everything.load()
    n_leptons = [len(e) + len(m) for e, m in zip(events.array.electrons.pt, events.array.muons.pt, strict=True)]
    assert 0 < len(kept) == sum(n >= 2 for n in n_leptons) < 100
    assert skimmed.sample.sum_gen_weights == everything.sample.sum_gen_weights == 100


def test_jets_become_leptons_where_asked_and_the_yield_stays(folder: Path) -> None:
    events = simulate_lhe(folder / WEAK, workers=1, mpi=False, fake_leptons=True).load()
    assert len(events) > 100
    assert events.weights(None).sum() == pytest.approx(100.0)


def test_merged_multiplicities_are_refused_unless_allowed(folder: Path) -> None:
    with pytest.raises(InputFileError, match=r"ickkw = 1: a file of merged jet multiplicities"):
        simulate_lhe(folder / MLM)


def test_more_events_than_the_file_holds_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"n_events = 101, the file holds 100; leave it out"):
        simulate_lhe(folder / WEAK, n_events=101)


def test_a_wrong_option_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"skim_lepton\b.*skim_leptons"):
        simulate_lhe(folder / WEAK, skim_lepton=3)


def test_neither_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.lhe").write_text("hello")
    with pytest.raises(InputFileError, match="starts with b'hello': neither an LHE nor a HepMC3 file"):
        file_settings(tmp_path / "x.lhe")


def test_hepmc_files_pass_through_the_detector(folder: Path) -> None:
    simulation = simulate_hepmc(folder / "example.hepmc3", workers=1)
    events = simulation.load()
    assert len(events) == simulation.sample.n_generated == 100
    assert simulation.sample.cross_section_pb == pytest.approx(1247.76654)
    assert simulation.sample.sqrt_s_gev == pytest.approx(92)
    # undecayed taus are what there is to see: two jets, back to back
    assert np.mean(np.asarray([len(jets) for jets in events.array.jets.pt]) == 2) > 0.5


def test_a_hepmc_file_of_pythia_gives_the_detector_what_pythia_would(tmp_path: Path) -> None:
    """Particles, parents and heavy hadrons survive the way through a file."""
    pyhepmc = pytest.importorskip("pyhepmc")
    commands = (
        "Beams:eCM=13000",
        "PartonLevel:MPI=off",
        "WeakSingleBoson:ffbar2gmZ=on",
        "23:onMode=off",
        "23:onIfAny=5",
    )
    batch = Generator(commands).batch(3, 5)
    with pyhepmc.open(str(tmp_path / "z.hepmc"), "w") as file:
        for event in batch:
            file.write(_as_hepmc(pyhepmc, event.prt))
    settings = file_settings(tmp_path / "z.hepmc", process="z")
    found, _ = settings.generate(0)
    expected = record_from_batch(batch)
    assert _sorted(found.particles) == _sorted(expected.particles)
    assert sorted(found.hadrons.is_b) == sorted(expected.hadrons.is_b)
    assert found.hadrons.is_b.any()


def _sorted(particles: Particles) -> list[tuple[Any, ...]]:
    columns = (
        particles.event,
        particles.pdg_id,
        particles.prompt,
        np.round(particles.px, 9),
        np.round(particles.pz, 9),
    )
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _as_hepmc(pyhepmc: Any, particles: Any) -> Any:
    """Each particle with the first of its mothers; the event entry of PYTHIA is left out."""
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    rows = list(
        zip(
            particles.id,
            particles.status,
            particles.mother1,
            particles.p.px,
            particles.p.py,
            particles.p.pz,
            particles.p.e,
            strict=True,
        )
    )
    made = [
        pyhepmc.GenParticle((px, py, pz, e), int(i), 1 if status > 0 else 2) for i, status, _, px, py, pz, e in rows
    ]
    vertices: dict[int, Any] = {}
    for row, (_, _, mother, *_) in enumerate(rows):
        if row and mother:
            if mother not in vertices:
                vertices[mother] = pyhepmc.GenVertex()
                vertices[mother].add_particle_in(made[mother])
            vertices[mother].add_particle_out(made[row])
    event.add_tree([made[1], made[2]])
    return event


def test_the_command_takes_a_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", str(folder / WBJ), "--output", str(tmp_path / "wbj"), "--name", "Wbj", "--no-mpi"]
    assert run([*arguments, "--workers", "1"]) == 0
    assert "59 of 59 generated events" in " ".join(capsys.readouterr().out.split())
    store = Store(tmp_path / "wbj")
    assert (store.n_events, store.samples[0].process) == (59, "Wbj")
    assert store.ledger is not None
    assert store.ledger.entries[0].file.startswith(str(folder / WBJ))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothere.lhe"], "nothere.lhe: cannot be read"),
        (["wz", "--name", "x"], "--name x: only the process of an event file needs one"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["simulate", *arguments, "--output", str(tmp_path / "s")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_a_catalogue_process_still_goes_through_the_same_blocks() -> None:
    settings = SimulationSettings(process="wz", n_events=3, mpi=False)
    assert not isinstance(settings, LheSettings)
    assert len(simulate(settings, workers=1).load()) == 3
