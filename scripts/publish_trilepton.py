"""Put the tables and the key figure of a finished trilepton run into README.md and docs/trilepton.md.

    make search && .venv/bin/python scripts/publish_trilepton.py runs/trilepton

Text between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced; nothing else is touched.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from anomalon.pipeline.run_directory import RunDirectory
from anomalon.report import to_markdown
from anomalon.search.results import SearchResults

ROOT = Path(__file__).resolve().parents[1]
KEY_FIGURE = "performance.png"


def main(run: Path) -> None:
    """Publish one run."""
    results = RunDirectory(run).results()
    tables = {
        "performance": to_markdown(results),
        "performance-1e-1": to_markdown(results, background_efficiency=1e-1),
        "performance-1e-3": to_markdown(results, background_efficiency=1e-3),
        "samples": _samples(results),
        "thresholds": _thresholds(results),
        "headline": "\n".join(f"- {line}" for line in results.headline),
    }
    for file in (ROOT / "README.md", ROOT / "docs" / "trilepton.md"):
        file.write_text(_filled(file.read_text(encoding="utf-8"), tables), encoding="utf-8")
    folder = ROOT / "docs" / "figures"
    folder.mkdir(exist_ok=True)
    shutil.copy(run / "figures" / KEY_FIGURE, folder / "key_figure.png")


def _filled(text: str, tables: dict[str, str]) -> str:
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = pattern.search(text)
        if found:
            text = f"{text[: found.start()]}{found[1]}{table.strip()}\n{found[2]}{text[found.end() :]}"
    return text


def _samples(results: SearchResults) -> str:
    lines = [
        "| sample | role | cross section [pb] | generated | selected | expected events |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for s in results.samples:
        expected = "" if s.yield_expected is None else f"{s.yield_expected:,.4g} ± {s.yield_error:,.2g}"
        selected = "" if s.n_selected is None else f"{s.n_selected:,}"
        sigma = "" if s.cross_section_pb is None else f"{s.cross_section_pb:.4g}"
        lines.append(f"| {s.title} | {s.role} | {sigma} | {s.n_events:,} | {selected} | {expected} |")
    return "\n".join(lines)


def _thresholds(results: SearchResults) -> str:
    lines = [
        "| detector | false-positive rate, test background (weighted) | raw events above the threshold | training |",
        "|---|--:|--:|---|",
    ]
    for d in results.detectors:
        if d.threshold is None:
            continue
        rate = d.threshold.false_positive_rate
        interval = "" if rate.low is None or rate.high is None else f" [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        how = f"{d.training.epochs} epochs, {d.training.seconds:.0f} s" if d.training else f"{d.fit_seconds:.1f} s"
        counts = f"{d.threshold.background_above:,} of {d.threshold.background_total:,}"
        lines.append(f"| {d.title} | {100 * rate.value:.1f} %{interval} | {counts} | {how} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
