"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_IN_FILES = 160


def console() -> Console:
    """Console on standard output; wide where it is a file or a pipe, so that nothing is cut off there."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_IN_FILES)


def print_json(values: Any) -> None:
    """Print plain values as JSON, for scripts."""
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers are aligned to the right and grouped by thousands."""
    body = [list(row) for row in rows]
    table = Table(title=escape(title), title_justify="left")
    for i, name in enumerate(header):
        numeric = bool(body) and all(isinstance(row[i], (int, float)) for row in body)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(escape(_text(value)) for value in row))
    console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
