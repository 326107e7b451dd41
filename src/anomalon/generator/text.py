"""Text files of generators, plain or gzipped: found by what they hold, errors with line numbers."""

from __future__ import annotations

import gzip
import importlib
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from anomalon.errors import InputFileError, MissingExtraError

GZIP = b"\x1f\x8b"


def open_text(path: Path) -> BinaryIO:
    """Open for reading bytes, through gzip where the content says so."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP
    return cast("BinaryIO", gzip.open(path, "rb")) if compressed else path.open("rb")


def text_head(path: Path, head: bytes, n: int = 4096) -> bytes:
    """First bytes of a text file, decompressed; none where it is neither text nor gzip.

    Args:
        path: the file.
        head: its first bytes, which save opening most files.
        n: bytes wanted.
    """
    if not head.startswith(GZIP) and (not head or b"\0" in head):
        return b""
    try:
        with open_text(path) as file:
            return file.read(n)
    except (OSError, EOFError, zlib.error):
        return b""


@contextmanager
def reading_text(path: Path) -> Iterator[None]:
    """Turn a broken gzip stream into an error that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputFileError(f"{path}: gzip stream cut short or damaged ({error}); copy or download it again") from None
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error})") from None


def finite(word: bytes) -> float:
    """Read a number.

    Raises:
        ValueError: it is none, or not finite.
    """
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(word)
    return value


def load_extra(module: str, what: str) -> Any:
    """Import a package of the extra ``generator``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(
            f'{what} files need {module}, which is missing: pip install "anomalon[generator]"'
        ) from None
