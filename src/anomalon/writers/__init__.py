"""Writers: events out, in the formats that other programs read.

>>> writer_for("events.h5").format, writer_for("skim").format
('hdf5', 'store')
"""

from __future__ import annotations

from pathlib import Path

from anomalon.errors import UnknownNameError, suggest
from anomalon.writers.contract import EventWriter, WriterSettings
from anomalon.writers.darkmachines import DarkMachinesWriter
from anomalon.writers.padded import Hdf5Writer, NumpyWriter, load_padded
from anomalon.writers.root import RNTupleWriter, TTreeWriter
from anomalon.writers.stored import ParquetWriter

__all__ = [
    "DarkMachinesWriter",
    "EventWriter",
    "Hdf5Writer",
    "NumpyWriter",
    "ParquetWriter",
    "RNTupleWriter",
    "TTreeWriter",
    "WriterSettings",
    "formats",
    "load_padded",
    "writer_for",
]

_WRITERS: dict[str, type[EventWriter]] = {
    kind.format: kind
    for kind in (ParquetWriter, Hdf5Writer, RNTupleWriter, TTreeWriter, DarkMachinesWriter, NumpyWriter)
}


def formats() -> dict[str, str]:
    """Names of the formats, each with a few words about it."""
    return {name: kind.description for name, kind in _WRITERS.items()}


def writer_for(path: str | Path, format_: str | None = None) -> type[EventWriter]:
    """The writer of a format; without one, the first whose ending the path has.

    Raises:
        UnknownNameError: no such format, or the ending says nothing.
    """
    if format_ is not None:
        if format_ not in _WRITERS:
            raise UnknownNameError(f"no format '{format_}' to write; {suggest(format_, _WRITERS)}")
        return _WRITERS[format_]
    name = Path(path).name.lower()
    for kind in _WRITERS.values():
        if any(name.endswith(ending) for ending in kind.endings) or (not Path(name).suffix and not kind.endings):
            return kind
    known = ", ".join(f"{end} ({kind.format})" for kind in _WRITERS.values() for end in kind.endings)
    raise UnknownNameError(f"{path}: the ending names no format; name one (--format) or end in {known}")
