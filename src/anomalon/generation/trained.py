"""Generators that come with anomalon, trained on its own simulation."""

from __future__ import annotations

from pathlib import Path

from anomalon.errors import UnknownNameError, suggest

_FOLDER = Path(__file__).with_name("models")
"""One folder per model; docs/generation.md says how each was made."""


def names() -> tuple[str, ...]:
    """Names of the models."""
    return tuple(sorted(folder.name for folder in _FOLDER.iterdir() if folder.is_dir())) if _FOLDER.is_dir() else ()


def folder(name: str) -> Path:
    """Where a model is.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in names():
        raise UnknownNameError(f"no model '{name}' comes along; {suggest(name, names())}")
    return _FOLDER / name
