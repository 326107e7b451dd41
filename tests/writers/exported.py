"""Events with every field that the formats can hold, and slow readers of what was written."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from anomalon.events import Events, Sample
from tests.random_events import random_rows

WZ = Sample(name="wz", process="WZ", cross_section_pb=0.5, sum_gen_weights=321.5, n_generated=400)
DATA = Sample(name="muons", process="data", origin="data", luminosity_fb=1.5)


def rich_events(n: int, seed: int = 1, sample: Sample = WZ) -> Events:
    """Random events with photons, identification, tagging scores, factors and signed weights."""
    rng = np.random.default_rng(seed)
    rows = random_rows(n, seed)
    for i, row in enumerate(rows):
        row |= {"event": 100 + i, "run": 3, "lumi": i // 4, "gen_weight": float(rng.choice([-1.5, 1.0, 2.25]))}
        if sample.is_data:
            row["gen_weight"] = 1.0
        row["photons"] = [{"pt": 12.5, "eta": 0.5, "phi": 1.0}] * int(rng.integers(0, 3))
        for lepton in row["electrons"] + row["muons"]:
            lepton |= {
                "isolation": f32(rng.random()),
                "d0_significance": f32(rng.normal()),
                "id": int(rng.integers(2, 5)),
            }
        for jet in row["jets"]:
            jet["btag_score"] = f32(rng.random())
        if not sample.is_data:
            row["factors"] = {"fake": rng.random(), "fakeUp": rng.random(), "fakeDown": rng.random()}
    return Events.from_dicts(rows, [sample])


def f32(value: float) -> float:
    return float(np.float32(value))


def parse_darkmachines(path: Path) -> list[dict[str, Any]]:
    """The plainest possible reader of the Dark Machines form: GeV, objects in the order of the file."""
    content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    return [_line(line.rstrip(";").split(";")) for line in content.decode().splitlines()]


def _line(parts: list[str]) -> dict[str, Any]:
    number, process, weight, met, phi, *objects = parts
    split = [item.split(",") for item in objects]
    return {
        "event": int(number),
        "process": process,
        "weight": float(weight),
        "met": (float(met) / 1000, float(phi)),
        "objects": [(s[0], float(s[1]) / 1000, float(s[2]) / 1000, float(s[3]), float(s[4])) for s in split],
    }
