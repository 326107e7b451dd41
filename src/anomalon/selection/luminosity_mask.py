"""The luminosity mask: which lumi blocks of which runs are good for physics.

The file is JSON as the CMS data certification publishes it: ``{"315267": [[1, 120], [125, 200]], ...}``, both ends of a
range included. Simulation has no bad lumi blocks: its events always pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError
from anomalon.events import Events

Ints = npt.NDArray[np.int64]

_RUN = 1 << 32
"""A run and a lumi block as one number: run * 2^32 + lumi."""


@dataclass(frozen=True)
class LuminosityMask:
    """Good lumi blocks, as ranges that neither overlap nor touch.

    Attributes:
        first, last: ends of the ranges, run * 2^32 + lumi, increasing, shape (range,).
        source: where the mask comes from.

    >>> mask = LuminosityMask.parse({"1": [[5, 7]]})
    >>> mask.contains(np.array([1, 1, 2]), np.array([5, 8, 5])).tolist()
    [True, False, False]
    """

    first: Ints
    last: Ints
    source: str = "mask"
    reason: str = "not in the luminosity mask"

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a JSON file.

        Raises:
            InputFileError: the file is missing, is not JSON, or has another form; the message names run and range.
        """
        file = Path(path)
        try:
            values = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once)
        except FileNotFoundError:
            raise InputFileError(f"{file}: no such file (luminosity mask)") from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputFileError(f"{file}: not a luminosity mask in JSON ({error})") from None
        return cls.parse(values, str(file))

    @classmethod
    def parse(cls, values: Any, source: str = "mask") -> Self:
        """Check plain values: run -> list of [first lumi, last lumi]; raises as :meth:`load`."""
        if not isinstance(values, Mapping) or not values:
            raise InputFileError(f'{source}: expected {{"run": [[first, last], ...]}}, found {str(values)[:60]}')
        ranges = sorted(r for run, listed in values.items() for r in _ranges(run, listed, source))
        first, last = _merged(np.asarray(ranges, dtype=np.int64).reshape(-1, 2))
        return cls(first, last, source)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields beyond the ids: none."""
        return frozenset()

    @property
    def runs(self) -> tuple[int, ...]:
        """Runs with a good lumi block."""
        return tuple(np.unique(self.first // _RUN).tolist())

    def contains(self, run: npt.NDArray[np.integer], lumi: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Whether lumi blocks are good, shape (event,)."""
        if not len(self.first):
            return np.zeros(len(run), dtype=np.bool_)
        key = np.asarray(run, dtype=np.int64) * _RUN + np.asarray(lumi, dtype=np.int64)
        place = np.searchsorted(self.first, key, side="right") - 1
        return np.asarray((place >= 0) & (key <= self.last[np.maximum(place, 0)]), dtype=np.bool_)

    def readable(self, can_read: Callable[[str], bool], where: str) -> tuple[frozenset[str], dict[str, Any]]:
        """Fields to read, and what to note about it; see :class:`anomalon.sources.filters.EventFilter`."""
        del can_read, where
        return frozenset(), {"luminosity_mask": self.source}

    def keep(self, events: Events) -> npt.NDArray[np.bool_]:
        """Whether an event is in a good lumi block, shape (event,); simulated events always are."""
        run, lumi = (ak.to_numpy(events.array[name]) for name in ("run", "lumi"))
        return np.asarray(self.contains(run, lumi) | ~events.is_data(), dtype=np.bool_)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"run '{key}' is given twice")
        found[key] = value
    return found


def _ranges(run: Any, listed: Any, source: str) -> list[tuple[int, int]]:
    if not str(run).isdigit() or int(run) >= 1 << 31:
        raise InputFileError(f"{source}: run '{run}': expected a number")
    if not isinstance(listed, list):
        raise InputFileError(f"{source}: run {run}: {str(listed)[:60]}, expected a list of [first, last]")
    return [_range(int(run), item, source) for item in listed]


def _range(run: int, item: Any, source: str) -> tuple[int, int]:
    numbers = isinstance(item, list) and len(item) == 2 and all(type(n) is int for n in item)
    if not numbers or not 0 <= item[0] <= item[1] < _RUN:
        raise InputFileError(f"{source}: run {run}: {str(item)[:60]}, expected [first, last] with 0 <= first <= last")
    return run * _RUN + item[0], run * _RUN + item[1]


def _merged(ranges: Ints) -> tuple[Ints, Ints]:
    """Join ranges, sorted by their first end, that overlap or touch."""
    first, last = ranges[:, 0], ranges[:, 1]
    if not len(ranges):
        return first, last
    reach = np.maximum.accumulate(last)
    starts = np.concatenate([[True], first[1:] > reach[:-1] + 1])
    ends = np.concatenate([starts[1:], [True]])
    return first[starts], reach[ends]
