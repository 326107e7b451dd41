"""ROOT files with clear errors: uproot raises many kinds; here they become one, naming the file."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot

from anomalon.errors import AnomalonError, InputFileError
from anomalon.sources.baskets import Flat, is_plain, read_baskets

MAGIC = b"root"
_BIG_FILE = 1_000_000


def check_complete(path: Path, head: bytes) -> None:
    """Refuse a ROOT file that is shorter than its header says.

    Raises:
        InputFileError: the file was cut while it was written or copied.
    """
    end, size = _end_of_file(head), path.stat().st_size
    if size < end:
        raise InputFileError(f"{path}: cut short: {size} of {end} bytes are there; copy or download it again")


def _end_of_file(head: bytes) -> int:
    """Length that the header gives; files of version 1000000 and above (over 2 GB) store it in 64 bits."""
    if len(head) < 20:
        return 100
    big = struct.unpack_from(">i", head, 4)[0] >= _BIG_FILE
    return int(struct.unpack_from(">q" if big else ">i", head, 12)[0])


@contextmanager
def reading(path: Path, what: str = "") -> Iterator[None]:
    """Turn whatever uproot raises on a damaged file into an :class:`InputFileError` with the file's name."""
    try:
        yield
    except (AnomalonError, MemoryError):
        raise
    except Exception as error:  # uproot passes on errors of struct, zlib, numpy and of its own
        reason = " ".join(str(error).split())[:160]
        where = f"{path}{', ' + what if what else ''}"
        raise InputFileError(
            f"{where}: damaged, cannot be read ({type(error).__name__}: {reason}); copy or download it again"
        ) from error


def open_tables(path: Path) -> dict[str, Any]:
    """Trees and RNTuples at the top of a ROOT file, by name.

    Raises:
        InputFileError: the file is damaged or holds neither.
    """
    with reading(path):
        file, names = _open(path)
        tables = {name: file[name] for name in _tables_among(names)}
    if not tables:
        what = ", ".join(f"{name} ({kind})" for name, kind in names.items()) or "nothing"
        raise InputFileError(f"{path}: a ROOT file without a tree; it holds {what}")
    return tables


def table_names(path: Path) -> list[str]:
    """Names of the trees and RNTuples at the top of a ROOT file, none of which is read.

    Raises:
        InputFileError: the file is damaged.
    """
    with reading(path):
        return _tables_among(_open(path)[1])


def _open(path: Path) -> tuple[Any, dict[str, str]]:
    """A ROOT file, and the class of each object at its top."""
    # a Path, not a string: uproot would split "a:b.root" at the colon
    # no cache of arrays: events are read once, and 100 MB of what was read would stay in memory
    file = uproot.open(path, handler=uproot.MemmapSource, array_cache=None)
    return file, file.classnames(recursive=False, cycle=False)


def _tables_among(names: Mapping[str, str]) -> list[str]:
    return [name for name, kind in names.items() if kind == "TTree" or kind.endswith("RNTuple")]


def is_rntuple(table: Any) -> bool:
    """Whether a table is an RNTuple; otherwise it is a TTree."""
    return type(table).__name__.endswith("RNTuple")


def branch_names(table: Any) -> tuple[str, ...]:
    """Names of the branches or fields that hold numbers or lists of numbers."""
    if is_rntuple(table):  # its keys() takes seconds on a thousand fields
        return tuple(item.name for item in table.fields if not item.name.startswith("_"))
    return tuple(dict.fromkeys(table.keys(recursive=False)))


def read_branches(table: Any, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    """Entries ``start`` to ``stop`` of the branches as awkward arrays, by name."""
    if is_rntuple(table):
        arrays = table.arrays(list(names), entry_start=start, entry_stop=stop)
        read = {name: arrays[name] for name in names}
    else:
        read = dict(table.arrays(list(names), entry_start=start, entry_stop=stop, how=dict))
    _release(table)
    return read


def read_flat(table: Any, names: Sequence[str], start: int, stop: int) -> dict[str, Flat]:
    """Entries ``start`` to ``stop`` of the branches as flat NumPy arrays with offsets, by name."""
    plain = [] if is_rntuple(table) else [name for name in names if is_plain(table[name])]
    others = [name for name in names if name not in plain]
    read = {
        name: Flat.of(array) for name, array in (read_branches(table, others, start, stop) if others else {}).items()
    }
    read |= _read_plain({name: table[name] for name in plain}, start, stop)
    _release(table)
    return read


def _release(table: Any) -> None:
    """Let go of the pages of the file that were read: mapped, they count as memory of the process."""
    mapped = getattr(getattr(getattr(table, "file", None), "source", None), "_file", None)
    pages = getattr(mapped, "_mmap", None)
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def _read_plain(branches: Mapping[str, Any], start: int, stop: int) -> dict[str, Flat]:
    """Read branches basket by basket; those whose lists have the same counter share their offsets."""
    read: dict[str, Flat] = {}
    offsets: dict[str, npt.NDArray[np.int64]] = {}
    for name, branch in branches.items():
        counter = "" if branch.count_leaf is None else branch.count_leaf.member("fName")
        flat = read[name] = read_baskets(branch, start, stop, like=offsets.get(counter))
        if counter and flat.offsets is not None:
            offsets.setdefault(counter, flat.offsets)
    return read


def entry_ranges(table: Any, names: Sequence[str], chunk: int) -> Iterator[tuple[int, int]]:
    """Cut a table into ranges of at most ``chunk`` entries, along the boundaries at which it was written.

    A basket that two ranges share is decompressed twice; a cluster is cut only where it alone is too large.
    """
    edges = _cluster_edges(table, names)
    start = 0
    for edge, following in zip(edges, [*edges[1:], None], strict=True):
        if following is not None and following - start <= chunk:
            continue
        while start < edge:
            stop = min(start + chunk, edge)
            yield start, stop
            start = stop


def _cluster_edges(table: Any, names: Sequence[str]) -> list[int]:
    n = int(table.num_entries)
    if is_rntuple(table):
        return [n]
    # branches written without common clusters: cut anywhere
    edges = set.intersection(*(set(table[name].entry_offsets) for name in names)) if names else set()
    return [*sorted(int(edge) for edge in edges if 0 < edge < n), n]
