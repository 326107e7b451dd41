"""Small stores and a finished run for the commands: two backgrounds, a signal, collision data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from anomalon.cli import main
from anomalon.events import Sample
from tests.pipeline.conftest import simulation, trilepton_rows, write_store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("samples")
    data = Sample(name="collisions", process="data", origin="data")
    return {
        "soft": write_store(folder / "soft", trilepton_rows(400, 1), simulation("soft", 400, 0.5)),
        "hard": write_store(folder / "hard", trilepton_rows(250, 2, hardness=1.4), simulation("hard", 250, 0.05)),
        "signal": write_store(folder / "signal", trilepton_rows(150, 3, hardness=5.0), simulation("signal", 150, 1e-3)),
        "data": write_store(folder / "data", trilepton_rows(60, 4, run=315267), data),
    }


@pytest.fixture
def config(samples) -> dict[str, Any]:
    """A valid configuration of a search that takes a second; to be changed by each test."""
    roles = {"soft": "background", "hard": "background", "signal": "signal"}
    return {
        "samples": [{"name": name, "role": role, "files": [str(samples[name])]} for name, role in roles.items()],
        "detectors": [{"kind": "isolation-forest", "trees": 20}],
        "supervised": None,
    }


@pytest.fixture
def in_folder(tmp_path, monkeypatch) -> Path:
    """A folder of its own, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys) -> Run:
    """Run a command and return its exit code, standard output and standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return command


@pytest.fixture
def refused(run) -> Callable[..., str]:
    """Run a command that must fail as promised: exit code 2, nothing on standard output, one last line; return it."""

    def command(*arguments: object) -> str:
        code, out, err = run(*arguments)
        *before, line = err.splitlines()
        assert (code, out) == (2, ""), err
        assert line.startswith("anomalon: error: ")
        assert not any("Traceback" in text or text.startswith("anomalon: error") for text in before)
        return line

    return command


@pytest.fixture
def search(refused, tmp_path) -> Callable[[Any], str]:
    """Run a search that must be refused, from a configuration or its text, and leave nothing; return the line."""

    def command(values: Any) -> str:
        file = tmp_path / "search.yaml"
        raw = values if isinstance(values, (str, bytes)) else yaml.safe_dump(values)
        file.write_bytes(raw.encode() if isinstance(raw, str) else raw)
        line = refused("search", file, "--output", tmp_path / "out", "--no-figures")
        assert {p.name for p in tmp_path.iterdir()} <= {"search.yaml", ".anomalon-cache", "inputs"}
        return line

    return command


@pytest.fixture(scope="session")
def finished(samples, tmp_path_factory) -> Path:
    """A finished run without figures."""
    folder = tmp_path_factory.mktemp("finished")
    values = {
        "samples": [
            {"name": name, "role": "signal" if name == "signal" else "background", "files": [str(samples[name])]}
            for name in ("soft", "hard", "signal")
        ],
        "detectors": [{"kind": "isolation-forest", "trees": 20}],
        "supervised": None,
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(SystemExit) as stop:
        main(["search", str(folder / "search.yaml"), "--output", str(folder / "run"), "--no-figures"])
    assert not stop.value.code
    return folder / "run"
