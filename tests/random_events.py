"""Random events for tests: plain dictionaries, so that slow loops can read what the tables hold."""

from __future__ import annotations

from typing import Any

import numpy as np

Row = dict[str, Any]


def random_rows(n: int, seed: int, *, leptons: float = 3.2, jets: float = 2.0) -> list[Row]:
    """Events with Poisson multiplicities and pT around the thresholds of the selections."""
    rng = np.random.default_rng(seed)
    return [_row(rng, leptons, jets) for _ in range(n)]


def _row(rng: np.random.Generator, leptons: float, jets: float) -> Row:
    lepton_list = [
        _particle(rng, 25.0, 2.7) | {"charge": int(rng.choice([-1, 1]))} for _ in range(rng.poisson(leptons))
    ]
    flavour = rng.random(len(lepton_list)) < 0.5
    return {
        "electrons": [x for x, is_muon in zip(lepton_list, flavour, strict=True) if not is_muon],
        "muons": [x for x, is_muon in zip(lepton_list, flavour, strict=True) if is_muon],
        "jets": [_jet(rng, lepton_list) for _ in range(rng.poisson(jets))],
        "met": {"pt": float(np.float32(rng.exponential(50.0))), "phi": float(np.float32(rng.uniform(-np.pi, np.pi)))},
    }


def _particle(rng: np.random.Generator, scale: float, eta_max: float) -> Row:
    values = {
        "pt": 5.0 + rng.exponential(scale),
        "eta": rng.uniform(-eta_max, eta_max),
        "phi": rng.uniform(-np.pi, np.pi),
    }
    return {k: float(np.float32(v)) for k, v in values.items()}


def _jet(rng: np.random.Generator, leptons: list[Row]) -> Row:
    jet = _particle(rng, 60.0, 3.0) | {
        "mass": float(np.float32(rng.exponential(8.0))),
        "btag": bool(rng.random() < 0.3),
    }
    if leptons and rng.random() < 0.3:
        near = leptons[rng.integers(len(leptons))]
        jet |= {"eta": float(np.float32(near["eta"] + 0.1)), "phi": near["phi"]}
    return jet
