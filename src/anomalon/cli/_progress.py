"""Progress on standard error: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0

Report = Callable[[int, int], None]
"""Called with (done, in all)."""


@contextmanager
def progress(description: str, unit: str = "events") -> Iterator[Report]:
    """Show progress while the block runs; hand the callback to the library as ``on_progress``.

    >>> with progress("reading") as report:
    ...     report(10, 100)
    """
    if sys.stderr.isatty():
        with _bar(unit) as bar:
            task = bar.add_task(description, total=None, rate="")
            started = time.monotonic()

            def show(done: int, total: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-9)
                bar.update(task, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s")

            yield show
    else:
        yield LineProgress(description, unit)


class LineProgress:
    """Progress for logs: one line every :data:`SECONDS_BETWEEN_LINES`, none for what is done sooner."""

    def __init__(self, description: str, unit: str = "events") -> None:
        self._description, self._unit = description, unit
        self._started = self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` are done."""
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        rate = done / max(now - self._started, 1e-9)
        left = (total - done) / rate if rate else float("inf")
        share = f"{100 * done / total:.0f} %" if total else "?"
        print(  # noqa: T201
            f"{self._description}: {done:,} of {total:,} {self._unit} ({share}), {rate:,.0f}/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def _bar(unit: str) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
