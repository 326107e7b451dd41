"""Features of a store or file as a flat table: HDF5, Parquet or NumPy; written part by part, bounded in memory."""

from __future__ import annotations

import errno
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anomalon import features
from anomalon.batches import EventIds
from anomalon.errors import ConfigError
from anomalon.events import Sample, merge_samples
from anomalon.features.feature_table import FeatureMapping, read_feature_table
from anomalon.pipeline.outputs import check_free, complete
from anomalon.pipeline.samples import CHUNK
from anomalon.pipeline.table import Table, luminosity_for
from anomalon.selection import apply, for_features
from anomalon.sources import open_source

FORMATS = (".h5", ".parquet", ".npy")
IDS = {"run": np.int64, "lumi": np.int64, "event": np.int64, "dataset": np.int32}
VALUES_AT_A_TIME = 2**22
"""Features in memory, 16 MB: dense ones of many events are larger than any memory."""
VALUES_PER_CHUNK = 2**16
"""Numbers that HDF5 compresses together."""


def export_features(
    source: str | Path,
    output: str | Path,
    *,
    feature_set: str = "trilepton",
    select: bool = True,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the features of a store or file, with ids and weights; missing values are NaN.

    Args:
        source: a store or a file that anomalon reads.
        output: ends in ``.h5``, ``.parquet`` or ``.npy``.
        feature_set: name of the feature set.
        select: whether only events that pass the selection are written.
        overwrite: replace a file that is already there.
        on_progress: called with (events read, events in all).

    Returns:
        Plain values: events read and written, names of the features, missing and not finite values per feature.

    Raises:
        ConfigError: the ending is not one of the formats.
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
        MissingFieldError: the source lacks a field.
    """
    targets = _targets(Path(output))
    check_free(targets, overwrite=overwrite)
    chosen, selection, opened = features.get(feature_set), for_features(feature_set), open_source(source)
    read, total = 0, _Total()
    with complete(targets) as made, _WRITERS[targets[0].suffix](made, chosen.names) as writer:
        for events in opened.iterate(chosen.requires | selection.requires, _events_at_a_time(len(chosen.names))):
            kept = apply(selection, events).events if select else events
            writer.append(total.add(Table.of(kept, chosen, luminosity_for(events.samples, 1.0))))
            read += len(events)
            if on_progress is not None:
                on_progress(read, opened.n_events)
        writer.finish(total.samples)
    return {
        "output": str(targets[0]),
        "read": read,
        "written": total.written,
        "names": list(chosen.names),
        "not_finite": dict(total.not_finite),
    }


def export_feature_table(
    path: str | Path, mapping: FeatureMapping, output: str | Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write features that a file has already, such as columns of a CSV, in the form of :func:`export_features`.

    The sample is called after the file. Weights are those of the file: nothing is known of their normalisation.

    Args:
        path: CSV, Parquet, HDF5 or ROOT.
        mapping: which columns are features and which are ids.
        output: ends in ``.h5``, ``.parquet`` or ``.npy``.
        overwrite: replace a file that is already there.

    Returns:
        As :func:`export_features`, and the ledger.

    Raises:
        ConfigError: the ending is not one of the formats.
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
        InputFileError: the file is damaged, or a value that should be a number is none.
        MissingFieldError: a column is not there.
    """
    targets = _targets(Path(output))
    check_free(targets, overwrite=overwrite)
    found, own, ledger = read_feature_table(path, mapping)
    sample = Sample(name=Path(path).stem, process="unknown", provenance={"files": [str(path)]})
    ids = EventIds(own.run, own.lumi, own.event, np.zeros(len(own), dtype=np.int32), (sample.name,))
    total = _Total()
    with complete(targets) as made, _WRITERS[targets[0].suffix](made, found.names) as writer:
        writer.append(total.add(Table(found, ids, own.weight, (sample,))))
        writer.finish(total.samples)
    return {
        "output": str(targets[0]),
        "read": ledger.totals.read,
        "written": total.written,
        "names": list(found.names),
        "not_finite": dict(total.not_finite),
        "ledger": ledger.to_dict(),
    }


def _events_at_a_time(n_features: int) -> int:
    return min(CHUNK, VALUES_AT_A_TIME // max(n_features, 1))


class _Total:
    """What was written so far: numbers, and the samples that ``dataset`` counts into."""

    def __init__(self) -> None:
        self.written = 0
        self.not_finite: Counter[str] = Counter()
        self.samples: tuple[Sample, ...] = ()

    def add(self, part: Table) -> Table:
        """Count a part, and return it with ``dataset`` counting into all samples so far."""
        self.written += len(part)
        self.not_finite.update(part.features.not_finite())
        self.samples = merge_samples([self.samples, part.samples])
        names = [sample.name for sample in self.samples]
        place = np.asarray([names.index(sample.name) for sample in part.samples], dtype=np.int32)
        dataset = place[part.ids.dataset] if len(part) else part.ids.dataset
        return replace(part, ids=replace(part.ids, dataset=dataset, names=tuple(names)), samples=self.samples)


def _targets(output: Path) -> tuple[Path, ...]:
    """The files to write: the table and, for NumPy, its ids and names beside it."""
    if output.suffix not in FORMATS:
        raise ConfigError(f"{output}: ends in '{output.suffix}'; features are written as {', '.join(FORMATS)}")
    if output.suffix != ".npy":
        return (output,)
    return output, output.with_suffix(".ids.npy"), output.with_suffix(".names.txt")


class _Writer(Protocol):
    """Writes a table part by part into the files that it is given."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def append(self, part: Table) -> None:
        """Write some events."""
        ...

    def finish(self, samples: Sequence[Sample]) -> None:
        """Write what is known at the end."""
        ...


class _Hdf5:
    """Data sets that grow; values are compressed, which takes the zeros out of a rapidity-mass matrix."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self._target = _Target(paths[0])
        self._file = h5py.File(self._target, "w")
        packed = {"compression": "gzip", "shuffle": True}
        values = self._make("features", np.float32, (len(names),), **packed)
        values.attrs["names"] = list(names)
        self._make("mask", np.bool_, (len(names),), **packed)
        self._make("weight", np.float64)
        for name, kind in IDS.items():
            self._make(f"ids/{name}", kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._file.close()
        finally:
            self._target.close()

    def append(self, part: Table) -> None:
        columns = {"features": part.features.values, "mask": part.features.mask, "weight": part.weight}
        for name, values in {**columns, **{f"ids/{name}": getattr(part.ids, name) for name in IDS}}.items():
            data = self._file[name]
            data.resize(len(data) + len(values), axis=0)
            if len(values):
                data[len(data) - len(values) :] = values
        self._target.check()

    def finish(self, samples: Sequence[Sample]) -> None:
        self._file["ids"].attrs["samples"] = [s.name for s in samples]
        self._file["ids"].attrs["processes"] = [s.process for s in samples]
        self._file.flush()
        self._target.check()

    def _make(self, name: str, kind: Any, shape: tuple[int, ...] = (), **options: Any) -> Any:
        rows = max(1, VALUES_PER_CHUNK // max(math.prod(shape), 1))
        return self._file.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(rows, *(max(n, 1) for n in shape)),
            dtype=kind,
            **options,
        )


class _Target(io.FileIO):
    """A file that remembers that it could not be written: the HDF5 library takes the process down on a full disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        try:
            if super().write(data) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.name))
        except OSError as error:
            self._error = self._error or error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return self.tell() if size is None else size

    def check(self) -> None:
        """Raise what could not be raised when it happened."""
        if self._error is not None:
            raise self._error


class _Parquet:
    """A row group per part."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        ids = [(name, pa.from_numpy_dtype(kind)) for name, kind in IDS.items()]
        values = [(name, pa.float32()) for name in names]
        self._schema = pa.schema([*ids, ("process", pa.string()), ("weight", pa.float64()), *values])
        self._writer = pq.ParquetWriter(paths[0], self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def append(self, part: Table) -> None:
        columns = [getattr(part.ids, name) for name in IDS]
        columns += [part.process.tolist(), part.weight, *np.ascontiguousarray(part.features.values.T)]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def finish(self, samples: Sequence[Sample]) -> None:
        """Nothing is left: processes are in a column."""


class _Numpy:
    """Values as ``.npy``; ids and weights in a second one, names as text."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        kinds = np.dtype([*IDS.items(), ("weight", "f8")])
        self._arrays = (_Growing(paths[0], np.dtype("f4"), (len(names),)), _Growing(paths[1], kinds))
        paths[2].write_text("\n".join(names) + "\n", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for array in self._arrays:
            array.close()

    def append(self, part: Table) -> None:
        ids = np.zeros(len(part), dtype=self._arrays[1].kind)
        for name in IDS:
            ids[name] = getattr(part.ids, name)
        ids["weight"] = part.weight
        for array, values in zip(self._arrays, (part.features.values, ids), strict=True):
            array.append(values)

    def finish(self, samples: Sequence[Sample]) -> None:
        del samples
        for array in self._arrays:
            array.finish()


class _Growing:
    """A ``.npy`` file to which rows are added; its header has room for their final number."""

    def __init__(self, path: Path, kind: np.dtype[Any], shape: tuple[int, ...] = ()) -> None:
        self.kind, self._shape, self._rows = kind, shape, 0
        self._file = path.open("wb")
        self._header()

    def append(self, values: np.ndarray[Any, Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self.kind).data)  # an error on a full disk says so
        self._rows += len(values)

    def finish(self) -> None:
        self._file.seek(0)
        self._header()
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _header(self) -> None:
        about = {"descr": np.lib.format.dtype_to_descr(self.kind), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**about, "shape": (self._rows, *self._shape)})


_WRITERS: dict[str, type[_Writer]] = {".h5": _Hdf5, ".parquet": _Parquet, ".npy": _Numpy}
