"""Branches of a TTree straight from its baskets to flat NumPy arrays.

A basket holds the values of a range of entries, and for lists the byte at which each entry begins. Joining those is
all that reading needs; building an awkward array per basket and branch costs as much again as decompressing.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from numba import njit
from uproot.compression import decompress
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

_KEY = struct.Struct(">ihiIhh")
"""Beginning of a basket's key: bytes in the file, version, bytes unpacked, date, bytes of the key, cycle."""
_HEADER = struct.Struct(">HiiiiB")
"""End of a basket's key: version, size of the buffer, of the offsets, entries, last byte of the values, flag."""


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


def read_baskets(branch: Any, start: int, stop: int, *, like: npt.NDArray[np.int64] | None = None) -> Flat:
    """Entries ``start`` to ``stop`` of a plain branch; only the baskets that hold some of them are read.

    Args:
        branch: one number, or one list of numbers, per entry.
        start: first entry.
        stop: entry after the last.
        like: offsets of a branch that should have the same lists; where it has, they are given back themselves.
    """
    kind = branch.interpretation
    jagged = isinstance(kind, AsJagged)
    dtype, edges = (kind.content if jagged else kind).from_dtype, branch.entry_offsets
    values, ends = [], []
    for i in range(bisect.bisect_right(edges, start) - 1, bisect.bisect_left(edges, stop)):
        data, places = _contents(branch, i)
        window = slice(max(start - edges[i], 0), min(stop, edges[i + 1]) - edges[i])
        if jagged:
            ends.append(places[window.start : window.stop + 1])
            window = slice(ends[-1][0] // dtype.itemsize, ends[-1][-1] // dtype.itemsize)
        values.append(data.view(dtype)[window])
    return Flat(_joined(values, dtype), _offsets(ends, dtype.itemsize, like) if jagged else None)


def _contents(branch: Any, i: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Bytes of the values of a basket, and for lists the byte at which each entry begins and the last one ends.

    What uproot's ``branch.basket`` gives, without the objects that it makes of every basket.
    """
    if i >= branch.num_baskets - len(branch.embedded_baskets):  # never closed: it lies inside the branch
        basket = branch.basket(i)
        return basket.data, basket.byte_offsets
    chunk, cursor = branch.basket_chunk_cursor(i)
    packed, _, size, _, key_size, _ = cursor.fields(chunk, _KEY, {}, move=False)
    cursor.skip(key_size - _HEADER.size)
    *_, last, _ = cursor.fields(chunk, _HEADER, {})
    packed -= key_size
    data = cursor.bytes(chunk, size, {}) if packed == size else decompress(chunk, cursor, {}, packed, size).raw_data
    end = last - key_size
    offsets = data[end:].view(">i4")[1:].astype(np.int32)  # the first is their number
    offsets -= key_size
    offsets[-1:] = end
    return data[:end], offsets


def _is_number(kind: Any) -> bool:
    return type(kind) is AsDtype and kind.from_dtype.names is None and kind.from_dtype.shape == ()


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Copy the values of some baskets into one array, in the machine's byte order."""
    native = dtype.newbyteorder("=")
    return np.concatenate(parts, dtype=native) if parts else np.zeros(0, native)


def _offsets(
    places: Sequence[npt.NDArray[np.int32]], itemsize: int, like: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """Join the byte offsets of some baskets, each of which begins where it likes, to offsets in values."""
    n = sum(len(part) - 1 for part in places)
    if like is not None and len(like) == n + 1 and _agree(places, itemsize, like):
        return like
    offsets = np.zeros(n + 1, dtype=np.int64)
    shift, done = itemsize.bit_length() - 1, 0  # a shift: integers of the processor divide ten times slower
    for part in places:
        window = offsets[done + 1 : done + len(part)]
        np.right_shift(part[1:], shift, out=window)
        window += offsets[done] - (part[0] >> shift)
        done += len(part) - 1
    return offsets


def _agree(places: Sequence[npt.NDArray[np.int32]], itemsize: int, offsets: npt.NDArray[np.int64]) -> bool:
    done = 0
    for part in places:
        if not _same_lists(part, itemsize, offsets[done : done + len(part)]):
            return False
        done += len(part) - 1
    return True


@njit(cache=True, nogil=True)
def _same_lists(places: Any, itemsize: Any, offsets: Any) -> Any:
    """Whether byte offsets and offsets in values make lists of the same lengths: one pass, nothing written."""
    same, first = True, places[0] - offsets[0] * itemsize
    for i in range(len(places)):
        same &= places[i] - offsets[i] * itemsize == first
    return same
