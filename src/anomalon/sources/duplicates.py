"""Remember which events have been seen: files overlap, and an event that counts twice is a false discovery."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.events import Events

Integers = npt.NDArray[np.int64]


class SeenEvents:
    """The (run, lumi, event) of all events shown so far, exactly: 8 bytes per event.

    >>> seen = SeenEvents()
    >>> events = Events.from_dicts([{"event": 7}, {"event": 8}, {"event": 7}])
    >>> seen.add(events).tolist(), seen.add(events).tolist()
    ([True, True, False], [False, False, False])
    """

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], list[Integers]] = {}

    def add(self, events: Events) -> npt.NDArray[np.bool_]:
        """Add events; return which of them are new, shape (event,). Of equal ones in a part, the first is new."""
        run, lumi, event = (np.asarray(events.array[name], dtype=np.int64) for name in ("run", "lumi", "event"))
        order = np.lexsort((lumi, run))
        new = np.zeros(len(order), dtype=np.bool_)
        changed = (np.diff(run[order]) != 0) | (np.diff(lumi[order]) != 0)
        for block in np.split(order, np.flatnonzero(changed) + 1):
            if len(block):
                new[block] = self._add_block((int(run[block[0]]), int(lumi[block[0]])), event[block])
        return new

    def _add_block(self, key: tuple[int, int], event: Integers) -> npt.NDArray[np.bool_]:
        new = np.zeros(len(event), dtype=np.bool_)
        values, first = np.unique(event, return_index=True)
        known = self._blocks.setdefault(key, [])
        fresh = ~np.any([_contains(part, values) for part in known], axis=0) if known else np.ones(len(values), bool)
        new[first[fresh]] = True
        known.append(values[fresh])
        while len(known) > 1 and len(known[-2]) < 2 * len(known[-1]):
            old, late = known[-2:]  # no number is in both: inserting takes half the memory of a union
            known[-2:] = [np.insert(old, np.searchsorted(old, late), late)]
        return new


def _contains(ordered: Integers, values: Integers) -> npt.NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[place] == values, dtype=np.bool_)
