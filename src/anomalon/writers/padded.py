"""Events as plain arrays: objects padded to a common number, with a mask; as HDF5 and as NumPy's ``.npz``.

Every collection is a group: ``electrons/pt``, ... of shape (event, object), NaN (0 for whole numbers and flags) where
``electrons/mask`` is False. Columns of the event, such as ``met/pt``, ``run`` and ``gen_weight``, have shape (event,).
``weight`` is the event weight at the luminosity in the attributes; ``dataset`` counts into the samples, which are
JSON in the attribute (in ``.npz`` the array) ``samples``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError, InvalidEventsError
from anomalon.events import Events, Sample, make_events
from anomalon.objects import make_objects
from anomalon.writers.contract import EventWriter, columns_of, output_weights

Columns = dict[str, npt.NDArray[Any]]

LAYOUT = "anomalon-padded-1"
MASK = "mask"
ROWS_PER_CHUNK = 4096


class _PaddedWriter(EventWriter):
    """Pads every collection of a part to the part's own largest event."""

    def _append(self, events: Events) -> None:
        self._write(self._padded(events) | {"weight": output_weights(events, self.settings.luminosity_fb)})

    def _write(self, columns: Columns) -> None:
        raise NotImplementedError

    def _padded(self, events: Events) -> Columns:
        columns: Columns = {}
        for name, values in columns_of(events.array).items():
            path = name.replace(".", "/")
            if values.ndim == 1:
                columns[path] = ak.to_numpy(values)
                continue
            head = name.partition(".")[0]
            if f"{head}/{MASK}" not in columns:
                columns[f"{head}/{MASK}"] = self._mask(head, values)
            columns[path] = _pad(values, columns[f"{head}/{MASK}"])
        return columns

    def _mask(self, head: str, values: ak.Array) -> npt.NDArray[np.bool_]:
        counts = ak.to_numpy(ak.num(values, axis=1))
        width = int(counts.max(initial=0))
        if self.settings.max_objects is not None:
            self._count_cut_off(head, int(np.maximum(counts - self.settings.max_objects, 0).sum()))
            width = min(width, self.settings.max_objects)
        return np.asarray(np.arange(width) < counts[:, None], dtype=np.bool_)


class Hdf5Writer(_PaddedWriter):
    """HDF5, part by part: a later event with more objects widens the arrays."""

    format = "hdf5"
    description = "HDF5: padded objects with a mask, event by object"
    endings = (".h5", ".hdf5")
    _file: h5py.File | None = None

    def _write(self, columns: Columns) -> None:
        if self._file is None:
            self._file = h5py.File(self.partial, "w")
        elif set(columns) != _names(self._file):
            raise InvalidEventsError(f"{self.path}: a part has other fields than the first; export them separately")
        for path, values in columns.items():
            _extend(self._file, path, values)

    def _close(self, *, complete: bool) -> None:
        if self._file is None:
            if complete:
                raise InvalidEventsError(f"{self.path}: no events to write, not even an empty table of them")
            return
        self._file.attrs["layout"] = LAYOUT
        self._file.attrs["luminosity_fb"] = self.settings.luminosity_fb
        self._file.attrs["samples"] = _samples_as_json(self.samples)
        self._file.close()


class NumpyWriter(_PaddedWriter):
    """NumPy's ``.npz``; all events are held in memory until the end."""

    format = "numpy"
    description = "NumPy .npz: the same arrays as HDF5, held in memory until they are written"
    endings = (".npz",)

    def _write(self, columns: Columns) -> None:
        self._parts: list[Columns] = [*getattr(self, "_parts", []), columns]
        if set(columns) != set(self._parts[0]):
            raise InvalidEventsError(f"{self.path}: a part has other fields than the first; export them separately")

    def _close(self, *, complete: bool) -> None:
        if not complete:
            return
        parts = getattr(self, "_parts", [])
        if not parts:
            raise InvalidEventsError(f"{self.path}: no events to write, not even an empty table of them")
        joined = {path: _join([part[path] for part in parts]) for path in parts[0]}
        about = {"layout": LAYOUT, "luminosity_fb": self.settings.luminosity_fb}
        with self.partial.open("wb") as file:
            np.savez_compressed(file, samples=np.array(_samples_as_json(self.samples)), **joined, **about)  # type: ignore[arg-type]


def load_padded(path: str | Path) -> Events:
    """Read back what :class:`Hdf5Writer` or :class:`NumpyWriter` wrote; ``weight`` is left out, as always.

    Raises:
        InputFileError: the file has another layout.
    """
    file = Path(path)
    columns, about = _load_hdf5(file) if h5py.is_hdf5(file) else _load_numpy(file)
    if about.get("layout") != LAYOUT:
        raise InputFileError(
            f"{file}: layout {about.get('layout')!r}, expected {LAYOUT}; write it with anomalon export"
        )
    samples = [Sample.parse(s, where=f"{file}: sample") for s in json.loads(about["samples"])]
    return Events(make_events(_unpad(columns)), samples)


def _load_hdf5(path: Path) -> tuple[Columns, dict[str, Any]]:
    with h5py.File(path) as file:
        return {name: file[name][:] for name in sorted(_names(file))}, dict(file.attrs)


def _load_numpy(path: Path) -> tuple[Columns, dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    return columns, {name: str(columns.pop(name)) for name in ("layout", "samples", "luminosity_fb") if name in columns}


def _unpad(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    nested: dict[str, dict[str, Any]] = {}
    events: dict[str, Any] = {}
    for name, values in columns.items():
        head, _, tail = name.partition("/")
        mask = columns.get(f"{head}/{MASK}")
        if tail == MASK or name == "weight":
            continue
        if tail:
            objects = values if mask is None else ak.unflatten(values[mask], mask.sum(axis=1))
            nested.setdefault(head, {})[tail] = objects
        else:
            events[name] = values
    return events | {head: make_objects(inside) for head, inside in nested.items()}


def _pad(values: ak.Array, mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    kept = ak.to_numpy(ak.flatten(values[:, : mask.shape[1]], axis=1))
    padded = np.full(mask.shape, _fill(kept.dtype), dtype=kept.dtype)
    padded[mask] = kept
    return padded


def _fill(dtype: np.dtype[Any]) -> Any:
    return np.nan if dtype.kind == "f" else 0


def _join(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return np.concatenate([_widen(part, width) for part in parts])


def _widen(part: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    return np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=_fill(part.dtype))


def _extend(file: h5py.File, path: str, values: npt.NDArray[Any]) -> None:
    if path not in file:
        chunks = (ROWS_PER_CHUNK, *(max(n, 1) for n in values.shape[1:]))
        file.create_dataset(
            path, data=values, maxshape=(None,) * values.ndim, chunks=chunks, compression="gzip", compression_opts=4,
            shuffle=True, fillvalue=_fill(values.dtype),
        )  # fmt: skip
        return
    data = file[path]
    start = len(data)
    shape = (start + len(values), *(max(a, b) for a, b in zip(data.shape[1:], values.shape[1:], strict=True)))
    data.resize(shape)
    data[start:] = values if values.ndim == 1 else _widen(values, shape[1])


def _names(file: h5py.File) -> set[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return set(names)


def _samples_as_json(samples: tuple[Sample, ...]) -> str:
    return json.dumps([sample.model_dump(mode="json") for sample in samples])
