"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real files; the test is skipped where it is missing."""
    folder = Path(os.environ.get("ANOMALON_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real files at {folder}: set ANOMALON_SHARED to the folder that holds data/")
    return folder
