"""Events as pixels and back: every variable through an invertible map to a step of 8, 12 or 16 bits.

A mosaic holds 25 x 40 events. Decoding gives each variable back within half a step of its map. Nothing is clipped,
wrapped around or left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.errors import InputFileError, InvalidEventsError
from anomalon.style.maps import MapKind, Values, VariableMap
from anomalon.style.painting import Pixels, Steps, paint_bytes, paint_words, read_bytes, read_words
from anomalon.style.picture_variables import PRIMARY, SECONDARY

Bits = Literal[8, 12, 16]

DOWN, ACROSS = 25, 40
"""Blocks of a mosaic, above and beside each other."""
_LINEAR = (".phi",)
_SIGNED = (".eta",)


class Codec(Settings):
    """How events are painted; all of it stands in a picture's metadata.

    Attributes:
        bits: of a variable.
        rows: maps of the primary variables, one per row of a block.
        columns: maps of the secondary variables.
        down, across: blocks of a mosaic.
    """

    bits: Bits = 12
    rows: tuple[VariableMap, ...] = Field(min_length=1)
    columns: tuple[VariableMap, ...] = Field(min_length=1)
    down: int = Field(default=DOWN, ge=1)
    across: int = Field(default=ACROSS, ge=1)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"a variable is named twice among {', '.join(self.names)}")
        return self

    @classmethod
    def fit(cls, values: Values, *, bits: Bits = 12, columns: Literal[9, 10] = 10, kind: MapKind = "rank") -> Self:
        """Take the maps from all events that are to be painted, of shape (event, 22).

        Args:
            values: of :func:`anomalon.style.picture_variables.picture_variables`.
            bits: of a variable.
            columns: 10 for blocks of 12 x 10, 9 for 12 x 9.
            kind: of the maps: ``rank`` or ``log``; angles are linear, and so is eta with ``log``.
        """
        names = (*PRIMARY, *SECONDARY)
        maps = [VariableMap.fit(name, values[:, i], _kind(name, kind)) for i, name in enumerate(names)]
        n = len(PRIMARY)
        return cls(bits=bits, rows=tuple(maps[:n]), columns=tuple(maps[n : n + columns]))

    @property
    def names(self) -> tuple[str, ...]:
        """Variables in the order of the columns of :meth:`decode`."""
        return tuple(item.name for item in (*self.rows, *self.columns))

    @property
    def per_mosaic(self) -> int:
        """Events of a full mosaic."""
        return self.down * self.across

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a mosaic's pixels."""
        height, width = self.down * len(self.rows), self.across * len(self.columns)
        return (2 * height, width) if self.bits == 16 else (height, width, 3)

    @property
    def largest(self) -> int:
        """The last step."""
        return int(2**self.bits - 1)

    def encode(self, values: Values) -> Pixels:
        """Mosaics of events, shape (mosaic, *shape); the blocks after the last event are 0.

        Args:
            values: shape (event, variable), variables as in :attr:`names`; further ones are ignored.

        Raises:
            InvalidEventsError: a value lies outside of the fitted range, or there are too few events for one mosaic.
        """
        self.require_enough(len(values))
        return self._painted(values)

    def mosaics(self, values: Values) -> Iterator[tuple[Pixels, int]]:
        """One mosaic after the other with its number of events; arguments and errors as :meth:`encode`."""
        self.require_enough(len(values))
        for start in range(0, len(values), self.per_mosaic):
            some = values[start : start + self.per_mosaic]
            yield self._painted(some)[0], len(some)

    def require_enough(self, n: int) -> None:
        """Refuse fewer events than a mosaic needs.

        Raises:
            InvalidEventsError: there are too few.
        """
        if n < self.per_mosaic:
            raise InvalidEventsError(
                f"{n} events, a mosaic of {self.down} x {self.across} needs {self.per_mosaic}; loosen the selection or "
                "simulate more"
            )

    def _painted(self, values: Values) -> Pixels:
        rows, columns = self._steps(values)
        n_mosaics = -(-len(values) // self.per_mosaic)
        pixels = np.zeros((n_mosaics, *self.shape), dtype=np.uint16 if self.bits == 16 else np.uint8)
        if self.bits == 16:
            paint_words(rows, columns, self.across, pixels)
        else:
            paint_bytes(rows, columns, self.across, self.bits, pixels)
        return pixels

    def decode(self, pixels: Pixels, n_events: int) -> Values:
        """Values (event, variable) of the first events of mosaics (mosaic, *shape).

        Raises:
            InputFileError: the pixels have another shape, or those of one variable differ, as after a lossy format.
        """
        self._check(pixels, n_events)
        rows, columns = (np.empty((n_events, len(maps)), dtype=np.uint16) for maps in (self.rows, self.columns))
        if self.bits == 16:
            broken = read_words(pixels, self.across, rows, columns)
        else:
            broken = read_bytes(pixels, self.across, self.bits, rows, columns)
        if broken >= 0:
            raise InputFileError(
                f"pixels of event {broken} contradict each other: the picture was saved in a lossy format, resized or "
                "edited; keep it as PNG, or take decode_painted for generated pictures"
            )
        return self._values(np.concatenate([rows, columns], axis=1).astype(np.float64))

    def decode_painted(self, pixels: npt.NDArray[np.floating], n_events: int) -> Values:
        """Values (event, variable) of generated pictures, whose pixels need not agree: each variable's mean.

        Args:
            pixels: of mosaics (mosaic, height, width, 3) of 8 bits in red and blue, any numbers; green is ignored.
            n_events: the first so many are read.

        Raises:
            InputFileError: the pixels have another shape.
        """
        height, width = len(self.rows), len(self.columns)
        wanted = (self.down * height, self.across * width, 3)
        if pixels.shape[1:] != wanted:
            raise InputFileError(f"pixels of shape {pixels.shape}, expected (mosaic, {', '.join(map(str, wanted))})")
        blocks = pixels.reshape(len(pixels), self.down, height, self.across, width, 3).transpose(0, 1, 3, 2, 4, 5)
        blocks = blocks.reshape(-1, height, width, 3)[:n_events].astype(np.float64)
        means = np.concatenate([blocks[..., 0].mean(axis=2), blocks[..., 2].mean(axis=1)], axis=1)
        return self._values(np.clip(means / 255.0, 0.0, 1.0) * self.largest)

    def _steps(self, values: Values) -> tuple[Steps, Steps]:
        maps = (*self.rows, *self.columns)
        if values.ndim != 2 or values.shape[1] < len(maps):
            raise InvalidEventsError(f"values of shape {values.shape}, expected (event, {len(maps)}): {self.names}")
        steps = np.empty((len(values), len(maps)), dtype=np.uint16)
        for i, item in enumerate(maps):
            steps[:, i] = np.rint(item.forward(values[:, i]) * self.largest)
        return np.ascontiguousarray(steps[:, : len(self.rows)]), np.ascontiguousarray(steps[:, len(self.rows) :])

    def _values(self, steps: Values) -> Values:
        levels = steps / self.largest
        return np.stack([m.inverse(levels[:, i]) for i, m in enumerate((*self.rows, *self.columns))], axis=1)

    def _check(self, pixels: Pixels, n_events: int) -> None:
        kind = np.uint16 if self.bits == 16 else np.uint8
        if pixels.shape[1:] != self.shape or pixels.dtype != kind:
            raise InputFileError(
                f"pixels of shape {pixels.shape} and type {pixels.dtype}, expected (mosaic, {self.shape}) of "
                f"{kind.__name__}"
            )
        if not 0 <= n_events <= len(pixels) * self.per_mosaic:
            raise InputFileError(
                f"{n_events} events asked for, {len(pixels)} mosaics hold {len(pixels) * self.per_mosaic}"
            )


def steps_apart(codec: Codec, first: Values, second: Values) -> Values:
    """Largest distance of two tables of values in steps, shape (variable,); at most 1/2 after encoding and decoding."""
    maps: Sequence[VariableMap] = (*codec.rows, *codec.columns)
    distances = [np.abs(m.forward(first[:, i]) - m.forward(second[:, i])).max() for i, m in enumerate(maps)]
    return np.asarray(distances) * codec.largest


def _kind(name: str, kind: MapKind) -> MapKind:
    if name.endswith(_LINEAR) or (kind == "log" and name.endswith(_SIGNED)):
        return "linear"
    return kind
