"""Event pictures, encoded and decoded, beside the same in plain NumPy; one thread each.

A picture has 12 x 10 pixels of 12 bits per variable and 1000 events in a mosaic. The peer repeats rows and columns with
broadcasting and puts the blocks in their places by transposing, as one would write it; both have the same maps, and the
pixels and the decoded values of both are compared before the clock starts. Files are PNG as written by the library.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.style.codec import Codec
from anomalon.style.images import load_mosaic, save_mosaic
from anomalon.style.picture_variables import PRIMARY, SECONDARY

N_EVENTS = 100_000
ROUNDS = 5
FILES = 20

Floats = npt.NDArray[np.float64]


def run() -> list[dict[str, Any]]:
    """Events per CPU second, ours and NumPy's; the best of some rounds of each, in turns."""
    values = made(N_EVENTS)
    codec = Codec.fit(values)
    pixels = codec.encode(values)
    np.testing.assert_array_equal(pixels, plain_encode(codec, values))
    np.testing.assert_allclose(codec.decode(pixels, N_EVENTS), plain_decode(codec, pixels, N_EVENTS))
    work = {
        "encode": (lambda: codec.encode(values), lambda: plain_encode(codec, values)),
        "decode": (lambda: codec.decode(pixels, N_EVENTS), lambda: plain_decode(codec, pixels, N_EVENTS)),
    }
    rows = []
    for name, (ours, peer) in work.items():
        ours_s, peer_s = in_turns(ours, peer)
        rows.append(row(f"event pictures, {name}", N_EVENTS / ours_s, N_EVENTS / peer_s, "plain NumPy"))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"mosaic-{i}.png" for i in range(FILES)]
        write_s = best(lambda: [save_mosaic(pixels[i], file, codec, 1000) for i, file in enumerate(files)])
        read_s = best(lambda: [load_mosaic(file) for file in files])
        size = files[0].stat().st_size
    print(f"PNG: {FILES * 1000 / write_s:,.0f} events/CPU s written, {FILES * 1000 / read_s:,.0f} read,", end=" ")
    print(f"{size / 1000:.0f} bytes per event;", end=" ")
    return rows


def made(n: int) -> Floats:
    """Momenta and masses with long tails, and angles."""
    rng = np.random.default_rng(1)
    columns = []
    for name in (*PRIMARY, *SECONDARY):
        if name.endswith("phi"):
            columns.append(rng.uniform(-np.pi, np.pi, n))
        else:
            columns.append(rng.normal(0, 1.2, n) if name.endswith("eta") else rng.exponential(60.0, n))
    return np.stack(columns, axis=1)


def plain_encode(codec: Codec, values: Floats) -> npt.NDArray[np.uint8]:
    """Steps by broadcasting, blocks by transposing."""
    steps = [np.rint(m.forward(values[:, i]) * 4095).astype(int) for i, m in enumerate((*codec.rows, *codec.columns))]
    rows = np.stack(steps[: len(codec.rows)], axis=1)[:, :, None]
    columns = np.stack(steps[len(codec.rows) :], axis=1)[:, None, :]
    rows, columns = np.broadcast_arrays(rows, columns)
    blocks = np.stack([rows >> 4, ((rows & 15) << 4) | (columns & 15), columns >> 4], axis=-1).astype(np.uint8)
    n, height, width, _ = blocks.shape
    shaped = blocks.reshape(n // codec.per_mosaic, codec.down, codec.across, height, width, 3)
    return shaped.transpose(0, 1, 3, 2, 4, 5).reshape(-1, codec.down * height, codec.across * width, 3)


def plain_decode(codec: Codec, pixels: npt.NDArray[np.uint8], n: int) -> Floats:
    """The blocks back, checked and read along their first row and column."""
    height, width = len(codec.rows), len(codec.columns)
    shaped = pixels.reshape(len(pixels), codec.down, height, codec.across, width, 3).transpose(0, 1, 3, 2, 4, 5)
    blocks = shaped.reshape(-1, height, width, 3)[:n].astype(int)
    rows = (blocks[..., 0] << 4) | (blocks[..., 1] >> 4)
    columns = (blocks[..., 2] << 4) | (blocks[..., 1] & 15)
    if (rows != rows[:, :, :1]).any() or (columns != columns[:, :1, :]).any():
        raise ValueError("pixels contradict each other")
    levels = np.concatenate([rows[:, :, 0], columns[:, 0, :]], axis=1) / 4095
    return np.stack([m.inverse(levels[:, i]) for i, m in enumerate((*codec.rows, *codec.columns))], axis=1)


def in_turns(*work: Callable[[], Any]) -> list[float]:
    """Least CPU seconds of each, in turns."""
    times = [[timed(one) for one in work] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*times, strict=True)]


def best(work: Callable[[], Any]) -> float:
    """Least CPU seconds."""
    return in_turns(work)[0]


def timed(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def row(name: str, ours: float, peer: float, peer_name: str) -> dict[str, Any]:
    """One row of the table."""
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "ratio": ours / peer,
        "unit": "events/CPU s",
        "peer_name": peer_name,
    }
