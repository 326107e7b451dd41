"""Events made fast: muons, jets with and without a b-tag of a falling spectrum, missing transverse momentum."""

from __future__ import annotations

import numpy as np

from anomalon.events import Events, Sample, make_events
from anomalon.objects import make_lists, make_objects

THRESHOLD = 20.0
"""GeV: softer jets are not stored."""


def sample(name: str = "made", events: int = 1000) -> Sample:
    return Sample(name=name, process="toy", cross_section_pb=1.0, sum_gen_weights=float(events))


def made(n: int, seed: int, *, jets: float = 3.0, name: str | None = None, hardness: float = 60.0) -> Events:
    """Events of which each has two muons and a Poisson number of jets."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(jets, n)
    columns = {
        "run": np.ones(n, dtype=np.int64),
        "lumi": np.ones(n, dtype=np.int64),
        "event": np.arange(n, dtype=np.int64) + 1_000_000 * seed,
        "dataset": np.zeros(n, dtype=np.int32),
        "gen_weight": np.ones(n),
        "electrons": _leptons(rng, np.zeros(n, dtype=np.int64)),
        "muons": _leptons(rng, np.full(n, 2)),
        "jets": _jets(rng, counts, hardness),
        "met": make_objects(
            {"pt": rng.exponential(40.0, n).astype(np.float32), "phi": rng.uniform(-3.1, 3.1, n).astype(np.float32)}
        ),
    }
    return Events(make_events(columns), [sample(name or f"made-{seed}", n)])


def _jets(rng: np.random.Generator, counts: np.ndarray, hardness: float):
    n = int(counts.sum())
    pt = hardness * np.exp(0.6 * rng.normal(size=3 * n + 100))
    pt = pt[pt > THRESHOLD][:n]
    return make_lists(
        {
            **_directions(rng, pt),
            "mass": (0.12 * pt).astype(np.float32),
            "btag": rng.random(n) < 0.5,
        },
        np.concatenate([[0], np.cumsum(counts)]),
    )


def _leptons(rng: np.random.Generator, counts: np.ndarray):
    n = int(counts.sum())
    columns = _directions(rng, 10.0 + rng.exponential(30.0, n))
    charge = np.where(rng.random(n) < 0.5, -1, 1).astype(np.int32)
    columns |= {"mass": np.full(n, 0.106, dtype=np.float32), "charge": charge}
    return make_lists(columns, np.concatenate([[0], np.cumsum(counts)]))


def _directions(rng: np.random.Generator, pt: np.ndarray) -> dict[str, np.ndarray]:
    eta, phi = rng.normal(0.0, 1.2, len(pt)), rng.uniform(-np.pi, np.pi, len(pt))
    return {name: v.astype(np.float32) for name, v in (("pt", pt), ("eta", eta), ("phi", phi))}
