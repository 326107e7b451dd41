"""Sources: files in, events out. :func:`open_source` finds the format by what the file holds."""

from __future__ import annotations

from anomalon.sources import ispy as ispy
from anomalon.sources.atlas_ntuple import AtlasNtupleSource
from anomalon.sources.contract import CHUNK, Format, Source, SourceInfo, expand, formats, open_source, register
from anomalon.sources.darkmachines import DarkMachinesSource
from anomalon.sources.delphes import DelphesSource
from anomalon.sources.flat import FlatSource, open_flat
from anomalon.sources.hepmc import HepmcSource
from anomalon.sources.ingest import ReadSettings, ingest
from anomalon.sources.lhco import LhcOlympicsSource
from anomalon.sources.lhe import LheSource
from anomalon.sources.mapping import FlatMapping, load_mapping
from anomalon.sources.nanoaod import NanoAODSource
from anomalon.sources.physlite import PhysliteSource
from anomalon.sources.stored import StoreSource

__all__ = [
    "CHUNK",
    "AtlasNtupleSource",
    "DarkMachinesSource",
    "DelphesSource",
    "FlatMapping",
    "FlatSource",
    "Format",
    "HepmcSource",
    "LhcOlympicsSource",
    "LheSource",
    "NanoAODSource",
    "PhysliteSource",
    "ReadSettings",
    "Source",
    "SourceInfo",
    "StoreSource",
    "expand",
    "formats",
    "ingest",
    "load_mapping",
    "open_flat",
    "open_source",
    "register",
]
