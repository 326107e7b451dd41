"""Mosaics as colours from 0 to 1, which a network sees and a transfer changes, and back into variables."""

from __future__ import annotations

import numpy as np

from anomalon.style.codec import Codec
from anomalon.style.maps import Values
from anomalon.style.painting import Pixels
from anomalon.style.picture_weights import Pictures

_WORD, _BYTE = 65535.0, 255.0


def as_colours(codec: Codec, pixels: Pixels) -> Pictures:
    """Mosaics (mosaic, *codec.shape) as colours (mosaic, 3, height, width).

    With 16 bits the upper half, the rows, is red and the lower one, the columns, blue; green is 0.
    """
    if codec.bits != 16:
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(_BYTE)
    red, blue = np.split(pixels.astype(np.float32) / np.float32(_WORD), 2, axis=1)
    return np.stack([red, np.zeros_like(red), blue], axis=1)


def variables_of(codec: Codec, colours: Pictures, n_events: int) -> Values:
    """Variables (event, variable) of pictures whose pixels need not agree: the mean colour of each row or column."""
    return codec.decode_painted(colours.transpose(0, 2, 3, 1) * _BYTE, n_events)


def as_bytes(colours: Pictures) -> Pixels:
    """Colours as pixels of 8 bits (picture, height, width, 3), to look at."""
    return np.asarray(np.rint(colours.transpose(0, 2, 3, 1) * _BYTE), dtype=np.uint8)
