"""Which of the fields that a source has are read, and columns by dotted name into an event table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import MissingFieldError, suggest
from anomalon.events import EVENT_FIELDS, make_events
from anomalon.objects import make_objects


def choose(fields: Iterable[str] | None, have: Sequence[str], where: str) -> frozenset[str]:
    """Dotted names to read for the fields asked for; the pT of each collection and the event's ids come with them.

    Args:
        fields: dotted names or collections; None for all.
        have: dotted names that the source can fill.
        where: the file, for messages.

    Raises:
        MissingFieldError: a field that the source cannot fill, with near names.

    >>> sorted(choose(["muons.eta"], ["event", "muons.pt", "muons.eta", "met.pt"], "a.csv"))
    ['event', 'muons.eta', 'muons.pt']
    """
    if fields is None:
        return frozenset(have)
    heads = {name.partition(".")[0] for name in have}
    wanted = {name for name in have if name in EVENT_FIELDS}
    for name in set(fields) - set(EVENT_FIELDS):
        if name not in have and name not in heads:
            raise MissingFieldError(f"{where}: no field '{name}'; {suggest(name, [*have, *heads])}")
        head = name.partition(".")[0]
        wanted |= {f for f in have if f == name or f.startswith(f"{name}.") or f == f"{head}.pt"}
    return frozenset(wanted)


def event_table(columns: Mapping[str, Any], counts: Mapping[str, Any], n: int) -> ak.Array:
    """Make the record array of :class:`anomalon.events.Events` from columns by dotted name.

    Args:
        columns: values per event (``met.pt``) or, for collections in ``counts``, of all objects (``muons.pt``).
        counts: number of objects per event of each collection.
        n: number of events; ids, weights and the dataset that are not in ``columns`` are filled in.
    """
    nested: dict[str, dict[str, Any]] = {}
    for name, values in columns.items():
        head, _, tail = name.partition(".")
        if tail:
            nested.setdefault(head, {})[tail] = values
    table: dict[str, Any] = {
        "run": np.ones(n, np.int64),
        "lumi": np.ones(n, np.int64),
        "dataset": np.zeros(n, np.int32),
        "gen_weight": np.ones(n),
    }
    table |= {name: values for name, values in columns.items() if "." not in name}
    for head, parts in nested.items():
        objects = make_objects(parts)
        table[head] = _lists(objects, counts[head]) if head in counts else objects
    return make_events(table)


def _lists(objects: ak.Array, counts: Any) -> ak.Array:
    """Like ``ak.unflatten``, which for records of many columns takes as long as parsing them."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), ak.to_layout(objects)))
