from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon import mapreduce
from anomalon.cli import main
from anomalon.events import Events, Sample
from anomalon.features import RapidityMassMatrix
from anomalon.selection import LeptonSelection, TrileptonSelection, apply
from anomalon.store import Store, StoreWriter

SIGNED = Sample(name="signed", process="signed", cross_section_pb=0.1, sum_gen_weights=40.0)
OTHER = Sample(name="other", process="other", cross_section_pb=0.05, sum_gen_weights=100.0)
DATA = Sample(name="collisions", process="Data", origin="data")


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def write(path: Path, rows: list[dict[str, Any]], sample: Sample) -> Path:
    with StoreWriter(path) as writer:
        writer.append(Events.from_dicts(rows, [sample]))
    return path


def row(i: int, rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    jets = [{"pt": 30 + rng.exponential(40), "eta": 0.0, "phi": 0.0} for _ in range(rng.poisson(1.5))]
    return {"event": i, "met": {"pt": rng.exponential(50), "phi": 0.0}, "jets": jets, **more}


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("stores"), np.random.default_rng(1)
    signed = [row(i, rng, gen_weight=-1.0 if i % 10 < 3 else 1.0) for i in range(100)]
    other = [row(i, rng, factors={"fake": 0.5, "fakeUp": 0.75, "fakeDown": 0.25}) for i in range(100)]
    data = [row(i, rng, run=300000) for i in range(30)] + [{"event": 99, "met": {"pt": 1e6, "phi": 0.0}}]
    return [
        write(folder / "signed", signed, SIGNED),
        write(folder / "other", other, OTHER),
        write(folder / "data", data, DATA),
    ]


@pytest.fixture(scope="module")
def compared(stores, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("compared") / "plots"
    code = run("compare", *stores, "-v", "met.pt,jets.pt,jets.n,jets.pt[0]", "--signal", "other", "-o", output,
               "--luminosity", "2", "--experiment", "Open Data", "--signal-scale", "10")  # fmt: skip
    assert code == 0
    return output


def of(compared: Path, variable: str) -> dict[str, dict[str, Any]]:
    values = json.loads((compared / "comparison.json").read_text())["variables"][variable]
    return {p["process"]: p for p in values["processes"]}


def test_every_variable_is_drawn_as_png_and_pdf(compared):
    assert {p.name for p in compared.iterdir()} == {
        "comparison.json", "yields.csv",
        *(f"{name}.{end}" for name in ("met_pt", "jets_pt", "jets_n", "jets_pt_0") for end in ("png", "pdf")),
    }  # fmt: skip


def test_yields_of_negative_weights_are_exact_with_their_error(compared):
    with (compared / "yields.csv").open() as file:
        rows = {r["process"]: r for r in csv.DictReader(file)}
    per_event = 0.1 * 1000 * 2 / 40
    assert float(rows["signed"]["events"]) == pytest.approx(40 * per_event)
    assert float(rows["signed"]["error"]) == pytest.approx(np.sqrt(100) * per_event)
    assert {name: r["role"] for name, r in rows.items()} == {"signed": "background", "other": "signal", "Data": "data"}
    assert float(rows["Data"]["events"]) == 31


def test_nothing_is_lost_outside_the_axis_and_the_overflow_is_said(compared):
    met = of(compared, "met.pt")
    assert sum(met["Data"]["values"]) == 31
    assert sum(met["signed"]["values"]) == pytest.approx(0.1 * 1000 * 2)
    values = json.loads((compared / "comparison.json").read_text())["variables"]["met.pt"]
    assert values["overflow_in_last_bin"]


def test_an_entry_per_object_and_a_missing_object_is_no_entry(compared, stores):
    jets = Store(stores[2]).load().array.jets.pt
    counts = [len(event) for event in jets]
    assert of(compared, "jets.pt")["Data"]["entries"] == sum(counts)
    leading = of(compared, "jets.pt[0]")["Data"]
    assert leading["entries"] == sum(n > 0 for n in counts)
    assert leading["not_finite"] == sum(n == 0 for n in counts)


def test_a_weight_variation_changes_the_yield_of_the_samples_that_have_it(stores, tmp_path, capsys):
    yields = {}
    for name in ("fakeUp", None):
        options = [] if name is None else ["--variation", name]
        assert run("compare", *stores[:2], "-v", "met.pt", "-o", tmp_path / str(name), "--json", *options) == 0
        yields[name] = {y["process"]: y["events"] for y in json.loads(capsys.readouterr().out)["yields"]}
    assert yields["fakeUp"]["other"] == pytest.approx(1.5 * yields[None]["other"])
    assert yields["fakeUp"]["signed"] == yields[None]["signed"]


@pytest.fixture(scope="module")
def at_two_masses(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("masses")
    return [
        write(
            folder / f"{i}",
            [row(i, np.random.default_rng(i))],
            OTHER.model_copy(update={"name": f"w{i}", "process": name}),
        )
        for i, name in enumerate(("wprime-wz(mass=1500)", "wprime-wz(mass=2000)"))
    ]


def test_a_process_may_be_named_without_its_parameters(stores, at_two_masses, tmp_path):
    output = tmp_path / "plots"
    assert run("compare", stores[0], at_two_masses[0], "-v", "met.pt", "--signal", "wprime-wz", "-o", output) == 0
    assert {name: p["role"] for name, p in of(output, "met.pt").items()} == {
        "signed": "background", "wprime-wz(mass=1500)": "signal",
    }  # fmt: skip


def test_a_name_that_could_be_several_processes_is_refused(at_two_masses, tmp_path, capsys):
    assert run("compare", *at_two_masses, "-v", "met.pt", "--signal", "wprime-wz", "-o", tmp_path / "x") == 2
    line = capsys.readouterr().err
    assert "'wprime-wz' could be wprime-wz(mass=1500) or wprime-wz(mass=2000)" in line
    assert not list(tmp_path.iterdir())


def test_selected_means_the_selection_of_the_feature_set(tmp_path):
    lepton = {"eta": 0.1, "phi": 0.0, "charge": 1}
    rows = [{"event": i, "muons": [{"pt": 40.0 - j, **lepton} for j in range(3)]} for i in range(5)]
    rows += [{"event": 9, "muons": [{"pt": 40.0, **lepton}]}]
    store = write(tmp_path / "s", rows, OTHER)
    assert run("compare", store, "--set", "leptons", "--selected", "-v", "muons.n", "-o", tmp_path / "p") == 0
    expected = apply(LeptonSelection(), Store(store).load()).events
    assert of(tmp_path / "p", "muons.n")["other"]["entries"] == len(expected) == 5
    assert len(apply(TrileptonSelection(), Store(store).load()).events) == 0


def test_any_number_of_workers_gives_the_same_comparison(stores, tmp_path, capsys):
    """To the last bit: weights are no whole numbers, so that the order of the sums shows."""
    found = []
    for workers in (1, 2):
        options = ["-v", "met.pt,jets.pt", "-o", tmp_path / f"{workers}", "--json", "--luminosity", "0.7"]
        assert run("compare", *stores, *options, "--workers", workers) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert sum(y["raw"] for y in found[0]["yields"]) == 231


@pytest.mark.slow
def test_a_cluster_whose_worker_is_killed_gives_the_same_comparison(stores, tmp_path, capsys):
    distributed = pytest.importorskip("distributed", reason='needs the extra scale: pip install "anomalon[scale]"')
    options = ["-v", "met.pt,jets.pt", "--json"]
    assert run("compare", *stores, *options, "-o", tmp_path / "here") == 0
    expected = json.loads(capsys.readouterr().out)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        for attempt in range(5):  # a busy machine may be done with the parts before the worker gets to die
            died = tmp_path / f"died{attempt}"
            doomed = client.submit(die_once_parts_wait, str(died), pure=False)
            there = tmp_path / f"there{attempt}"
            assert run("compare", *stores, *options, "-o", there, "--scheduler", cluster.scheduler_address) == 0
            assert json.loads(capsys.readouterr().out) == expected
            del doomed
            if died.exists():
                break
    assert died.exists()


def die_once_parts_wait(marker: str) -> None:
    """Keep a worker busy until parts of files wait for it, then kill it; do nothing the second time."""
    from distributed import get_worker  # noqa: PLC0415 of the extra scale

    last = time.monotonic() + 60
    while not Path(marker).exists() and time.monotonic() < last:
        if len(get_worker().state.tasks) > 1:
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)


def test_a_scheduler_that_cannot_be_used_gives_one_line(stores, tmp_path, capsys, monkeypatch):
    arguments = ["compare", *stores, "-v", "met.pt", "-o", tmp_path / "p", "--scheduler", "tcp://127.0.0.1:9"]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "distributed", None)
        assert run(*arguments) == 2
    assert 'pip install "anomalon[scale]"' in capsys.readouterr().err
    pytest.importorskip("distributed")
    monkeypatch.setattr(mapreduce, "_PATIENCE", 0.5)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert "scheduler tcp://127.0.0.1:9: cannot be reached" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


MISTAKES = {
    "unknown variable": (["-v", "met.tp"], "no variable 'met.tp'; did you mean 'met.pt'"),
    "unknown process": (
        ["-v", "met.pt", "--signal", "othr"],
        "no process or sample 'othr' in the stores; did you mean",
    ),
    "unknown variation": (["-v", "met.pt", "--variation", "fakeLeft"], "no weight variation 'fakeLeft'"),
    "unknown set": (["--set", "tripleton"], "no feature set 'tripleton'; did you mean 'trilepton'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gives_one_line_and_leaves_nothing(case, stores, tmp_path, capsys):
    arguments, message = MISTAKES[case]
    assert run("compare", *stores, "-o", tmp_path / "p", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_only_a_comparison_is_overwritten(stores, compared, tmp_path, capsys):
    assert run("compare", *stores, "-v", "met.pt", "-o", compared) == 2
    assert "already there" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    assert run("compare", *stores, "-v", "met.pt", "-o", tmp_path / "mine", "--overwrite") == 2
    assert "not a comparison" in capsys.readouterr().err


def test_samples_with_and_without_normalisation_are_not_mixed(stores, tmp_path, capsys):
    bare = write(tmp_path / "bare", [{"event": 1}], Sample(name="bare", process="bare"))
    assert run("compare", stores[0], bare, "-v", "met.pt", "-o", tmp_path / "p") == 2
    assert "sample 'bare' has no cross section" in capsys.readouterr().err


def test_a_comma_inside_brackets_does_not_end_a_name(stores, tmp_path):
    names = "m(jet1,jet2), met.pt,h(jet1,jet2)"
    assert run("compare", stores[0], "--set", "rmm", "-v", names, "-o", tmp_path / "plots") == 0
    assert set(json.loads((tmp_path / "plots" / "comparison.json").read_text())["variables"]) == {
        "m(jet1,jet2)", "met.pt", "h(jet1,jet2)",
    }  # fmt: skip


def test_mean_matrices_are_weighted_and_drawn_for_every_process(stores, tmp_path):
    output = tmp_path / "matrices"
    assert run("compare", *stores[:2], "--set", "rmm", "--matrices", "-o", output) == 0
    kinds = ("mean.png", "mean.pdf", "event.png", "event.pdf")
    drawn = {f"{process}_{kind}" for process in ("signed", "other") for kind in kinds}
    assert {p.name for p in output.iterdir()} == {"comparison.json", *drawn}
    events = Store(stores[0]).load()
    cells = RapidityMassMatrix().transform(events).values.reshape(-1, 23, 23)
    found = json.loads((output / "comparison.json").read_text())["processes"]["signed"]
    np.testing.assert_allclose(found["mean"], np.average(cells, axis=0, weights=events.weights(None)), rtol=1e-6)
    assert found["events"] == 100
    assert run("compare", stores[0], "--set", "rmm", "--matrices", "-o", output, "--overwrite") == 0
    assert not (output / "other_mean.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "feature set 'trilepton' has no matrices; add --set rmm"),
        (["--set", "rmm", "-v", "MET"], "leave out variables"),
        (["--set", "rmm", "--signal", "other"], "leave out variables, roles"),
    ],
)
def test_matrices_take_no_variables_and_need_their_set(options, message, stores, tmp_path, capsys):
    assert run("compare", stores[0], "--matrices", *options, "-o", tmp_path / "x") == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
