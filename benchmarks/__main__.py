"""Run the benchmarks and print one table of ratios: ``python -m benchmarks [NAME ...] [--json PATH]``.

A benchmark is a file ``bench_NAME.py`` here with ``run() -> list[dict]``; each row has the keys of ``KEYS``.
``ours`` and ``peer`` are speeds in ``unit``, measured in the same run on the same input; ``ratio`` is ours / peer.
A benchmark whose peer is not installed raises ImportError and is left out by name.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

KEYS = ("name", "ours", "peer", "ratio", "unit", "peer_name")
FOLDER = Path(__file__).resolve().parent

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen benchmarks; the exit code is 1 where one failed."""
    available = sorted(file.stem.removeprefix("bench_") for file in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Our speed beside our peers'.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(available) or 'none yet'}; default all"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows to a file")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(available))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; allowed: {', '.join(available) or 'none yet'}")
    rows, failed = run_all(options.names or available)
    Console().print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows, "failed": failed}, indent=2) + "\n")
    return int(bool(failed))


def run_all(names: list[str]) -> tuple[list[Row], list[str]]:
    """Run benchmarks one after the other; return their rows and the names of those that failed."""
    rows: list[Row] = []
    failed = []
    for name in names:
        start = time.perf_counter()
        print(f"{name} ...", end=" ", flush=True)
        try:
            rows += run_one(name)
        except ImportError as error:
            print(f"left out: {error}")
            continue
        except Exception as error:  # noqa: BLE001 - the others still run; the exit code tells
            failed.append(name)
            print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print(f"{time.perf_counter() - start:.1f} s")
    return rows, failed


def run_one(name: str) -> list[Row]:
    """Rows of one benchmark.

    Raises:
        ValueError: a row lacks a key.
    """
    rows: list[Row] = importlib.import_module(f"benchmarks.bench_{name}").run()
    for row in rows:
        missing = [key for key in KEYS if key not in row]
        if missing:
            raise ValueError(f"bench_{name}: a row lacks {', '.join(missing)}: {row}")
    return rows


def table(rows: list[Row]) -> Table:
    """The rows, one ratio each."""
    result = Table(title=", ".join(f"{key} {value}" for key, value in machine().items()))
    for heading in ("benchmark", "ours", "peer", "unit", "ratio"):
        result.add_column(heading, justify="right" if heading in {"ours", "peer", "ratio"} else "left")
    result.add_column("beside")
    for row in rows:
        numbers = [f"{row[key]:,.4g}" for key in ("ours", "peer")]
        result.add_row(str(row["name"]), *numbers, str(row["unit"]), f"{row['ratio']:.2f}x", str(row["peer_name"]))
    return result


def machine() -> dict[str, str]:
    """What the speeds depend on."""
    return {"cores": str(os.cpu_count()), "python": platform.python_version(), "machine": platform.machine()}


if __name__ == "__main__":
    sys.exit(main())
