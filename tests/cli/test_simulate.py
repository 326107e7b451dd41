"""``anomalon simulate``: the catalogue and its mistakes."""

from __future__ import annotations

import json

import pytest

from anomalon.cli import main
from anomalon.simulation import ELSEWHERE, PROCESSES
from anomalon.simulation.mixtures import MIXTURES


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["simulate", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_the_list_names_every_process_mixture_and_what_is_missing(capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0
    for name in (*PROCESSES, *ELSEWHERE, *MIXTURES):
        assert name in out


def test_the_list_as_json_has_measurements_and_statistics(capsys):
    values = json.loads(run(capsys, "--list", "--json")[1])
    assert {row["name"] for row in values["processes"]} == set(PROCESSES)
    assert all(row["measured"]["cross_section_pb"] > 0 for row in values["processes"])
    assert all(row["effective_events_per_hour"] > 0 for row in values["mixtures"])
    assert {row["name"] for row in values["not_in_pythia"]} == set(ELSEWHERE)
    assert {row["name"] for row in values["detectors"]} >= {"cms", "atlas", "darkmachines"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "PROCESS is missing"),
        (["wz"], "--output STORE is missing"),
        (["ttZ", "-o", "x"], "make an LHE file with another generator"),
        (["wz", "--mixture", "trilepton", "-o", "x"], "give one of the two"),
        (["--mixture", "trileptom", "-o", "x"], "did you mean 'trilepton'"),
        (["--mixture", "trilepton", "--set", "mass=3", "-o", "x"], "a mixture has its own --set"),
        (["--mixture", "trilepton", "-n", "3", "-o", "x"], "3 events for 11 processes"),
        (["wz", "--set", "mass", "-o", "x"], "expected NAME=VALUE"),
    ],
)
def test_mistakes_are_one_line_and_make_nothing(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_mixture_of_a_few_events_is_made_and_summarised(capsys, tmp_path):
    pytest.importorskip("pythia8mc", reason="simulation needs the extra 'simulate'")
    pytest.importorskip("fastjet", reason="jets need the extra 'simulate'")
    output = tmp_path / "mixed"
    arguments = ["--mixture", "ttbar-vs-ttdm", "-n", 40, "--no-mpi", "--workers", 1, "-o", output]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    assert [part["process"] for part in json.loads(out)["parts"]] == ["ttbar-2l", "ttdm-2l"]
    assert "is not empty" in run(capsys, *arguments)[2]
