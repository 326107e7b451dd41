"""Features of a store or file as a flat table: HDF5, Parquet or NumPy."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anomalon import features
from anomalon.errors import ConfigError
from anomalon.pipeline.outputs import check_free, complete
from anomalon.pipeline.samples import CHUNK
from anomalon.pipeline.table import Table, luminosity_for
from anomalon.selection import TrileptonSelection, apply
from anomalon.sources import open_source

FORMATS = (".h5", ".parquet", ".npy")
IDS = ("run", "lumi", "event", "dataset")


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
    chosen, selection, opened = features.get(feature_set), TrileptonSelection(), open_source(source)
    parts, read = [], 0
    for events in opened.iterate(chosen.requires | selection.requires, CHUNK):
        kept = apply(selection, events).events if select else events
        parts.append(Table.of(kept, chosen, luminosity_for(events.samples, 1.0)))
        read += len(events)
        if on_progress is not None:
            on_progress(read, opened.n_events)
    table = Table.concatenate(parts)
    with complete(targets) as made:
        _WRITERS[targets[0].suffix](table, *made)
    return {
        "output": str(targets[0]),
        "read": read,
        "written": len(table),
        "names": list(table.features.names),
        "not_finite": table.features.not_finite(),
    }


def _targets(output: Path) -> tuple[Path, ...]:
    """The files to write: the table and, for NumPy, its ids and names beside it."""
    if output.suffix not in FORMATS:
        raise ConfigError(f"{output}: ends in '{output.suffix}'; features are written as {', '.join(FORMATS)}")
    if output.suffix != ".npy":
        return (output,)
    return output, output.with_suffix(".ids.npy"), output.with_suffix(".names.txt")


def _write_hdf5(table: Table, path: Path) -> None:
    whole = io.BytesIO()  # in memory first: on a full disk the HDF5 library takes the process down with it
    with h5py.File(whole, "w") as file:
        values = file.create_dataset("features", data=table.features.values, compression="gzip", shuffle=True)
        values.attrs["names"] = list(table.features.names)
        file.create_dataset("mask", data=table.features.mask, compression="gzip")
        file.create_dataset("weight", data=table.weight)
        for name in IDS:
            file.create_dataset(f"ids/{name}", data=getattr(table.ids, name))
        file["ids"].attrs["samples"] = [s.name for s in table.samples]
        file["ids"].attrs["processes"] = [s.process for s in table.samples]
    path.write_bytes(whole.getbuffer())


def _write_parquet(table: Table, path: Path) -> None:
    columns: dict[str, Any] = {name: getattr(table.ids, name) for name in IDS}
    columns["process"] = pa.array(table.process.tolist(), pa.string())
    columns["weight"] = table.weight
    columns |= {name: table.features.values[:, i] for i, name in enumerate(table.features.names)}
    pq.write_table(pa.table(columns), path, compression="zstd")


def _write_numpy(table: Table, path: Path, ids_path: Path, names_path: Path) -> None:
    kinds = [("run", "i8"), ("lumi", "i8"), ("event", "i8"), ("dataset", "i4"), ("weight", "f8")]
    ids = np.zeros(len(table), dtype=kinds)
    for name in IDS:
        ids[name] = getattr(table.ids, name)
    ids["weight"] = table.weight
    _save(ids_path, ids)
    names_path.write_text("\n".join(table.features.names) + "\n", encoding="utf-8")
    _save(path, table.features.values)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Like ``numpy.save``, whose error on a full disk does not say what happened."""
    whole = io.BytesIO()
    np.save(whole, array)
    path.write_bytes(whole.getbuffer())


_WRITERS: dict[str, Callable[..., None]] = {".h5": _write_hdf5, ".parquet": _write_parquet, ".npy": _write_numpy}
