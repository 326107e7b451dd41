"""``anomalon classify``: its table, its JSON, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from threadpoolctl import threadpool_limits

CONFIG = {
    "toy": {"kind": "gaussians", "train": 300, "test": 2000},
    "classifiers": [{"kind": "gradient-boosting", "trees": 10}],
    "folds": 2,
    "replicas": 10,
    "shuffles": 1,
}


def written(values: object, folder: Path) -> Path:
    file = folder / "classify.yaml"
    file.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
    return file


def test_a_comparison_is_told_as_a_table_and_as_json(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with threadpool_limits(1):
        code, out, _ = run("classify", written(CONFIG, tmp_path), "--output", "out", "--no-figures")
    assert code == 0
    assert "gradient-boosting" in out
    assert "Accuracy of the optimal rule, from the densities: 0.98514" in out
    assert not (tmp_path / "out" / "figures").exists()
    code, out, _ = run("classify", "classify.yaml", "--output", "out", "--resume", "--json")
    found = json.loads(out)
    assert code == 0
    assert found == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [one["name"] for one in found["results"]] == ["best-cut", "x", "gradient-boosting", "optimum"]


MISTAKES = {
    "an unknown key": ({**CONFIG, "classifier": []}, "did you mean 'classifiers'"),
    "an unknown classifier": ({**CONFIG, "classifiers": [{"kind": "perceptro"}]}, "did you mean 'perceptron'"),
    "one class": ({"samples": [{"name": "a", "role": "signal", "files": ["a"]}]}, "no sample has role background"),
    "nothing to tell apart": ({"folds": 3}, "give either samples, of role background and signal, or toy"),
    "no such file": (
        {"samples": [{"name": x, "role": r, "files": [x]} for x, r in (("a", "signal"), ("b", "background"))]},
        "a",
    ),
    "no YAML": ("a: [", "not plain YAML"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gives_one_line_and_leaves_nothing(refused, tmp_path, case):
    values, message = MISTAKES[case]
    assert message in refused("classify", written(values, tmp_path), "--output", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"classify.yaml", ".anomalon-cache"}


def test_help_teaches_by_an_example(run):
    code, out, _ = run("classify", "--help")
    assert code == 0
    assert "Example: anomalon classify" in " ".join(out.split())
