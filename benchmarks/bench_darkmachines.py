"""Dark Machines CSV into Events, beside polars and a plain Python parser on the same file, one thread each.

The file is made here: 160,000 events with about six objects each, six significant digits, as the public ones have.
The peers end with columns of numbers as they are in the file. Our side is timed twice: up to the same numbers, like
with like, and up to Events (GeV, masses, collections by decreasing pT, processes and their sums of weights, which
takes a second pass). All numbers are compared before the clock starts.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.sources.darkmachines import DarkMachinesSource
from anomalon.sources.darkmachines_text import Parser, blocks

N_EVENTS = 160_000
ROUNDS = 5
SYMBOLS = ("b", "j", "e-", "e+", "m-", "m+", "g")
MEAN = (1.2, 4.0, 0.2, 0.2, 0.2, 0.2, 0.1)

Columns = dict[str, npt.NDArray[np.float64]]


def run() -> list[dict[str, Any]]:
    """Ratios of MB per CPU second, ours to each peer's; the least CPU time of some rounds of each, in turns."""
    peers: dict[str, Callable[[Path], Any]] = {"plain Python": with_python}
    if importlib.util.find_spec("polars") is not None:
        peers["polars"] = with_polars
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "events.csv", N_EVENTS)
        megabytes = path.stat().st_size / 1e6
        check_equal(path, peers)
        ours = {"Dark Machines CSV to numbers": to_numbers, "Dark Machines CSV to Events": to_events}
        to_events(path)
        seconds: dict[str, list[float]] = {name: [] for name in (*ours, *peers)}
        for _ in range(ROUNDS):
            for name, work in (*ours.items(), *peers.items()):
                start = time.process_time()
                work(path)
                seconds[name].append(time.process_time() - start)
    best = {name: megabytes / min(times) for name, times in seconds.items()}
    print(f"{N_EVENTS:,} events, {megabytes:.0f} MB;", end=" ")
    return [
        {
            "name": what,
            "ours": best[what],
            "peer": best[name],
            "ratio": best[what] / best[name],
            "unit": "MB/CPU-s",
            "peer_name": name,
        }
        for what in ours
        for name in peers
    ]


def to_numbers(path: Path) -> int:
    parser = Parser()
    return sum(len(parser.read(text).ids) for text in blocks(path))


def to_events(path: Path) -> int:
    return sum(len(events) for events in DarkMachinesSource(path).iterate())


def with_python(path: Path) -> Columns:
    """What one would write: split each line, and each object, and call float."""
    header, objects = [], []
    with path.open() as file:
        for line in file:
            fields = line.strip().rstrip(";").split(";")
            header.append([float(value) for value in fields[2:5]])
            objects += [[float(value) for value in item.split(",")[1:]] for item in fields[5:]]
    return {"header": np.array(header), "objects": np.array(objects)}


def with_polars(path: Path) -> Columns:
    """Lines, split into lists of strings, split and cast; polars has no reader for ragged lines."""
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import polars as pl  # noqa: PLC0415 only where it is installed

    column = pl.col("line")
    lines = pl.read_csv(path, has_header=False, separator="\x01", quote_char=None, new_columns=["line"])
    parts = lines.select(column.str.strip_chars_end(";").str.split(";").alias("parts")).with_row_index("row")
    field = pl.col("parts").list
    header = parts.select(*(field.get(i).cast(pl.Float64).alias(str(i)) for i in (2, 3, 4)), field.get(1).alias("p"))
    items = parts.select("row", field.slice(5, 20).alias("item")).explode("item").drop_nulls()
    split = items.select("row", pl.col("item").str.split_exact(",", 4).alias("s")).unnest("s")
    objects = split.select("row", "field_0", *(pl.col(f"field_{i}").cast(pl.Float64) for i in range(1, 5)))
    names = [f"field_{i}" for i in range(1, 5)]
    return {"header": header.select("2", "3", "4").to_numpy(), "objects": objects.select(names).to_numpy()}


def check_equal(path: Path, peers: dict[str, Callable[[Path], Any]]) -> None:
    """Every number is the same to the last bit."""
    parser, header, objects = Parser(), [], []
    for text in blocks(path):
        numbers = parser.read(text)
        header.append(numbers.header.copy())
        objects.append(numbers.objects.copy())
    for work in peers.values():
        theirs = work(path)
        np.testing.assert_array_equal(np.concatenate(header), theirs["header"])
        np.testing.assert_array_equal(np.concatenate(objects), theirs["objects"])


def make_file(path: Path, n: int, seed: int = 1) -> Path:
    """Write events with objects in the order of the format and by decreasing pT inside a symbol."""
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for i in range(n):
            head = f"{i};ttbar;1;{rng.exponential(8e4):.6g};{rng.uniform(-3.14159, 3.14159):.6g}"
            counts = np.minimum(rng.poisson(MEAN), 9)
            items = [item for s, k in zip(SYMBOLS, counts, strict=True) for item in objects_of(rng, s, k)]
            file.write(";".join([head, *items[:20]]) + "\n")
    return path


def objects_of(rng: np.random.Generator, symbol: str, n: int) -> list[str]:
    pt = -np.sort(-20_000 - rng.exponential(8e4, n))
    eta, phi = rng.normal(0, 1.2, n), rng.uniform(-3.14159, 3.14159, n)
    energy = 1.01 * pt * np.cosh(eta)
    rows = zip(energy.tolist(), pt.tolist(), eta.tolist(), phi.tolist(), strict=True)
    return [f"{symbol},{e:.6g},{p:.6g},{h:.6g},{f:.6g}" for e, p, h, f in rows]
