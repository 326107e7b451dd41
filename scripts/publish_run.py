"""Put the tables and figures of a finished run into Markdown files.

    make search
    .venv/bin/python scripts/publish_run.py runs/trilepton README.md docs/trilepton.md --figure performance.png F.png

where F is docs/figures/key_figure. Text between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced; nothing else
is touched.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from anomalon.pipeline.run_directory import RunDirectory
from anomalon.report import to_markdown
from anomalon.report.data_tables import to_markdown as to_markdown_table
from anomalon.report.names import typeset
from anomalon.report.statistics_tables import statistics_tables
from anomalon.search.results import Estimate, SearchResults


def main() -> None:
    """Publish one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("files", type=Path, nargs="+", help="Markdown files with marked tables")
    parser.add_argument("--figure", nargs=2, action="append", default=[], metavar=("NAME", "TARGET"), help="to copy")
    options = parser.parse_args()
    found = tables(RunDirectory(options.run).results())
    for file in options.files:
        file.write_text(_filled(file.read_text(encoding="utf-8"), found), encoding="utf-8")
    for name, target in options.figure:
        Path(target).parent.mkdir(exist_ok=True)
        shutil.copy(options.run / "figures" / name, target)


def tables(results: SearchResults) -> dict[str, str]:
    """Every table that a page may ask for."""
    return {
        "performance": to_markdown(results),
        "performance-1e-1": to_markdown(results, background_efficiency=1e-1),
        "performance-1e-3": to_markdown(results, background_efficiency=1e-3),
        "samples": _samples(results),
        "thresholds": _thresholds(results),
        "headline": "\n".join(f"- {line}" for line in results.headline),
        "sanity": _sanity(results),
        "left-out": _left_out(results),
        "pseudo-data": results.pseudo_data.sentence if results.pseudo_data else "",
        "features": _features(results),
        **_statistics(results),
        "times": ", ".join(f"{stage} {seconds:,.0f} s" for stage, seconds in results.seconds.items()) + ".",
    }


def _statistics(results: SearchResults) -> dict[str, str]:
    """Regions, limits and what follows: the tables of the report, and the sentences on the signals."""
    found = results.statistics
    said = "" if found is None else "\n".join(f"- {typeset(one.sentence)}" for one in found.statements)
    return {"statements": said, **{table.name: to_markdown_table(table) for table in statistics_tables(results)}}


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
        rate = None if d.threshold is None else d.threshold.false_positive_rate
        if d.threshold is None or rate is None:
            continue
        interval = "" if rate.low is None or rate.high is None else f" [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        how = f"{d.training.epochs} epochs, {d.training.seconds:.0f} s" if d.training else f"{d.fit_seconds:.1f} s"
        counts = f"{d.threshold.background_above:,} of {d.threshold.background_total:,}"
        lines.append(f"| {d.title} | {100 * rate.value:.1f} %{interval} | {counts} | {how} |")
    return "\n".join(lines)


def _sanity(results: SearchResults) -> str:
    """AUC of every test of altered events, detectors across."""
    checks = [c for c in results.sanity if c.test != "left-out process"]
    detectors = list(dict.fromkeys(c.detector for c in checks))
    found = {(c.test, c.name, c.detector): c for c in checks}
    lines = [f"| test | {' | '.join(detectors)} |", f"|---|{'--:|' * len(detectors)}"]
    for test, name in dict.fromkeys((c.test, c.name) for c in checks):
        row = [found.get((test, name, detector)) for detector in detectors]
        cells = ["" if c is None else f"{_interval(c.auc)}{'' if c.found else ' ✗'}" for c in row]
        lines.append(f"| {test}: {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _left_out(results: SearchResults) -> str:
    """AUC of every process that was left out."""
    lines = ["| left out of training | test events | AUC against the rest | seen |", "|---|--:|--:|---|"]
    for c in results.sanity:
        if c.test == "left-out process":
            seen = "yes" if c.found else "no"
            lines.append(f"| {c.name} | {c.n_altered:,} | {_interval(c.auc)} | {seen} |")
    return "\n".join(lines)


def _features(results: SearchResults) -> str:
    """How the features of (pseudo-)data compare with the background."""
    values = [c.p_value for c in results.feature_checks if c.p_value is not None]
    if not values:
        return "No feature could be compared."
    below = sum(p < 0.05 for p in values)
    worst = results.feature_checks[0]
    return (
        f"Of {len(values)} features with enough events, {below} have a p-value below 5 % ({0.05 * len(values):.0f} "
        f"expected by chance); the smallest is {worst.p_value:.2g} (`{worst.feature}`)."
    )


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()
