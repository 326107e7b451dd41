"""Compiled passes between steps of variables and the pixels of mosaics.

The block of an event has a row per primary and a column per secondary variable. Red is the high byte of the row's
step, blue that of the column's, green holds what is left of 12 bits: four bits of the row and four of the column. With
16 bits the picture has one channel of 16 bits and two halves: rows above, columns below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Steps = npt.NDArray[np.uint16]
Pixels = npt.NDArray[Any]


@njit(cache=True, nogil=True)
def paint_bytes(rows: Steps, columns: Steps, across: int, bits: int, pixels: Pixels) -> None:
    """Paint events, one after the other, into mosaics (mosaic, height, width, 3) with ``across`` blocks in a row."""
    height, width = rows.shape[1], columns.shape[1]
    per_mosaic = (pixels.shape[1] // height) * across
    spare = bits - 8
    for event in range(len(rows)):
        place = event % per_mosaic
        top, left = (place // across) * height, (place % across) * width
        mosaic = pixels[event // per_mosaic]
        for i in range(height):
            row = np.int64(rows[event, i])
            high, low = row >> spare, (row & 0x0F) << 4
            for j in range(width):
                column = np.int64(columns[event, j])
                mosaic[top + i, left + j, 0] = high
                mosaic[top + i, left + j, 1] = (low | (column & 0x0F)) if spare else 0
                mosaic[top + i, left + j, 2] = column >> spare


@njit(cache=True, nogil=True)
def read_bytes(pixels: Pixels, across: int, bits: int, rows: Steps, columns: Steps) -> int:
    """Read what :func:`paint_bytes` painted; the first event whose pixels contradict each other, or -1."""
    height, width = rows.shape[1], columns.shape[1]
    per_mosaic = (pixels.shape[1] // height) * across
    spare = bits - 8
    broken = -1
    for event in range(len(rows)):
        place = event % per_mosaic
        top, left = (place // across) * height, (place % across) * width
        mosaic = pixels[event // per_mosaic]
        for i in range(height):
            high, low = np.int64(mosaic[top + i, left, 0]), np.int64(mosaic[top + i, left, 1])
            rows[event, i] = (high << spare) | ((low >> 4) if spare else 0)
        for j in range(width):
            high, low = np.int64(mosaic[top, left + j, 2]), np.int64(mosaic[top, left + j, 1])
            columns[event, j] = (high << spare) | ((low & 0x0F) if spare else 0)
        if broken < 0 and _differs(mosaic, top, left, height, width):
            broken = event
    return broken


@njit(cache=True, nogil=True)
def _differs(mosaic: Pixels, top: int, left: int, height: int, width: int) -> bool:
    """Whether a block's rows are not all of one red and its columns not all of one blue."""
    different = 0
    for i in range(height):
        red, green = mosaic[top + i, left, 0], mosaic[top + i, left, 1]
        for j in range(width):
            different |= mosaic[top + i, left + j, 0] ^ red
            different |= mosaic[top + i, left + j, 2] ^ mosaic[top, left + j, 2]
            different |= (mosaic[top + i, left + j, 1] ^ green) & 0xF0
            different |= (mosaic[top + i, left + j, 1] ^ mosaic[top, left + j, 1]) & 0x0F
    return different != 0


@njit(cache=True, nogil=True)
def paint_words(rows: Steps, columns: Steps, across: int, pixels: Pixels) -> None:
    """Paint events into mosaics (mosaic, 2 height, width) of 16 bits: rows in the upper half, columns in the lower."""
    height, width = rows.shape[1], columns.shape[1]
    half = pixels.shape[1] // 2
    per_mosaic = (half // height) * across
    for event in range(len(rows)):
        place = event % per_mosaic
        top, left = (place // across) * height, (place % across) * width
        mosaic = pixels[event // per_mosaic]
        for i in range(height):
            for j in range(width):
                mosaic[top + i, left + j] = rows[event, i]
                mosaic[half + top + i, left + j] = columns[event, j]


@njit(cache=True, nogil=True)
def read_words(pixels: Pixels, across: int, rows: Steps, columns: Steps) -> int:
    """Read what :func:`paint_words` painted; the first event whose pixels contradict each other, or -1."""
    height, width = rows.shape[1], columns.shape[1]
    half = pixels.shape[1] // 2
    per_mosaic = (half // height) * across
    broken = -1
    for event in range(len(rows)):
        place = event % per_mosaic
        top, left = (place // across) * height, (place % across) * width
        mosaic = pixels[event // per_mosaic]
        for i in range(height):
            rows[event, i] = mosaic[top + i, left]
        for j in range(width):
            columns[event, j] = mosaic[half + top, left + j]
        for i in range(height):
            for j in range(width):
                same = mosaic[top + i, left + j] == rows[event, i]
                if broken < 0 and not (same and mosaic[half + top + i, left + j] == columns[event, j]):
                    broken = event
    return broken
