"""``anomalon benchmark``: published figures are marked as such, and mistakes are one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from anomalon.search.known import CHALLENGE
from tests.cli.conftest import Run


def test_published_figures_are_marked_and_need_no_configuration(run: Run) -> None:
    code, out, _ = run("benchmark", "--known")
    assert code == 0
    assert "PUBLISHED ELSEWHERE" in out
    assert "arXiv:2105.14027" in out
    assert "not comparable" in " ".join(out.split())


def test_published_figures_as_json_say_where_they_are_from(run: Run) -> None:
    code, out, _ = run("benchmark", "--known", "--json")
    values = json.loads(out)
    assert code == 0
    assert values["published_elsewhere"] is True
    assert [m["median_total_improvement"] for m in values["models"]] == [p.median_improvement for p in CHALLENGE]
    assert values["models"][0]["median_total_improvement"] == 15.0


def test_results_hold_nothing_published(run: Run, config: dict[str, Any], in_folder: Path) -> None:
    values = {**config, "seeds": [1], "replicas": 10, "channels": {"only": {}}}
    Path("bench.yaml").write_text(yaml.safe_dump(values))
    code, out, err = run("benchmark", "bench.yaml", "--output", "out", "--no-figures", "--workers", 1, "--known")
    assert code == 0, err
    assert "Ranking, signals judged on" in out
    assert "isolation-forest" in out
    assert out.index("Tables and figures: out") < out.index("PUBLISHED ELSEWHERE")
    written = [f.read_text() for f in (in_folder / "out").rglob("*") if f.is_file()]
    assert not any("ALAD" in text or "DAGMM" in text for text in written)


def test_a_benchmark_without_configuration_or_output_says_what_is_missing(refused: Any, in_folder: Path) -> None:
    assert "CONFIG is missing" in refused("benchmark")
    assert "--output DIR is missing" in refused("benchmark", "bench.yaml")


def test_a_folder_without_real_files_is_refused(refused: Any, config: dict[str, Any], in_folder: Path) -> None:
    Path("bench.yaml").write_text(yaml.safe_dump({**config, "channels": {"only": {}}}))
    assert "no channel has the key files" in refused("benchmark", "bench.yaml", "--output", "out", "--data", in_folder)
    assert not Path("out").exists()
