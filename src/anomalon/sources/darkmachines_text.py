"""The text of Dark Machines files: blocks of whole lines, plain or gzipped, and the numbers in them."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError

BLOCK = 1 << 23
"""Bytes of text in memory at a time."""
GZIP = b"\x1f\x8b"
_PADDING = 64
"""Bytes after the text that the parser may look at."""
_LINE = re.compile(rb"[^;\n]*;[^;,\n]+;[^;,\n]*;[^;,\n]*;[^;,\n]*(;\s*((j|b|e-|e\+|m-|m\+|g)\s*,.*)?)?$")
_FORM = "event ID; process ID; weight; MET; METphi; obj,E,pt,eta,phi; ..."


def recognises(path: Path, head: bytes) -> bool:
    """Whether one of the first lines has the form of Dark Machines."""
    if not (head.startswith(GZIP) or b";" in head):
        return False
    try:
        with open_bytes(path) as file:
            lines = file.read(1 << 15).splitlines()[:10]
    except (OSError, EOFError, zlib.error):
        return False
    return any(_LINE.match(line.strip()) for line in lines)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where it is gzipped."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


@dataclass(frozen=True)
class Text:
    """Whole lines of a file.

    Attributes:
        path: the file.
        buffer: holds them from its start, and some bytes more.
        size: number of bytes that are theirs; the last is a newline.
        offset: number of (unpacked) bytes of the file before them.
    """

    path: Path
    buffer: bytearray
    size: int
    offset: int

    def line(self, number: int) -> bytes:
        """Line of a number that counts from 1 in this text."""
        return bytes(self.buffer[: self.size]).split(b"\n", number)[number - 1]

    def lines_before(self) -> int:
        """Number of lines in the file before these; reads it again, since only an error asks."""
        left, lines = self.offset, 0
        with open_bytes(self.path) as file:
            while left and (part := file.read(min(left, BLOCK))):
                left -= len(part)
                lines += part.count(b"\n")
        return lines


def blocks(path: Path, size: int = BLOCK) -> Iterator[Text]:
    """Yield the lines of a file in blocks of about ``size`` bytes; each block is overwritten by the next.

    Raises:
        InputFileError: the file cannot be read or unpacked, or a line does not fit into a block.
    """
    buffer, filled, offset = bytearray(size + _PADDING), 0, 0
    try:
        with open_bytes(path) as file:
            while got := file.readinto(memoryview(buffer)[filled:size]):  # type: ignore[attr-defined]
                filled += got
                end = buffer.rfind(b"\n", 0, filled) + 1
                if end == 0 and filled == size:
                    raise InputFileError(f"{path}: a line after byte {offset} has more than {size} bytes: no event")
                if filled == size:
                    yield Text(path, buffer, end, offset)
                    offset += end
                    buffer[: filled - end] = buffer[end:filled]
                    filled -= end
    except (OSError, EOFError, zlib.error) as error:
        raise InputFileError(f"{path}: cannot be read ({error}); copy or download it again") from None
    if filled:
        if buffer[filled - 1] != ord("\n"):
            buffer[filled] = ord("\n")
            filled += 1
        yield Text(path, buffer, filled, offset)


@dataclass(frozen=True)
class Damage:
    """A line that is no event: its number in the file, why, and the text at fault."""

    line: int
    reason: str
    found: str

    def message(self, path: Path) -> str:
        """One line that says what to do."""
        return (
            f"{path}, line {self.line}: {self.reason}: {self.found!r}; a line is '{_FORM}', energies in MeV; "
            "--lenient leaves such lines out and counts them"
        )


@dataclass(frozen=True)
class Numbers:
    """The events of a text, views that the next text overwrites.

    Attributes:
        ids: event numbers, shape (event,).
        names: names of the processes.
        process: index into ``names``, shape (event,).
        lines: number of each event's line within the text, from 1, shape (event,).
        header: weight, MET (MeV) and its azimuth, shape (event, 3).
        ends: number of objects up to and with each event, shape (event,).
        codes: place of each object's symbol in ``SYMBOLS``, shape (object,).
        objects: E, pT (MeV), eta, phi, shape (object, 4).
        bad: damaged lines: number of the line, reason and start of the field in the text, shape (line, 3).
    """

    ids: npt.NDArray[np.int64]
    names: tuple[str, ...]
    process: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int64]
    header: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int8]
    objects: npt.NDArray[np.float64]
    bad: npt.NDArray[np.int64]

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Event weights, shape (event,)."""
        return self.header[:, 0]


@dataclass(frozen=True)
class Collected:
    """Good events of a text.

    Attributes:
        good: whether each event of the numbers is one, shape (event,).
        counts: numbers of jets, electrons, muons and photons of the good ones, shape (event, 4).
        tables: pT, eta, phi, mass (GeV) and charge or b-tag of the objects of each collection, shape (5, object).
        damages: number of lines left out, by reason.
        first: the first of them.
    """

    good: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]
    tables: tuple[npt.NDArray[np.float32], ...]
    damages: Counter[str]
    first: Damage | None


class Parser:
    """Reads texts of at most ``capacity`` bytes into the same arrays, again and again."""

    def __init__(self, capacity: int = BLOCK) -> None:
        from anomalon.sources import darkmachines_kernels, darkmachines_objects  # noqa: PLC0415 numba is slow to import

        self._kernels, self._collect = darkmachines_kernels, darkmachines_objects.collect
        self._raw = darkmachines_kernels.Raw.of_size(capacity + _PADDING)

    def read(self, text: Text, *, header_only: bool = False) -> Numbers:
        """Numbers of a text; with ``header_only`` MET and objects are passed over, unchecked."""
        data = np.frombuffer(text.buffer, np.uint8)
        _, events, objects, bad, known = self._kernels.parse(data, text.size, self._raw, header_only)
        raw = self._raw
        self._finish(text.buffer)
        return Numbers(
            raw.ids[:events],
            tuple(bytes(text.buffer[a:b]).decode("utf-8", "replace") for a, b in raw.known[:known].tolist()),
            raw.process[:events],
            raw.lines[:events],
            raw.header[:events],
            raw.ends[:events],
            raw.codes[:objects],
            raw.objects[:objects],
            raw.bad[:bad],
        )

    def collect(self, numbers: Numbers, text: Text) -> Collected:
        """Objects of the events by collection, with the lines that are not events counted by reason."""
        n, reasons = len(numbers.ids), self._kernels.REASONS
        verdict, counts = np.empty(n, np.int8), np.empty((n, 4), np.int64)
        table = np.empty((5, len(numbers.objects)), np.float32)
        n_good, begins = self._collect(self._raw, n, verdict, counts, table)
        counts = counts[:n_good]
        spans = zip(begins.tolist(), counts.sum(axis=0).tolist(), strict=True)
        filled = tuple(table[:, begin : begin + size] for begin, size in spans)
        wrong = [(int(numbers.lines[i]), int(verdict[i]), -1) for i in np.flatnonzero(verdict)]
        wrong += [(line, reason, at) for line, reason, at in numbers.bad.tolist()]
        damages = Counter(reasons[reason] for _, reason, _ in wrong)
        first = _damage(text, *min(wrong), reasons) if wrong else None
        return Collected(verdict == 0, counts, filled, damages, first)

    def _finish(self, buffer: bytearray) -> None:
        """Numbers whose rounding needs more than one operation, by Python itself."""
        raw = self._raw
        header, objects = raw.header.reshape(-1), raw.objects.reshape(-1)
        for width, slot, start, stop in raw.slow[1 : 1 + raw.slow[0, 0]].tolist():
            (header if width == raw.header.shape[1] else objects)[slot] = float(bytes(buffer[start:stop]))


def _damage(text: Text, line: int, reason: int, at: int, reasons: tuple[str, ...]) -> Damage:
    """Describe a damaged line by the field at ``at``, or by the whole line where the field is empty or not known."""
    field = b"" if at < 0 else re.split(rb"[;,\r\n]", bytes(text.buffer[at : at + 64]), maxsplit=1)[0]
    shown = (field.strip() or text.line(line)).decode("utf-8", "replace").strip()
    return Damage(text.lines_before() + line, reasons[reason], shown if len(shown) <= 60 else f"{shown[:60]}...")
