"""The contract of event sources: one reader per format, found by what the file holds, never by its name."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from anomalon.errors import InputFileError
from anomalon.events import Events, Sample
from anomalon.sources.remote import fetch, is_url, matching, origin

CHUNK = 50_000
"""Events per part that a source yields where nothing else is asked for."""


@dataclass(frozen=True)
class SourceInfo:
    """What a file or store holds, without reading its events.

    Attributes:
        path: the file or directory.
        format: name of the format, such as ``cms-nanoaod``.
        events: number of events.
        fields: dotted names of the event fields that can be read.
        samples: the samples of the events.
        missing: fields that the file cannot give: name -> the branches looked for.
        details: what a user of this format wants to know, such as the b-tagger and its working point.
    """

    path: str
    format: str
    events: int
    fields: tuple[str, ...]
    samples: tuple[Sample, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": self.path,
            "format": self.format,
            "events": self.events,
            "fields": list(self.fields),
            "samples": [sample.model_dump(mode="json") for sample in self.samples],
            "missing": dict(self.missing),
            "details": dict(self.details),
        }


@runtime_checkable
class Source(Protocol):
    """Events of one file or directory."""

    @property
    def path(self) -> Path:
        """The file or directory."""
        ...

    @property
    def format(self) -> str:
        """Name of the format, such as ``cms-nanoaod``."""
        ...

    @property
    def n_events(self) -> int:
        """Number of events."""
        ...

    def info(self) -> SourceInfo:
        """What the file holds, without reading its events."""
        ...

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order, at most ``chunk`` at a time, at least one (perhaps empty) part.

        Args:
            fields: dotted names or collections, such as ``electrons.pt``, ``met``; None reads all there are.
            chunk: largest number of events per part; it does not change the events.

        Raises:
            MissingFieldError: the file lacks a field; before anything is read.
            InputFileError: the file is damaged.
        """
        ...


@runtime_checkable
class Tolerant(Protocol):
    """A source of lines of text, some of which may be damaged."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """Events left out, by reason; none unless :meth:`lenient`."""
        ...

    def lenient(self) -> Source:
        """Return a source that leaves damaged lines out and counts them, where this one stops."""
        ...


@runtime_checkable
class Ranged(Protocol):
    """A source that reads a range of its events without the others."""

    def ranges(self, chunk: int) -> list[tuple[int, int]]:
        """Cut the events into ranges (start, stop) of at most ``chunk``, as the file was written; at least one."""
        ...

    def iterate_range(
        self, start: int, stop: int, fields: Iterable[str] | None = None, chunk: int = CHUNK
    ) -> Iterator[Events]:
        """Yield the events ``start`` to ``stop`` (exclusive); the rest as :meth:`Source.iterate`."""
        ...


@dataclass(frozen=True)
class Format:
    """A format in the registry: its name, how to recognise it and how to open it.

    Attributes:
        name: such as ``cms-nanoaod``.
        description: a few words for messages.
        recognises: whether a path holds this format; given the path and its first bytes (none for a directory).
        open: make the :class:`Source`.
        fallback: asked last: recognises more than it can read, to say what is wrong with it.
    """

    name: str
    description: str
    recognises: Callable[[Path, bytes], bool]
    open: Callable[[Path], Source]
    fallback: bool = False


_FORMATS: dict[str, Format] = {}


def register(format_: Format) -> None:
    """Add a format; one registered later under the same name replaces it."""
    _FORMATS[format_.name] = format_


def formats() -> tuple[Format, ...]:
    """The formats that can be read, in the order in which they are tried."""
    return tuple(sorted(_FORMATS.values(), key=lambda format_: format_.fallback))


def open_source(path: str | Path) -> Source:
    """Open a file or directory with the reader that fits what it holds; a URL is fetched first.

    Raises:
        InputFileError: nothing there, empty, damaged, or no format that anomalon reads.
    """
    file = fetch(str(path)) if is_url(path) else Path(path)
    format_, head = format_of(file), first_bytes(file)
    if format_ is not None:
        return format_.open(file)
    what = "a directory that is no store" if file.is_dir() else f"starts with {head[:16]!r}"
    raise InputFileError(f"{file}: not a format that anomalon reads ({what}); supported: {_supported()}")


def format_of(path: Path) -> Format | None:
    """The format whose reader fits what a file or directory holds; None where there is none.

    Raises:
        InputFileError: nothing there, or empty.
    """
    head = first_bytes(path)
    return next((format_ for format_ in formats() if format_.recognises(path, head)), None)


def with_origin(info: SourceInfo) -> SourceInfo:
    """The same with files named as their user knows them: a local copy by its URL."""
    name = origin(Path(info.path))
    if name == info.path:
        return info
    samples = tuple(
        s.model_copy(update={"provenance": {**s.provenance, "files": [name]}}) if "files" in s.provenance else s
        for s in info.samples
    )
    return replace(info, path=name, samples=samples)


def first_bytes(path: Path, n: int = 64) -> bytes:
    """First bytes of a file; none for a directory.

    Raises:
        InputFileError: nothing there, not readable, or an empty file.
    """
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(n)
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise InputFileError(f"{path}: empty file (0 bytes); copy or download it again")
    return head


def expand(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    """Turn files, glob patterns, directories and URLs into files and stores, in order and sorted within a pattern.

    A directory that is a store stands for itself; another one for the ROOT files and stores in it. A URL stands for its
    local copy, see :mod:`anomalon.sources.remote`.

    Raises:
        InputFileError: a path does not exist, or a pattern or directory holds nothing to read.
        MissingExtraError: a URL needs a package that is not installed.
    """
    found: list[Path] = []
    for path in paths:
        if is_url(path):
            found += [fetch(url) for url in matching(str(path))]
        else:
            found += _expand_directory(Path(path)) if Path(path).is_dir() else _expand_pattern(str(path))
    return tuple(dict.fromkeys(found))


def _expand_pattern(pattern: str) -> list[Path]:
    if Path(pattern).exists():
        return [Path(pattern)]
    matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207 Path.glob takes no absolute pattern
    if not matches:
        what = "the pattern matches no file" if glob.has_magic(pattern) else "no such file"
        raise InputFileError(f"{pattern}: {what}")
    return [file for match in matches for file in (_expand_directory(match) if match.is_dir() else [match])]


def _expand_directory(folder: Path) -> list[Path]:
    if any(format_.recognises(folder, b"") for format_ in formats()):
        return [folder]
    inside = sorted(p for p in folder.iterdir() if p.suffix == ".root" or _is_readable_directory(p))
    if not inside:
        raise InputFileError(f"{folder}: a directory without ROOT files or stores; supported: {_supported()}")
    return inside


def _is_readable_directory(path: Path) -> bool:
    return path.is_dir() and any(format_.recognises(path, b"") for format_ in formats())


def _supported() -> str:
    return ", ".join(f"{f.name} ({f.description})" for f in formats())
