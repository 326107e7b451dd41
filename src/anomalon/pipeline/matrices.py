"""Mean rapidity-mass matrices per process, drawn: one call behind ``anomalon compare --matrices``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import anomalon
from anomalon.errors import EmptySelectionError, InvalidEventsError
from anomalon.events import Events
from anomalon.features import RapidityMassMatrix
from anomalon.pipeline.compare import RESULT, CompareOptions, file_name, new_folder, write_figure
from anomalon.pipeline.table import luminosity_for
from anomalon.report.figures_rmm import rmm_figure
from anomalon.selection import apply
from anomalon.sources import expand, open_source

EVENTS_AT_A_TIME = 8192
"""A few MB of matrices."""


@dataclass
class ProcessMatrix:
    """Matrices of one process, summed.

    Attributes:
        process: its name.
        sums: sum of weight times cell, float64, shape (row, column).
        weight: sum of the weights.
        events: number of events in the sums.
        not_finite: number of events that were left out, because a cell is not finite.
        example: the matrix of the event with the most objects among the first, shape (row, column).
    """

    process: str
    sums: npt.NDArray[np.float64]
    weight: float = 0.0
    events: int = 0
    not_finite: int = 0
    example: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 1), dtype=np.float32))

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Weighted mean of the cells, shape (row, column).

        Raises:
            InvalidEventsError: the weights do not sum to a positive number.
        """
        if not self.weight > 0:
            raise InvalidEventsError(
                f"process '{self.process}': the weights sum to {self.weight:g}, so there is no mean; leave it out"
            )
        return self.sums / self.weight

    def add(self, cells: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> None:
        """Add matrices, shape (event, row, column), with their weights, shape (event,)."""
        good = np.isfinite(cells).all(axis=(1, 2))
        cells, weights = cells[good], weights[good]
        if not self.events and len(cells):
            self.example = cells[np.count_nonzero(cells, axis=(1, 2)).argmax()].copy()
        self.sums += np.tensordot(weights, cells, 1)
        self.weight += float(weights.sum())
        self.events += len(cells)
        self.not_finite += int((~good).sum())


def mean_matrices(
    paths: Sequence[str | Path],
    feature_set: RapidityMassMatrix,
    options: CompareOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[ProcessMatrix]:
    """Mean matrix of every process of stores and files, weighted; bounded in memory.

    Raises:
        EmptySelectionError: no event is left.
        MissingFieldError: a file lacks a field.
    """
    chosen = options or CompareOptions()
    sources = [open_source(path) for path in expand(paths)]
    luminosity = luminosity_for([s for source in sources for s in source.info().samples], chosen.luminosity_fb)
    fields = feature_set.requires | (chosen.selection.requires if chosen.selection else frozenset())
    found: dict[str, ProcessMatrix] = {}
    done, total = 0, sum(source.n_events for source in sources)
    for source in sources:
        for events in source.iterate(fields, EVENTS_AT_A_TIME):
            kept = events if chosen.selection is None else apply(chosen.selection, events).events
            _add(found, kept, feature_set, kept.weights(luminosity))
            done += len(events)
            if on_progress is not None:
                on_progress(done, total)
    if not any(matrix.events for matrix in found.values()):
        raise EmptySelectionError("no event is left to draw; choose other files, or leave out --selected")
    return [matrix for matrix in found.values() if matrix.events]


def _add(
    found: dict[str, ProcessMatrix],
    events: Events,
    feature_set: RapidityMassMatrix,
    weights: npt.NDArray[np.float64],
) -> None:
    cells, processes = feature_set.matrix(feature_set.transform(events).values), events.processes()
    for process in dict.fromkeys(processes.tolist()):
        own = processes == process
        matrix = found.setdefault(process, ProcessMatrix(process, np.zeros(cells.shape[1:])))
        matrix.add(cells[own], weights[own])


def write_matrices(
    found: Sequence[ProcessMatrix], feature_set: RapidityMassMatrix, output: Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the mean and one event of every process (PNG, PDF) and ``comparison.json`` into a folder.

    Returns:
        What ``comparison.json`` holds: the names of the rows, and events and mean matrix by process.

    Raises:
        OutputExistsError: the folder is there and ``overwrite`` is off, or it is no comparison.
        InvalidEventsError: a process has no mean.
    """
    values = {
        "anomalon": anomalon.__version__,
        "rows": feature_set.layout.rows,
        "processes": {
            m.process: {"events": m.events, "not_finite": m.not_finite, "mean": m.mean.tolist()} for m in found
        },
    }
    with new_folder(output, overwrite=overwrite) as folder:
        for m in found:
            title = f"{m.process}, mean of {m.events:,} event{'s' * (m.events != 1)}"
            write_figure(folder / f"{file_name(m.process)}_mean", rmm_figure(m.mean, feature_set, title))
            example = rmm_figure(m.example, feature_set, f"{m.process}, one event")
            write_figure(folder / f"{file_name(m.process)}_event", example)
        (folder / RESULT).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return values
