"""``anomalon tune``: what is printed, what is written, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run

pytest.importorskip("optuna")


@pytest.fixture
def study(config: dict[str, Any], in_folder: Path) -> dict[str, Any]:
    """A study of two trials, in the working directory as ``tune.yaml``; its search is beside it."""
    Path("search.yaml").write_text(yaml.safe_dump(config))
    values = {
        "search": "search.yaml", "detector": {"kind": "isolation-forest"}, "space": {"trees": {"low": 5, "high": 30}},
        "objective": {"kind": "proxy", "leave_out": "hard", "background_efficiency": 0.1, "events": 100}, "trials": 2,
    }  # fmt: skip
    Path("tune.yaml").write_text(yaml.safe_dump(values))
    return values


def test_the_best_configuration_runs_as_it_is(run: Run, study: dict[str, Any]) -> None:
    code, out, err = run("tune", "tune.yaml", "--output", "study", "--no-figures")
    assert code == 0, err
    assert "2 of 2 trials finished, 2 complete; proxy: mean eps_S at eps_B = 0.1 of hard left out" in out
    code, _, err = run("search", "study/best-search.yaml", "--output", "found", "--no-figures")
    assert code == 0, err
    best = json.loads(Path("study/results.json").read_text())["best"]["settings"]["trees"]
    assert yaml.safe_load(Path("found/config.yaml").read_text())["detectors"][0]["trees"] == best


def test_more_trials_and_json(run: Run, study: dict[str, Any]) -> None:
    assert run("tune", "tune.yaml", "--output", "study", "--no-figures")[0] == 0
    code, out, err = run("tune", "tune.yaml", "--output", "study", "--no-figures", "--resume", "--trials", 3, "--json")
    assert code == 0, err
    assert len(json.loads(out)["trials"]) == 3


def test_mistakes_are_one_line(refused: Any, study: dict[str, Any]) -> None:
    assert "no such file" in refused("tune", "nothing.yaml", "--output", "study")
    Path("tune.yaml").write_text(yaml.safe_dump({**study, "space": {"tress": {"low": 1, "high": 2}}}))
    assert "did you mean 'trees'" in refused("tune", "tune.yaml", "--output", "study")
    Path("tune.yaml").write_text(yaml.safe_dump({**study, "search": "serach.yaml"}))
    assert "serach.yaml" in refused("tune", "tune.yaml", "--output", "study")
    assert not Path("study").exists()


def test_a_detector_of_a_run_as_onnx(run: Run, refused: Any, finished: Path, in_folder: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    code, out, err = run("export", finished, "--onnx", "met.onnx", "--detector", "met", "--json")
    assert code == 0, err
    assert json.loads(out)["inputs"] == ["MET_pt"]
    assert json.loads(out)["largest_difference"] < 1e-5
    assert "'isolation-forest' cannot be exported as ONNX" in refused("export", finished, "--onnx", "forest.onnx")
    assert "already there" in refused("export", finished, "--onnx", "met.onnx", "--detector", "met")
    assert "--output FILE is missing" in refused("export", finished)
    assert {f.name for f in in_folder.iterdir()} == {"met.onnx"}
