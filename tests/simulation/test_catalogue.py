"""Every process of the catalogue runs, and the table that comes with it is not stale."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomalon.errors import ConfigError, UnknownNameError
from anomalon.simulation import ELSEWHERE, PROCESSES, SimulationSettings, get_process, simulate_block
from anomalon.simulation.measured import measured
from anomalon.simulation.mixtures import MIXTURES
from anomalon.simulation.pythia import Counts, Generator
from anomalon.simulation.regions import REGIONS

pytest.importorskip("pythia8mc", reason="simulation needs the extra 'simulate'")
pytest.importorskip("fastjet", reason="jets need the extra 'simulate'")

N = 20


def hard_process(name: str, n_events: int) -> Counts:
    """Cross section of the hard process and its decays, without showers: fast and the same."""
    process = get_process(name)
    commands = (*SimulationSettings(process=process, n_events=1).commands(), "PartonLevel:all=off")
    return Generator(commands, process.slha_text()).block(7, n_events)[1]


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_starts_and_makes_events_of_the_cross_section_in_the_table(name: str) -> None:
    settings = SimulationSettings(process=name, n_events=N, seed=3, mpi=False)
    block = simulate_block(settings, 0)
    assert block.n_generated == N
    # Rare points above PYTHIA's maximum weigh more than 1.
    assert N <= block.sum_gen_weights < 1.2 * N
    table = measured().processes[name]
    sigma = block.counts.cross_section_pb * settings.resolved_process.cross_section_factor
    # Twenty events know their cross section to a third or so.
    assert 0.35 < sigma / table.cross_section_pb < 2.5
    assert set(table.acceptance) == set(REGIONS)
    assert min(table.rate_mpi_on, table.rate_mpi_off) > 0


def test_the_table_has_no_process_that_is_gone() -> None:
    assert set(measured().processes) == set(PROCESSES)


@pytest.mark.parametrize(
    "document",
    [
        "Terrazas 2025 (UACJ)",
        "Garcia Ruiz 2024 (UPV)",
        "Senas 2018 (Cantabria)",
        "Barrios 2022 (LIP)",
        "Frette 2023 (Oslo)",
    ],
)
def test_every_document_has_its_processes(document: str) -> None:
    assert any(document in process.source for process in PROCESSES.values())


GARCIA_RUIZ = """njets, w_jets, gam_jets, z_jets, ttbar, wtop, wtopbar, ww, single_top, single_topbar, 2gam, Wgam, ZW,
Zgam, ZZ, single_higgs, ttbarGam, ttbarZ, ttbarHiggs, atop, ttbarW, atopbar, ztop, ztopbar, 4top"""
FRETTE = """Wjets, ttbar, Singletop, ZeeJets, ZmmJets, ZttJets, Higgs, Triboson, TopOther, Diboson2L, Diboson3L,
Diboson4L"""


@pytest.mark.parametrize(("document", "names"), [("Garcia Ruiz", GARCIA_RUIZ), ("Frette", FRETTE)])
def test_every_name_in_the_tables_of_the_documents_is_made_or_explained(document: str, names: str) -> None:
    sources = [item.source for item in (*PROCESSES.values(), *ELSEWHERE.values())]
    parts = [part for source in sources for part in source.split(";") if document in part]
    known = {word.strip(" ,") for part in parts for word in part.partition(":")[2].split()}
    assert {name.strip() for name in names.split(",")} <= known


@pytest.mark.parametrize("name", ["ttZ", "ttw", "triboson", "four-tops", "tW", "tz-fcnc-single"])
def test_what_pythia_lacks_names_the_way_out(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"no matrix element for it; make an LHE file with another generator"):
        get_process(name)


def test_the_nearest_process_exists() -> None:
    assert all(item.nearest in PROCESSES for item in ELSEWHERE.values() if item.nearest)
    assert not set(ELSEWHERE) & set(PROCESSES)


def test_single_bosons_with_and_without_a_hard_jet_are_never_mixed() -> None:
    for process in PROCESSES.values():
        kinds = {command.partition(":")[0] for command in process.commands()}
        assert not {"WeakSingleBoson", "WeakBosonAndParton"} <= kinds, process.name
    for mixture in MIXTURES.values():
        for boson, hard in (("w-lnu", "w-jets"), ("drell-yan", "z-jets")):
            names = {item.resolved.name for item in mixture.ingredients}
            assert boson not in names or not any(name.startswith(hard) for name in names), mixture.name


def test_a_flavour_changing_decay_has_the_cross_section_of_its_branching_ratio() -> None:
    process = get_process("tz-fcnc", br=2e-4)
    forced, every = hard_process("tz-fcnc", 4000), hard_process("ttbar", 4000)
    expected = 2 * every.cross_section_pb * 2e-4 * 0.2160 * 0.0673
    assert forced.cross_section_pb * process.cross_section_factor == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", ["stop-2l", "ww"])
def test_two_forced_w_multiply_the_open_cross_section_by_their_ratio_squared(name: str) -> None:
    whole = {"stop-2l": "stop", "ww": "ww-all"}[name]
    ratio = hard_process(name, 4000).cross_section_pb / hard_process(whole, 4000).cross_section_pb
    assert ratio == pytest.approx(0.2160**2, rel=0.08)


def test_slices_in_pt_add_up_to_the_whole() -> None:
    parts = [hard_process(f"ttbar({cut})", 4000).cross_section_pb for cut in ("pt_max=150", "pt_min=150")]
    assert sum(parts) == pytest.approx(hard_process("ttbar", 4000).cross_section_pb, rel=0.05)


def test_biased_events_carry_weights_that_undo_the_bias() -> None:
    biased = SimulationSettings(process="qcd(pt_min=50,bias=4)", n_events=1)
    batch = Generator((*biased.commands(), "PartonLevel:all=off")).batch(5, 8000)
    weight = np.asarray(batch.info.weights)[:, 0]
    pt = np.sqrt(np.asarray(batch.info.pT2Hat))
    whole, hard = hard_process("qcd(pt_min=50)", 4000), hard_process("qcd(pt_min=200)", 4000)
    fraction = weight[pt > 200].sum() / weight.sum()
    assert np.mean(pt > 200) > 0.2
    assert fraction == pytest.approx(hard.cross_section_pb / whole.cross_section_pb, rel=0.15)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stop(m_lsp=200)", "m_stop - m_lsp = 100 GeV, must be larger than 172.5 GeV for the decay stop -> t N1"),
        ("wr-heavy-neutrino(m_n=4000)", "mass - m_n = -1000 GeV, must be larger than 1 GeV"),
        ("wprime-xy(mass=2000,m_x=1500,m_y=600)", "mass - m_x - m_y = -100 GeV"),
        ("ttdm(m_dm=60)", "for the decay mediator -> dark matter"),
        ("ttbar(pt_min=200,pt_max=100)", "pt_max = 100 GeV, must be larger than pt_min = 200 GeV, or -1 for none"),
        ("ttbar(bias=2)", "bias with pt_min = 0 GeV, must be at least 10 GeV"),
        ("qcd(pt_min=0,bias=4)", "pt_min = 0 is out of range; allowed: 10 to 6000 GeV"),
    ],
)
def test_decays_that_cannot_happen_are_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_process(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_page_of_processes_is_the_catalogue() -> None:
    root = Path(__file__).resolve().parents[2]
    script = root / "scripts" / "write_process_docs.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], check=False, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, f"docs/processes.md is old: run {script.name}\n{done.stderr}"
