"""Files that a command writes: checked before the work, and there only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anomalon.errors import InputFileError, OutputExistsError


def check_free(targets: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse files that cannot be written, or that would be replaced without being asked to.

    Raises:
        InputFileError: the directory is missing, or a directory has the name of the file.
        OutputExistsError: a file is there and ``overwrite`` is off.
    """
    for target in targets:
        if not target.parent.is_dir():
            raise InputFileError(f"{target.parent}: no such directory for {target.name}; make it first")
        if target.is_dir():
            raise InputFileError(f"{target}: is a directory; give the name of a file")
        if target.exists() and not overwrite:
            raise OutputExistsError(f"{target}: already there; choose another name, or --overwrite")


@contextmanager
def complete(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Give a temporary path per file; they get their names when all are written, and are removed otherwise."""
    made = [target.with_name(f".{target.stem}.partial{target.suffix}") for target in targets]
    try:
        yield made
        for path, target in zip(made, targets, strict=True):
            path.replace(target)
    finally:
        for path in made:
            path.unlink(missing_ok=True)
