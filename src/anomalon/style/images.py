"""Pictures of events as PNG files: mosaics with their maps inside, written and read without loss."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from anomalon.config import Settings
from anomalon.errors import EmptySelectionError, InputFileError
from anomalon.events import Events
from anomalon.models.storage import new_folder
from anomalon.store import Store
from anomalon.style.codec import Bits, Codec
from anomalon.style.maps import Values
from anomalon.style.painting import Pixels
from anomalon.style.picture_variables import REQUIRES, drawable, picture_variables

KEY = "anomalon"
"""Keyword of the PNG text with the number of events and the checksum."""
MAPS_KEY = "anomalon-maps"
"""Keyword of the text with the codec."""
INDEX = "events.parquet"
_IDS = ("run", "lumi", "event")
_FORMAT = 1


class ImageSettings(Settings):
    """Settings of event pictures.

    Attributes:
        bits: of a variable: 8, 12 (green carries the rest), or 16 (one channel of 16 bits).
        columns: secondary variables: 10 for blocks of 12 x 10, 9 for 12 x 9.
        map: ``rank`` makes every variable uniform, ``log`` keeps its shape in the logarithm.
    """

    bits: Bits = 12
    columns: Literal[9, 10] = 10
    map: Literal["rank", "log"] = "rank"


@dataclass(frozen=True)
class ImageSummary:
    """What was written.

    Attributes:
        output: the folder.
        read: events read.
        drawn: events in the pictures: those with two leptons and two b-jets.
        mosaics: number of pictures; the last one may have blocks without an event.
        codec: how to read them.
    """

    output: str
    read: int
    drawn: int
    mosaics: int
    codec: Codec

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the maps."""
        return {"output": self.output, "read": self.read, "drawn": self.drawn, "mosaics": self.mosaics}


def write_images(
    stores: Sequence[Path], output: Path, settings: ImageSettings | None = None, *, like: Path | None = None
) -> ImageSummary:
    """Draw the events of stores that have two leptons and two b-jets, 1000 in a mosaic, and list them in a table.

    Args:
        stores: their events share the maps, which are fitted on all of them.
        output: folder to make: ``mosaic-00001.png`` ... and ``events.parquet``, one row per event in their order.
        settings: bits, columns and kind of map; not with ``like``.
        like: a mosaic or a folder of them whose maps are taken; values outside of their range are refused.

    Raises:
        EmptySelectionError: no event can be drawn.
        InvalidEventsError: there are too few events for a mosaic, or values outside of the range of ``like``.
    """
    parts = [Store(store).load(_fields(Store(store))) for store in stores]
    chosen = [part[np.flatnonzero(drawable(part))] for part in parts]
    if not sum(map(len, chosen)):
        read = sum(map(len, parts))
        raise EmptySelectionError(f"none of {read} events has two leptons and two b-jets: nothing to draw")
    values = np.concatenate([picture_variables(events) for events in chosen if len(events)])
    codec = _codec(values, settings or ImageSettings(), like)
    codec.require_enough(len(values))
    number = 0
    with new_folder(output) as folder:
        for number, (pixels, n_events) in enumerate(codec.mosaics(values), 1):
            save_mosaic(pixels, folder / f"mosaic-{number:05d}.png", codec, n_events)
        pq.write_table(_index(chosen), folder / INDEX)
    return ImageSummary(str(output), sum(map(len, parts)), len(values), number, codec)


def read_images(folder: Path) -> tuple[Codec, Values]:
    """Variables (event, variable) of all mosaics of a folder, and the codec that names them.

    Raises:
        InputFileError: there is none, one is damaged, or they have different maps.
    """
    files = sorted(folder.glob("mosaic-*.png"))
    if not files:
        raise InputFileError(f"{folder}: no mosaic-*.png; draw some with: anomalon style images STORE --output DIR")
    loaded = [load_mosaic(file) for file in files]
    codec = loaded[0][1]
    other = next((file for file, (_, c, _) in zip(files, loaded, strict=True) if c != codec), None)
    if other is not None:
        raise InputFileError(f"{other}: has other maps than {files[0].name}; read the folders one by one")
    return codec, np.concatenate([codec.decode(pixels[None], n) for pixels, _, n in loaded])


def save_mosaic(pixels: Pixels, file: Path, codec: Codec, n_events: int) -> None:
    """Write one mosaic as PNG; two compressed texts hold the codec, and number of events and checksum of the pixels."""
    text = PngImagePlugin.PngInfo()
    text.add(b"zTXt", _maps_text(codec))
    text.add_text(KEY, json.dumps({"format": _FORMAT, "events": n_events, "crc32": _checksum(pixels)}), zip=True)
    # run lengths: the pixels of a block repeat, and a search for more costs twice the time
    Image.fromarray(pixels).save(file, format="PNG", pnginfo=text, compress_level=1, compress_type=zlib.Z_RLE)


@lru_cache(maxsize=8)
def _maps_text(codec: Codec) -> bytes:
    """Content of a PNG zTXt chunk: keyword, 0, method 0, zlib stream (PNG specification, section 11.3.3)."""
    return MAPS_KEY.encode() + b"\0\0" + zlib.compress(codec.model_dump_json().encode())


def load_mosaic(file: Path) -> tuple[Pixels, Codec, int]:
    """Pixels, codec and number of events of a mosaic.

    Raises:
        InputFileError: the file is no PNG, has no metadata, or its pixels are not those that were written.
    """
    try:
        with Image.open(file) as picture:
            if picture.format != "PNG":
                raise InputFileError(
                    f"{file}: a {picture.format} picture, which loses what pixels hold; only PNG is read, as "
                    "written by anomalon style images"
                )
            picture.load()
            pixels, texts = np.asarray(picture), getattr(picture, "text", {})
    except (UnidentifiedImageError, FileNotFoundError, SyntaxError, ValueError) as error:
        if isinstance(error, InputFileError):
            raise
        raise InputFileError(f"{file}: not a picture that can be read ({error})") from None
    missing = [key for key in (KEY, MAPS_KEY) if key not in texts]
    if missing:
        raise InputFileError(
            f"{file}: has no '{missing[0]}' text; a program that dropped its metadata has saved it again"
        )
    codec, n_events, checksum = _about(file, texts)
    if _checksum(pixels) != checksum:
        raise InputFileError(f"{file}: its pixels are not those that were written: edited, resized or once saved lossy")
    return pixels, codec, n_events


def _about(file: Path, texts: Mapping[str, str]) -> tuple[Codec, int, int]:
    """Codec, number of events and checksum."""
    try:
        about = json.loads(texts[KEY])
        if about["format"] != _FORMAT:
            raise InputFileError(f"{file}: format {about['format']!r}, this version reads {_FORMAT}")
        return _parsed(texts[MAPS_KEY]), int(about["events"]), int(about["crc32"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputFileError):
            raise
        raise InputFileError(f"{file}: its metadata is damaged ({error}); draw the events again") from None


@lru_cache(maxsize=8)
def _parsed(text: str) -> Codec:
    return Codec.parse(json.loads(text))


def _codec(values: Values, settings: ImageSettings, like: Path | None) -> Codec:
    if like is None:
        return Codec.fit(values, bits=settings.bits, columns=settings.columns, kind=settings.map)
    files = sorted(like.glob("mosaic-*.png")) if like.is_dir() else [like]
    if not files:
        raise InputFileError(f"{like}: no mosaic-*.png whose maps could be taken")
    return load_mosaic(files[0])[1]


def _fields(store: Store) -> tuple[str, ...]:
    return (*REQUIRES, *(name for name in ("factors",) if name in store.fields))


def _index(parts: Sequence[Events]) -> pa.Table:
    """Ids, sample and relative weight of the drawn events."""
    columns = {name: np.concatenate([events.numbers(name) for events in parts]) for name in _IDS}
    samples = [np.asarray([s.name for s in events.samples])[events.numbers("dataset")] for events in parts]
    return pa.table(
        {
            **columns,
            "sample": np.concatenate(samples).tolist(),
            "weight": np.concatenate([events.weights(None) for events in parts]),
        }
    )


def _checksum(pixels: Pixels) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data.cast("B"))
