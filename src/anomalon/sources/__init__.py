"""Sources: files in, events out. :func:`open_source` finds the format by what the file holds."""

from __future__ import annotations

from anomalon.sources.contract import CHUNK, Format, Source, SourceInfo, expand, formats, open_source, register
from anomalon.sources.ingest import ReadSettings, ingest
from anomalon.sources.nanoaod import NanoAODSource
from anomalon.sources.stored import StoreSource

__all__ = [
    "CHUNK",
    "Format",
    "NanoAODSource",
    "ReadSettings",
    "Source",
    "SourceInfo",
    "StoreSource",
    "expand",
    "formats",
    "ingest",
    "open_source",
    "register",
]
