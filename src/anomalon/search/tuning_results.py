"""The results of a tuning study as frozen records."""

from __future__ import annotations

from typing import Any, Literal

from anomalon.config import Settings


class TrialRecord(Settings):
    """A finished trial.

    Attributes:
        number: in the record of the study, where trials that were killed have numbers, too.
        place: 0 to n - 1; a trial that was killed has given its place on.
        state: pruned where it fell behind, or its training diverged (``reason``).
        value: of the objective; None where pruned.
        settings: dotted key -> value.
        intermediate: values on the way; 1, 3 and 9 stand for a ninth, a third and all of the epochs.
    """

    number: int
    place: int
    state: Literal["complete", "pruned"]
    value: float | None
    settings: dict[str, Any]
    intermediate: dict[int, float]
    seconds: float | None
    reason: str = ""


class TuningResults(Settings):
    """A study so far; ``results.json``.

    Attributes:
        objective: in words.
        wanted: number of trials that are to be finished.
        running: trials that other processes are still running.
        started_again: trials that were killed, or failed, and whose place was given on.
    """

    anomalon_version: str
    title: str
    objective: str
    maximised: bool
    wanted: int
    running: int
    started_again: int
    trials: tuple[TrialRecord, ...]
    best: TrialRecord | None
    warnings: tuple[str, ...] = ()
