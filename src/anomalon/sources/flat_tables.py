"""Tables of columns in ROOT, CSV and HDF5 files, read in parts and checked line by line where they are text."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from anomalon.errors import InputFileError, suggest
from anomalon.sources.contract import first_bytes
from anomalon.sources.darkmachines_text import GZIP, open_bytes
from anomalon.sources.root import (
    MAGIC,
    branch_names,
    check_complete,
    entry_ranges,
    open_tables,
    read_branches,
    reading,
)

HDF5 = b"\x89HDF\r\n\x1a\n"
_BLOCK = 1 << 22

Part = dict[str, Any]
"""Columns by name: shape (row,), (row, slot) or ragged."""


class Table(Protocol):
    """Columns of a file."""

    columns: tuple[str, ...]
    skipped: Counter[str]

    def parts(self, names: Sequence[str], chunk: int) -> Iterator[Part]:
        """Yield the columns in order, at most ``chunk`` rows at a time; :attr:`skipped` counts from 0 again."""
        ...


def open_table(path: Path, name: str | None = None, *, tolerant: bool = False) -> Table:
    """Open the table in a file.

    Args:
        path: ROOT, HDF5 or text, plain or gzipped.
        name: name of the tree or group; None where there is only one.
        tolerant: leave lines of text out that are no row.

    Raises:
        InputFileError: the file is damaged, or holds several tables or none.
    """
    head = first_bytes(path)
    if head.startswith(MAGIC):
        return RootTable(path, name)
    return HdfTable(path, name) if head.startswith(HDF5) else CsvTable(path, tolerant=tolerant)


def _only(tables: Sequence[str], name: str | None, path: Path) -> str:
    if name is not None and name not in tables:
        raise InputFileError(f"{path}: no table '{name}'; {suggest(name, tables)}")
    if name is None and len(tables) != 1:
        raise InputFileError(
            f"{path}: holds the tables {', '.join(tables) or 'none'}: say which is meant (table: NAME)"
        )
    return tables[0] if name is None else name


class RootTable:
    """A TTree or RNTuple."""

    def __init__(self, path: Path, name: str | None) -> None:
        check_complete(path, first_bytes(path))
        tables = open_tables(path)
        self._path, self._table = path, tables[_only(list(tables), name, path)]
        self.columns = branch_names(self._table)
        self.skipped: Counter[str] = Counter()

    def parts(self, names: Sequence[str], chunk: int) -> Iterator[Part]:
        """Yield the branches in parts, cut as the file was written."""
        with reading(self._path):
            ranges = list(entry_ranges(self._table, names, chunk)) or [(0, 0)]
        for start, stop in ranges:
            with reading(self._path, f"rows {start} to {stop}"):
                yield read_branches(self._table, names, start, stop)


class HdfTable:
    """A compound dataset, or a group of datasets of equal length: 1-D, or 2-D with one column per slot."""

    def __init__(self, path: Path, name: str | None) -> None:
        self._path = path
        with reading(path), h5py.File(path) as file:
            self._name = _only(_hdf_tables(file), name, path)
            table = file[self._name]
            self._compound = isinstance(table, h5py.Dataset)
            self.columns = tuple(table.dtype.names) if self._compound else tuple(_columns(table))
            lengths = {len(table)} if self._compound else {len(table[c]) for c in self.columns}
        if len(lengths) != 1:
            raise InputFileError(f"{path}: columns of '{self._name}' have different lengths {sorted(lengths)}")
        (self._rows,) = lengths
        self.skipped: Counter[str] = Counter()

    def parts(self, names: Sequence[str], chunk: int) -> Iterator[Part]:
        """Yield the datasets in parts."""
        with h5py.File(self._path) as file:
            table = file[self._name]
            for start in range(0, max(self._rows, 1), chunk):
                with reading(self._path, f"rows {start} to {start + chunk}"):
                    rows = table[start : start + chunk] if self._compound else None
                    yield {c: rows[c] if rows is not None else table[c][start : start + chunk] for c in names}


def _columns(group: Any) -> list[str]:
    return [k for k, v in group.items() if isinstance(v, h5py.Dataset) and v.ndim in (1, 2) and v.dtype.kind in "biuf"]


def _hdf_tables(file: Any) -> list[str]:
    found = ["/"] if _columns(file) else []

    def visit(name: str, item: Any) -> None:
        compound = isinstance(item, h5py.Dataset) and item.dtype.names is not None and item.ndim == 1
        if compound or (isinstance(item, h5py.Group) and _columns(item)):
            found.append(name)

    file.visititems(visit)
    return found


class CsvTable:
    """Text with a line of names and then one line of numbers per row, plain or gzipped."""

    def __init__(self, path: Path, *, tolerant: bool = False) -> None:
        self._path, self._tolerant = path, tolerant
        with _unpacking(path), open_bytes(path) as file:
            head = file.readline(1 << 16).decode("utf-8-sig", "replace").strip()
        self._separator = max(",;\t", key=head.count)
        self.columns = tuple(name.strip().strip('"') for name in head.split(self._separator))
        self.skipped: Counter[str] = Counter()
        twice = [name for name, n in Counter(self.columns).items() if n > 1]
        if twice:
            raise InputFileError(f"{path}: column '{twice[0]}' is there twice; rename one in the first line")

    def parts(self, names: Sequence[str], chunk: int) -> Iterator[Part]:
        """Yield the columns as float64, NaN where a field is empty (int64 where all are whole numbers)."""
        self.skipped, self._line = Counter(), 1
        self._short: list[tuple[int, str]] = []
        empty = True
        with _unpacking(self._path), open_bytes(self._path) as file:
            for batch in self._reader(file):
                columns, good = self._numbers(batch, names)
                for start in range(0, int(good.sum()), chunk):
                    empty = False
                    yield {name: values[good][start : start + chunk] for name, values in columns.items()}
        if empty:
            yield {name: np.zeros(0) for name in names}

    def _reader(self, file: Any) -> Iterator[pa.RecordBatch]:
        try:
            yield from pcsv.open_csv(
                file,
                pcsv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=list(self.columns), skip_rows=1),
                pcsv.ParseOptions(delimiter=self._separator, invalid_row_handler=self._bad_row),
                pcsv.ConvertOptions(column_types=dict.fromkeys(self.columns, pa.string()), strings_can_be_null=False),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise InputFileError(f"{self._path}: cannot be read as a table of text ({error})") from None

    def _bad_row(self, row: Any) -> str:
        fewer = row.actual_columns < row.expected_columns
        self._short.append((row.number or 0, "missing field" if fewer else "too many fields"))
        return "skip"

    def _numbers(self, batch: Any, names: Sequence[str]) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.bool_]]:
        lines = self._lines(batch.num_rows)
        good = np.ones(batch.num_rows, dtype=np.bool_)
        columns = {}
        for name in names:
            columns[name], bad = _as_numbers(batch.column(self.columns.index(name)))
            for i in bad:
                self._damage(int(lines[i]), "text in a number", f"{name} = {batch.column(name)[i].as_py()!r}")
            self.skipped["text in a number"] += int(good[bad].sum())
            good[bad] = False
        self.skipped += Counter()  # drops zeros
        return columns, good

    def _lines(self, n: int) -> npt.NDArray[np.int64]:
        """Numbers of the lines of a batch of ``n`` rows, around those that are no row."""
        lines = np.arange(self._line + 1, self._line + 1 + n + len(self._short))
        for line, reason in self._short:
            self._damage(line, reason, "")
            self.skipped[reason] += 1
        lines = np.setdiff1d(lines, [line for line, _ in self._short])[:n]
        self._line += n + len(self._short)
        self._short.clear()
        return lines

    def _damage(self, line: int, reason: str, found: str) -> None:
        if not self._tolerant:
            what = f"{reason}: {found}" if found else reason
            raise InputFileError(
                f"{self._path}, line {line}: {what}; {len(self.columns)} fields are expected, as in the first line; "
                "--lenient leaves such lines out and counts them"
            )


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    """Turn what reading packed text raises into an error with the file's name."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputFileError(f"{path}: cannot be read ({error}); copy or download it again") from None


def _as_numbers(column: Any) -> tuple[npt.NDArray[Any], list[int]]:
    """Numbers of a column of strings, and the rows that hold none; an empty field is NaN."""
    text = pc.utf8_trim_whitespace(column)
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(pc.if_else(pc.equal(text, ""), "nan", text), kind).to_numpy(zero_copy_only=False), []
        except pa.ArrowInvalid:
            continue
    values = [_number(item) for item in text.to_pylist()]
    return np.array([np.nan if v is None else v for v in values]), [i for i, v in enumerate(values) if v is None]


def _number(text: str) -> float | None:
    try:
        return float(text or "nan")
    except ValueError:
        return None


def describe(columns: Sequence[str], n: int = 8) -> str:
    """First names of the columns, for messages."""
    return ", ".join(columns[:n]) + (f", ... ({len(columns)} in all)" if len(columns) > n else "")


def is_gzipped(head: bytes) -> bool:
    """Whether a file that starts like this is gzipped."""
    return head.startswith(GZIP)


def ragged(values: Any) -> ak.Array:
    """Any column as ragged lists: one object per row where it is flat."""
    array = ak.Array(values)
    if array.ndim == 1:
        array = ak.Array(np.asarray(values)[:, np.newaxis])
    return ak.from_regular(array, axis=1)
