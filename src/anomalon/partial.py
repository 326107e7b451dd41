"""Folders in the making, held by a lock that the kernel releases with the process, however it ends.

So a folder that another process is filling can be told from one that a killed process left behind.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, made where it is missing, while the block runs.

    Raises:
        BlockingIOError: another process holds it.
    """
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove_leftovers(parent: Path, pattern: str) -> None:
    """Remove the folders whose whole name matches a regular expression and that no process holds."""
    for folder in parent.iterdir():
        if folder.is_dir() and re.fullmatch(pattern, folder.name):
            with suppress(OSError), held(folder):
                shutil.rmtree(folder)
