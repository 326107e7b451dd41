"""Small files in the form of NanoAOD, with the names of any version, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

Branches = dict[str, Any]
Flat = dict[str, npt.NDArray[Any]]


def nano_branches(n: int = 30, seed: int = 0, *, met: str = "MET", tagger: str = "btagDeepFlavB") -> Branches:
    """Branches of ``n`` random simulated events, whose objects are not sorted by pT."""
    rng = np.random.default_rng(seed)
    return {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (np.arange(n) // 10).astype(np.uint32),
        "event": np.arange(n, dtype=np.uint64) + 1000 * seed,
        "genWeight": rng.choice([-1.0, 1.0, 2.0], n).astype(np.float32),
        f"{met}_pt": rng.exponential(40, n).astype(np.float32),
        f"{met}_phi": rng.uniform(-3, 3, n).astype(np.float32),
        **_collection(rng, n, "Electron", lambda k: _lepton(rng, k) | {"cutBased": rng.integers(0, 5, k)}),
        **_collection(rng, n, "Muon", lambda k: _lepton(rng, k) | _muon_ids(rng, k)),
        **_collection(rng, n, "Photon", lambda k: {}),
        **_collection(rng, n, "Jet", lambda k: {tagger: rng.uniform(0, 1, k).astype(np.float32)}),
    }


def as_data(branches: Branches) -> Branches:
    """The same as collision data: without a generator weight."""
    return {name: values for name, values in branches.items() if name != "genWeight"}


def write_nano(path: Path, branches: Branches, *, runs: Branches | None = None, step: int | None = None) -> Path:
    """Write branches as the tree ``Events``, in clusters of ``step`` events; ``runs`` as the tree ``Runs``."""
    n = len(branches["run"]) if "run" in branches else len(next(iter(branches.values())))
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {name: _type(values) for name, values in branches.items()})
        for start in range(0, n, step or max(n, 1)):
            tree.extend({name: values[start : start + (step or n)] for name, values in branches.items()})
        if runs is not None:
            file["Runs"] = runs
    return path


def _type(values: Any) -> Any:
    return ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype


def _collection(rng: np.random.Generator, n: int, prefix: str, extra: Callable[[int], Flat]) -> Branches:
    counts = rng.poisson(1.5, n)
    k = int(counts.sum())
    flat = {"pt": 3 + rng.exponential(30, k), "eta": rng.uniform(-2.5, 2.5, k), "phi": rng.uniform(-3, 3, k)}
    flat |= {"mass": np.full(k, 0.1)}
    columns = {name: values.astype(np.float32) for name, values in flat.items()} | extra(k)
    return {f"{prefix}_{name}": ak.unflatten(values, counts) for name, values in columns.items()}


def _lepton(rng: np.random.Generator, k: int) -> Flat:
    return {
        "charge": rng.choice([-1, 1], k).astype(np.int32),
        "pfRelIso03_all": rng.exponential(0.1, k).astype(np.float32),
        "dxy": rng.normal(0, 0.01, k).astype(np.float32),
        "dxyErr": rng.choice([0.0, 0.005], k).astype(np.float32),
    }


def _muon_ids(rng: np.random.Generator, k: int) -> Flat:
    return {f"{name}Id": rng.random(k) < 0.7 for name in ("tight", "medium", "loose")}
