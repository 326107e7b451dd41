"""The pipeline's progress on standard error: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0


class TerminalListener:
    """One bar per task; finished tasks stay as a line with their time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, title: str, total: float | None = None) -> None:
        """Begin a task; the one before it is over."""
        self._close()
        self._task = self._bar.add_task(escape(title), total=total, note="")

    def update(self, done: float, note: str = "") -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, note=escape(note))

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._bar.console.print(message, markup=False, highlight=False)

    def _close(self) -> None:
        if self._task is not None:
            task = self._bar.tasks[self._bar.task_ids.index(self._task)]
            total = task.total if task.total is not None else max(task.completed, 1)
            self._bar.update(self._task, total=total, completed=total)


class LineListener:
    """A line when a task begins, and one every few seconds while it runs."""

    def __init__(self) -> None:
        self._title, self._total = "", 0.0
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, title: str, total: float | None = None) -> None:
        """Print the task's title."""
        self._title, self._total = title, total or 0.0
        self._started = self._printed = time.monotonic()
        self.say(title)

    def update(self, done: float, note: str = "") -> None:
        """Print where the task is, but not too often."""
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        self.say(f"{self._title}: {self._where(done, now - self._started)}{f'  {note}' if note else ''}")

    def say(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201

    def _where(self, done: float, seconds: float) -> str:
        if not self._total or not done:
            return f"{seconds:.0f} s"
        left = seconds * (self._total - done) / done
        return f"{done:,.0f} of {self._total:,.0f} ({100 * done / self._total:.0f} %), {left:.0f} s left"


def listener() -> TerminalListener | LineListener:
    """The listener that fits where standard error goes; use it as a context manager."""
    return TerminalListener() if sys.stderr.isatty() else LineListener()
