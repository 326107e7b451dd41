"""The contract of writers: append events, and either the whole file appears under its name or nothing does."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import InputFileError, InvalidEventsError, OutputExistsError
from anomalon.events import Events, Sample, merge_samples


class WriterSettings(Settings):
    """What a format leaves to choose.

    Attributes:
        max_objects: objects of a collection that are written per event, the hardest ones; None for all that there are
            (20 objects in all in the Dark Machines form). What is cut off is counted.
        luminosity_fb: the luminosity of the weights written beside the events, in fb^-1; relative weights are written
            where a sample has no normalisation.
    """

    max_objects: int | None = Field(default=None, ge=1)
    luminosity_fb: float = Field(default=1.0, gt=0)


class EventWriter(ABC):
    """Write events to one file; use it as a context manager.

    The file is written under a temporary name beside the final one and renamed when it is complete.

    Args:
        path: the file to make.
        settings: choices of the format.
        overwrite: replace a file that is already there.

    Attributes:
        cut_off: objects that did not fit, by collection.
        left_out: event fields that the format has no place for.

    Raises:
        OutputExistsError: something is at ``path`` and ``overwrite`` is off, or it is a directory.
        InputFileError: the directory of ``path`` does not exist.
    """

    format: ClassVar[str]
    description: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str | Path, settings: WriterSettings | None = None, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.settings = settings or WriterSettings()
        self.samples: tuple[Sample, ...] = ()
        self.cut_off: dict[str, int] = {}
        self.left_out: tuple[str, ...] = ()
        self._check_free(overwrite)
        self.partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close(complete=kind is None)
            if kind is None:
                self.partial.replace(self.path)
        finally:
            self.partial.unlink(missing_ok=True)

    def append(self, events: Events) -> None:
        """Add events, with the same fields every time.

        Raises:
            InvalidEventsError: the events do not fit the format, or two samples of one name differ.
        """
        self.samples = merge_samples([self.samples, events.samples])
        self._append(self._with_common_dataset(events))

    @abstractmethod
    def _append(self, events: Events) -> None:
        """Write one part; its ``dataset`` counts into :attr:`samples`."""

    @abstractmethod
    def _close(self, *, complete: bool) -> None:
        """Release the file; finish it first where it is ``complete``."""

    def _with_common_dataset(self, events: Events) -> Events:
        if events.samples == self.samples:
            return events
        order = {sample.name: i for i, sample in enumerate(self.samples)}
        places = np.asarray([order[sample.name] for sample in events.samples], dtype=np.int32)
        local = ak.to_numpy(events.array.dataset)
        moved = places[local] if len(local) else local.astype(np.int32)
        return Events(ak.with_field(events.array, moved, "dataset"), self.samples)

    def _count_cut_off(self, collection: str, n: int) -> None:
        if n:
            self.cut_off[collection] = self.cut_off.get(collection, 0) + n

    def _check_free(self, overwrite: bool) -> None:
        if not self.path.parent.is_dir():
            raise InputFileError(f"{self.path.parent}: no such directory for {self.path.name}; make it first")
        if self.path.is_dir() or (self.path.exists() and not overwrite):
            raise OutputExistsError(f"{self.path}: already there; choose another name or overwrite it (--overwrite)")


def output_weights(events: Events, luminosity: float) -> npt.NDArray[np.float64]:
    """Weights to write beside the events, shape (event,); relative ones where a sample has no normalisation."""
    normalised = all(s.is_data or (s.cross_section_pb and s.sum_gen_weights) for s in events.samples)
    return events.weights(luminosity if normalised else None)


def only_sample(samples: tuple[Sample, ...], path: Path, format_: str) -> Sample:
    """The one sample of a format that holds no more.

    Raises:
        InvalidEventsError: there are several, or none.
    """
    if len(samples) != 1:
        names = ", ".join(sample.name for sample in samples) or "none"
        raise InvalidEventsError(f"{path}: {format_} holds one sample per file, given {names}; choose with --sample")
    return samples[0]


def columns_of(array: ak.Array) -> dict[str, Any]:
    """Columns of an event table by dotted name, in order."""
    columns: dict[str, Any] = {}
    for head in array.fields:
        inside = array[head].fields
        columns |= {f"{head}.{tail}": array[head][tail] for tail in inside} if inside else {head: array[head]}
    return columns
