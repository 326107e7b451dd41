"""How long-running stages tell what they are doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener. The command line draws bars; :class:`Silent` is the default everywhere else."""

    def start(self, title: str, total: float | None = None) -> None:
        """A task begins; the one before it is over."""
        ...

    def update(self, done: float, note: str = "") -> None:
        """``done`` of the task's ``total`` is done."""
        ...

    def say(self, message: str) -> None:
        """A line worth keeping."""
        ...


class WithoutNotes:
    """Passes on to a listener how far a task is, but no notes: losses of a training on blinded data are not told.

    Args:
        listener: who hears the rest.
    """

    def __init__(self, listener: Progress) -> None:
        self.listener = listener
        self.start, self.say = listener.start, listener.say

    def update(self, done: float, note: str = "") -> None:
        """``done`` of the task's ``total`` is done."""
        del note
        self.listener.update(done)


class Silent:
    """Listens to nothing."""

    def start(self, title: str, total: float | None = None) -> None:
        """Ignore the task."""

    def update(self, done: float, note: str = "") -> None:
        """Ignore the step."""

    def say(self, message: str) -> None:
        """Ignore the line."""
