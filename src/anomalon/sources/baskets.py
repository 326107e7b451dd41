"""Branches of a TTree straight from its baskets to flat NumPy arrays.

A basket holds the values of a range of entries, and for lists the byte at which each entry begins. Joining those is
all that reading needs; building an awkward array per basket and branch costs as much again as decompressing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype


@dataclass(frozen=True)
class Flat:
    """Values of a branch, one after the other.

    Attributes:
        values: of all events, in the machine's byte order.
        offsets: event i has ``values[offsets[i] : offsets[i + 1]]``; None where each event has one value.
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64] | None = None

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    @classmethod
    def of(cls, array: ak.Array) -> Flat:
        """Values and offsets of an awkward array of numbers or of lists of numbers."""
        layout = ak.to_packed(array).layout
        if layout.is_list:
            layout = layout.to_ListOffsetArray64(True)
            return cls(ak.to_numpy(layout.content), np.asarray(layout.offsets.data, dtype=np.int64))
        return cls(ak.to_numpy(layout))


def is_plain(branch: Any) -> bool:
    """Whether a branch holds one number, or one list of numbers, per entry: what :func:`read_baskets` can read."""
    kind = branch.interpretation
    if isinstance(kind, AsJagged):
        return kind.header_bytes == 0 and _is_number(kind.content)
    return _is_number(kind)


def read_baskets(branch: Any, start: int, stop: int) -> Flat:
    """Entries ``start`` to ``stop`` of a plain branch; only the baskets that hold some of them are read."""
    kind = branch.interpretation
    jagged = isinstance(kind, AsJagged)
    dtype, edges = (kind.content if jagged else kind).from_dtype, branch.entry_offsets
    first, last = np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, stop, "left")
    values, ends = [], []
    for i in range(int(first), int(last)):
        basket = branch.basket(i)
        window = slice(max(start - edges[i], 0), min(stop, edges[i + 1]) - edges[i])
        if jagged:
            places = basket.byte_offsets[window.start : window.stop + 1]
            ends.append(places)
            window = slice(places[0] // dtype.itemsize, places[-1] // dtype.itemsize)
        # copied now: a basket let go at once lends its memory to the next, which is worth more than the copy
        values.append(basket.data.view(dtype)[window].astype(dtype.newbyteorder("=")))
    return Flat(_joined(values, dtype), _offsets(ends, dtype.itemsize) if jagged else None)


def _is_number(kind: Any) -> bool:
    return type(kind) is AsDtype and kind.from_dtype.names is None and kind.from_dtype.shape == ()


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, dtype.newbyteorder("="))


def _offsets(places: Sequence[npt.NDArray[np.int32]], itemsize: int) -> npt.NDArray[np.int64]:
    """Join the byte offsets of some baskets, each of which begins where it likes, to offsets in values."""
    offsets = np.zeros(1 + sum(len(part) - 1 for part in places), dtype=np.int64)
    shift, done = itemsize.bit_length() - 1, 0  # a shift: integers of the processor divide ten times slower
    for part in places:
        window = offsets[done + 1 : done + len(part)]
        np.right_shift(part[1:], shift, out=window)
        window += offsets[done] - (part[0] >> shift)
        done += len(part) - 1
    return offsets
