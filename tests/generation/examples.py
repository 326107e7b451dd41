"""Small samples and settings for the tests of generators."""

from __future__ import annotations

from typing import Any

import numpy as np

from anomalon.events import Events, Sample
from anomalon.generation.contract import Generator
from anomalon.generation.registry import get_generator

_GAN = {"width": 8, "layers": 3, "noise": 4, "batch_size": 64, "steps": 2}
_GANS = {"slots": "default", "multiplicities": {}, "met": _GAN, "particles": _GAN}
QUICK: dict[str, dict[str, Any]] = {
    "autoregressive": {
        "network": {"element": 8, "trunk": 16, "head": 8, "pair": 4},
        "training": {"epochs": 2, "batch_size": 128},
    },
    **{f"garcia2024-wgan{name}": _GANS for name in ("", "-gp", "-small", "-gp-small")},
    "flow-matching": {
        "width": 8,
        "heads": 2,
        "blocks": 1,
        "steps": 2,
        "training": {"epochs": 2, "batch_size": 128},
    },
    "spline-flow": {
        "element": 8,
        "trunk": 8,
        "head": 8,
        "bins": 4,
        "training": {"epochs": 2, "batch_size": 128},
    },
    "beta-vae": {"hidden": [16], "code": 4, "training": {"epochs": 2, "batch_size": 128}},
}
"""Settings that fit in a moment; a generator without an entry uses its defaults."""

SAMPLE = Sample(name="toy-ttbar", process="ttbar")


def quick(name: str, seed: int = 1, **more: Any) -> Generator:
    generator = get_generator(name)
    return generator(
        generator.Settings.parse({"seed": seed, "acceptance": "darkmachines", **QUICK.get(name, {}), **more})
    )


def toy_events(n: int = 400, seed: int = 0, sample: Sample = SAMPLE, jets: float = 3.0) -> Events:
    """Events with balanced jets, a charged lepton now and then, and missing momentum that sees no muon."""
    rng = np.random.default_rng([seed, 5])
    return Events.from_dicts([_event(rng, i, jets) for i in range(n)], [sample])


def _event(rng: np.random.Generator, number: int, jets: float) -> dict[str, Any]:
    n_jets = 1 + rng.poisson(jets)
    phi = _apart(rng, n_jets)
    jet = [
        {"pt": p, "eta": rng.uniform(-2.4, 2.4), "phi": a, "mass": 0.15 * p * rng.random(), "btag": rng.random() < 0.4}
        for p, a in zip(65 + rng.exponential(40, n_jets), phi, strict=True)
    ]
    event: dict[str, Any] = {"event": number, "jets": jet, "electrons": [], "muons": [], "photons": []}
    for name in ("electrons", "muons"):
        if rng.random() < 0.3:
            direction = {"eta": rng.uniform(-2.3, 2.3), "phi": 3.1}
            event[name].append({"pt": 30 + rng.exponential(20), "charge": int(rng.choice([-1, 1])), **direction})
    seen = [*jet, *event["electrons"]]
    x, y = (-sum(o["pt"] * turn(o["phi"]) for o in seen) + rng.normal(0, 10) for turn in (np.cos, np.sin))
    return {**event, "met": {"pt": float(np.hypot(x, y)), "phi": float(np.arctan2(y, x))}}


def _apart(rng: np.random.Generator, n: int) -> list[float]:
    """Angles at least 0.41 apart, also from that of the leptons."""
    places = rng.permutation(13)[:n]
    return [float(-3.1 + 0.42 * (1 + place)) for place in places[: min(n, 12)]] + [0.0] * max(n - 13, 0)
