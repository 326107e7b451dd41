"""One shard of a store: events to a Parquet file, and back as flat columns without a copy where Arrow allows it.

A row is an event, a collection is a list of structs, nothing can be null. Row groups hold :data:`EVENTS_PER_GROUP`
events, so that few events can be read without the rest. The layout is made for reading: floats as split byte streams
(bytes of equal meaning side by side) under LZ4 take about as much space as plain ones under ZSTD and decode faster;
integers are small already as an index of few values or, for event numbers, as differences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from anomalon.errors import InvalidEventsError
from anomalon.objects import record, vector_name

EVENTS_PER_GROUP = 8192
"""Events in a row group: what has to be decoded for a single event."""

_OPEN_FILES = 16
_LIST = re.compile(r"\.list\.(element|item)(?=\.|$)")
"""What Parquet puts between a list and its content; older shards say ``item``."""


def columns_of(array: ak.Array) -> tuple[str, ...]:
    """Dotted names of the columns of a record array."""
    return tuple(f"{head}.{tail}" if tail else head for head in array.fields for tail in (array[head].fields or [""]))


def heads(columns: Iterable[str]) -> list[str]:
    """First parts of dotted names, each once, in order."""
    return list(dict.fromkeys(c.partition(".")[0] for c in columns))


def write_shard(array: ak.Array, path: Path) -> None:
    """Write the record array of some events to a Parquet file; equal events give equal bytes."""
    # zipped anew: otherwise the bytes, and the hash, would tell how often the events had been joined
    packed = ak.zip({name: ak.to_packed(array[name]) for name in array.fields}, depth_limit=1)
    table = ak.to_arrow_table(packed, extensionarray=False)
    kinds = dict(leaf for field in table.schema for leaf in _leaves(field.name, field.type))
    encodings = {name: "BYTE_STREAM_SPLIT" for name, kind in kinds.items() if pa.types.is_floating(kind)}
    pq.write_table(
        table,
        path,
        row_group_size=EVENTS_PER_GROUP,
        data_page_version="2.0",
        compression={name: "lz4" if name in encodings else "none" for name in kinds},
        column_encoding=encodings | {name: "DELTA_BINARY_PACKED" for name in kinds if name == "event"},
        use_dictionary=[name for name, kind in kinds.items() if pa.types.is_integer(kind) and name != "event"],
        write_statistics=False,
    )


@lru_cache(maxsize=_OPEN_FILES)
def open_shard(path: Path, _identity: tuple[int, int]) -> pq.ParquetFile:
    """Open a Parquet file for reading parts of it; the last few stay open as long as their identity is the same."""
    return pq.ParquetFile(path, pre_buffer=False)  # with it, an open file keeps all that was read


def read_table(file: pq.ParquetFile, columns: Iterable[str]) -> pa.Table:
    """Columns (dotted names) of all events of a shard."""
    # one thread: whoever wants more reads several shards at once, in processes
    return file.read(_paths(file, columns), use_threads=False)


def read_rows(file: pq.ParquetFile, start: int, stop: int, columns: Iterable[str]) -> pa.Table:
    """Columns of the events ``start`` to ``stop`` (exclusive) of a shard; no other row group is read."""
    groups = file.metadata.num_row_groups
    ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(groups)])
    first, last = np.searchsorted(ends, [start, stop - 1], side="right")
    before = int(ends[first - 1]) if first else 0
    table = file.read_row_groups(list(range(first, last + 1)), _paths(file, columns), use_threads=False)
    return table.slice(start - before, stop - start)


def with_factors(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Give a table every named per-event factor; those that it lacks are 1."""
    old = _chunks([table], "factors") if "factors" in table.column_names else []
    have = {field.name for chunk in old for field in chunk.type}
    if have >= set(names):
        return table
    known = pa.concat_arrays(old) if old else None
    arrays = [known.field(n) if known is not None and n in have else pa.array(np.ones(len(table))) for n in names]
    rest = table.drop_columns(["factors"]) if old else table
    return rest.append_column("factors", pa.StructArray.from_arrays(arrays, list(names)))


def cut(tables: Iterable[pa.Table], size: int) -> Iterator[list[pa.Table]]:
    """Regroup a stream of tables into groups of ``size`` rows (the last may be smaller), without copying.

    Raises:
        InvalidEventsError: ``size`` is not positive.
    """
    if size < 1:
        raise InvalidEventsError(f"chunk = {size}, must be at least 1")
    held: list[pa.Table] = []
    missing = size
    for table in tables:
        start = 0
        while len(table) - start >= missing:
            yield [*held, table.slice(start, missing)]
            start, held, missing = start + missing, [], size
        if start < len(table):
            held.append(table.slice(start))
            missing -= len(table) - start
    if held:
        yield held


def to_events(tables: Sequence[pa.Table], columns: Iterable[str]) -> ak.Array:
    """Join tables with equal columns into the record array of events, with the vector behaviours attached."""
    return ak.Array(record({name: _layout(_chunks(tables, name)) for name in heads(columns)}))


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Columns of the Parquet file for an Arrow column, and their types."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path, kind


def _paths(file: pq.ParquetFile, columns: Iterable[str]) -> list[str]:
    """Names in the Parquet file of columns with dotted names."""
    wanted = set(columns)
    paths = [file.schema.column(i).path for i in range(len(file.schema))]
    return [path for path in paths if ".".join(_LIST.sub("", path).split(".")[:2]) in wanted]


def _chunks(tables: Sequence[pa.Table], name: str) -> list[pa.Array]:
    """Pieces of a column, at least one."""
    chunks = [chunk for table in tables for chunk in table.column(name).chunks]
    return chunks or [pa.array([], tables[0].schema.field(name).type)]


def _layout(chunks: Sequence[pa.Array]) -> Any:
    """Arrow arrays of one type as one awkward layout."""
    kind = chunks[0].type
    if any(chunk.null_count for chunk in chunks):  # no event of ours has missing values, but none may be lost
        return ak.from_arrow(pa.chunked_array(chunks), highlevel=False)
    if pa.types.is_struct(kind):
        fields = [field.name for field in kind]
        contents = {name: _layout([chunk.field(name) for chunk in chunks]) for name in fields}
        return record(contents, vector_name(fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lists = [_list(chunk) for chunk in chunks]
        offsets = ak.index.Index64(_joined_offsets([offsets for offsets, _ in lists]))
        return ak.contents.ListOffsetArray(offsets, _layout([content for _, content in lists]))
    return ak.contents.NumpyArray(_joined([_numbers(chunk) for chunk in chunks]))


def _list(chunk: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Offsets of lists, from 0, and what is in them."""
    offsets = chunk.offsets.to_numpy().astype(np.int64, copy=False)
    first, last = int(offsets[0]), int(offsets[-1])
    return offsets - first if first else offsets, chunk.values.slice(first, last - first)


def _joined_offsets(parts: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    ends = np.cumsum([0, *(part[-1] for part in parts)])
    return _joined([parts[0], *(part[1:] + end for part, end in zip(parts[1:], ends[1:], strict=False))])


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _numbers(chunk: pa.Array) -> npt.NDArray[Any]:
    if not pa.types.is_boolean(chunk.type) or not len(chunk):
        return np.asarray(chunk.to_numpy(zero_copy_only=False))
    bits = np.unpackbits(np.frombuffer(chunk.buffers()[1], np.uint8), bitorder="little")
    return bits[chunk.offset : chunk.offset + len(chunk)].view(np.bool_)
