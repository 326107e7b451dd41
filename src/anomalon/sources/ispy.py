"""iSpy event displays (.ig): recognised, and refused by name instead of as an unknown zip archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

from anomalon.errors import InputFileError
from anomalon.sources.contract import Format, Source, register

_ZIP = b"PK\x03\x04"


def _is_ispy(path: Path, head: bytes) -> bool:
    """Whether a zip archive holds ``Events/Run_...``; its members are listed, never extracted."""
    if not head.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("Events/Run_") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _refuse(path: Path) -> Source:
    raise InputFileError(
        f"{path}: iSpy event display, not read: it holds pictures of a few collisions, not a data set; read the "
        "NanoAOD or AOD that it was made from"
    )


register(Format("ispy", "iSpy event display: recognised, not read", _is_ispy, _refuse))
