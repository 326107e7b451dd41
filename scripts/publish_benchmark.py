"""Put the tables of finished benchmarks into Markdown files.

    .venv/bin/python scripts/publish_benchmark.py runs/benchmark-trilepton docs/benchmark.md --name trilepton

Text between ``<!-- table: trilepton/TABLE -->`` and ``<!-- end -->`` is replaced by the table of that name in the
benchmark's folder ``tables``; nothing else is touched.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from anomalon.pipeline.benchmark import read_benchmark
from anomalon.report.benchmark_tables import tables_of
from anomalon.report.data_tables import to_markdown
from anomalon.search.benchmark_results import BenchmarkResults


def main() -> None:
    """Publish one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished benchmark")
    parser.add_argument("files", type=Path, nargs="+", help="Markdown files with marked tables")
    parser.add_argument("--name", help="before the slash of the marks; default: the folder's, without benchmark-")
    options = parser.parse_args()
    name = options.name or options.run.name.removeprefix("benchmark-")
    found = tables(read_benchmark(options.run), name)
    for file in options.files:
        file.write_text(filled(file.read_text(encoding="utf-8"), found), encoding="utf-8")


def tables(results: BenchmarkResults, name: str) -> dict[str, str]:
    """Every table that a page may ask for, with its caption below."""
    return {f"{name}/{t.name}": f"{to_markdown(t)}\n{t.caption}\n" for t in tables_of(results)}


def filled(text: str, found: dict[str, str]) -> str:
    """The text with its marked tables filled."""
    for name, table in found.items():
        pattern = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if (match := pattern.search(text)) is not None:
            text = f"{text[: match.start()]}{match[1]}{table}{match[2]}{text[match.end() :]}"
    return text


if __name__ == "__main__":
    main()
