"""Feature tables: event-level columns that are features already, such as ``Lepton1_eta, FatJet1_tau2, ScalarHT``.

CSV (plain or gzipped), HDF5, ROOT and Parquet; read whole, because a table of features is small beside its events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from anomalon.config import Settings, load_yaml
from anomalon.errors import InputFileError, MissingFieldError, suggest
from anomalon.features.contract import Features
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.sources.contract import CHUNK, SourceInfo, first_bytes, format_of
from anomalon.sources.flat import FORMAT
from anomalon.sources.flat_tables import Part, Table, open_table
from anomalon.store import sha256

PARQUET = b"PAR1"


class FeatureMapping(Settings):
    """Which columns of a table are features and which are ids.

    Attributes:
        features: columns, in the order of the features; None for all numbers that are not named here otherwise.
        run: column of the run number; None: 1.
        lumi: column of the luminosity block; None: 1.
        event: column of the event number; None: the number of the row, from 0.
        weight: column of the weight; None: 1.
        missing: number that stands for a missing value, such as -999; NaN and empty fields always do.
        table: name of the tree or group; None where there is only one.
        lenient: leave lines of text out that cannot be read, and count them.
    """

    features: tuple[str, ...] | None = None
    run: str | None = None
    lumi: str | None = None
    event: str | None = None
    weight: str | None = None
    missing: float | None = None
    table: str | None = None
    lenient: bool = False

    @property
    def ids(self) -> dict[str, str]:
        """Columns that are no features: what they are -> column."""
        named = {"run": self.run, "lumi": self.lumi, "event": self.event, "weight": self.weight}
        return {name: column for name, column in named.items() if column is not None}


def load_feature_mapping(path: str | Path) -> FeatureMapping:
    """Read a mapping from a YAML file.

    Raises:
        ConfigError: the file is missing or no mapping of features; the message says which key and what is allowed.
    """
    return FeatureMapping.parse(load_yaml(path), where=str(path))


@dataclass(frozen=True)
class EventIds:
    """What identifies and weighs the events of a table.

    Attributes:
        run: int64, shape (event,).
        lumi: int64, shape (event,).
        event: int64, shape (event,).
        weight: float64, shape (event,).
    """

    run: npt.NDArray[np.int64]
    lumi: npt.NDArray[np.int64]
    event: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, where: npt.NDArray[Any] | slice) -> EventIds:
        """Return the ids of the events at a slice, a boolean mask or an index array."""
        return EventIds(self.run[where], self.lumi[where], self.event[where], self.weight[where])


def read_feature_table(path: str | Path, mapping: FeatureMapping | None = None) -> tuple[Features, EventIds, Ledger]:
    """Read features that are there already, with the ids of their events and a ledger that balances.

    Of events with equal (run, lumi, event) the first is kept, where the table has event numbers.

    Raises:
        InputFileError: the file is damaged, or a value that should be a number is none.
        MissingFieldError: a column is not there; the message suggests near ones.
    """
    file, chosen = Path(path), mapping or FeatureMapping()
    table = _open(file, chosen)
    names = _features(table, chosen, str(file))
    parts = list(table.parts([*names, *chosen.ids.values()], CHUNK))
    columns = {name: np.concatenate([_numbers(part[name], name, file) for part in parts]) for name in parts[0]}
    features, ids = _as_features(columns, names, chosen), _as_ids(columns, chosen, file)
    new = _first_of_each(ids)
    entry = LedgerEntry(
        str(file),
        read=len(ids) + table.skipped.total(),
        written=int(new.sum()),
        duplicated=int((~new).sum()),
        skipped=dict(table.skipped),
        sha256=sha256(file),
        size=file.stat().st_size,
    )
    return features[new], ids[new], Ledger((entry,)).check()


def describe_table(path: str | Path) -> SourceInfo | None:
    """Say what a table without a mapping holds: its columns, its rows, and what it takes to read them.

    Returns:
        None where the file is no table of columns, or one of a format that needs no mapping.

    Raises:
        InputFileError: the file is damaged, or holds several tables.
    """
    file = Path(path)
    kind = format_of(file)
    if not (first_bytes(file).startswith(PARQUET) or (kind is not None and kind.name == FORMAT)):
        return None
    table = _open(file, FeatureMapping(lenient=True))
    rows = sum(len(part[table.columns[0]]) for part in table.parts(table.columns[:1], CHUNK))
    details = {
        "columns": ", ".join(table.columns),
        "mapping": "needed: of features (run, lumi, event, weight, missing: anomalon features FILE --mapping), or of "
        "objects (muons, jets, ...: anomalon read FILE --mapping)",
    }
    if table.skipped:
        details["no rows"] = ", ".join(f"{n} lines: {reason}" for reason, n in table.skipped.items())
    return SourceInfo(str(file), FORMAT, rows, (), (), {}, details)


def _open(path: Path, mapping: FeatureMapping) -> Table:
    if first_bytes(path).startswith(PARQUET):
        return ParquetTable(path)
    return open_table(path, mapping.table, tolerant=mapping.lenient)


def _features(table: Table, mapping: FeatureMapping, where: str) -> tuple[str, ...]:
    ids = set(mapping.ids.values())
    names = mapping.features if mapping.features is not None else tuple(c for c in table.columns if c not in ids)
    for name in (*names, *ids):
        if name not in table.columns:
            raise MissingFieldError(f"{where}: no column '{name}'; {suggest(name, table.columns)}")
    if not names:
        raise MissingFieldError(f"{where}: no column is left for the features")
    return names


def _numbers(values: Any, name: str, path: Path) -> npt.NDArray[Any]:
    """One number per event."""
    array = ak.Array(values) if isinstance(values, ak.Array) else np.asarray(values)
    if array.ndim != 1:
        raise InputFileError(f"{path}: column '{name}' has several numbers per event: not a feature; leave it out")
    return np.asarray(ak.to_numpy(array))


def _as_features(columns: Part, names: Sequence[str], mapping: FeatureMapping) -> Features:
    table = np.column_stack([columns[name].astype(np.float64) for name in names])
    mask = ~np.isnan(table)
    if mapping.missing is not None:
        mask &= table != mapping.missing
    with np.errstate(over="ignore"):  # what is too large for single precision is infinite, and reported as such
        values = np.where(mask, table, np.nan).astype(np.float32)
    return Features(values, mask, tuple(names))


def _as_ids(columns: Part, mapping: FeatureMapping, path: Path) -> EventIds:
    n = len(next(iter(columns.values())))
    defaults: dict[str, Any] = {"run": np.ones(n), "lumi": np.ones(n), "event": np.arange(n), "weight": np.ones(n)}
    found = {name: columns[mapping.ids[name]] if name in mapping.ids else values for name, values in defaults.items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            where = int(np.argmin(np.isfinite(values)))
            raise InputFileError(f"{path}: {name} = {values[where]} in row {where + 1}: every event needs a number")
    run, lumi, event = (found[name].astype(np.int64) for name in ("run", "lumi", "event"))
    return EventIds(run, lumi, event, found["weight"].astype(np.float64))


def _first_of_each(ids: EventIds) -> npt.NDArray[np.bool_]:
    """Whether no event before has the same ids."""
    new = np.zeros(len(ids), dtype=np.bool_)
    new[np.unique(np.column_stack([ids.run, ids.lumi, ids.event]), axis=0, return_index=True)[1]] = True
    return new


class ParquetTable:
    """The numbers of a Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputFileError(f"{path}: damaged, cannot be read ({error}); copy or download it again") from None
        schema = self._file.schema_arrow
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
        self.columns = tuple(f.name for f in schema if any(is_kind(f.type) for is_kind in kinds))
        self.skipped: Counter[str] = Counter()

    def parts(self, names: Sequence[str], chunk: int) -> Iterator[Part]:
        """Yield the columns in parts; nulls become NaN."""
        empty = True
        for batch in self._file.iter_batches(chunk, columns=list(names)):
            empty = False
            yield {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
        if empty:
            yield {name: np.zeros(0) for name in names}
