"""Events/s of scoring the networks of Frette 2023, beside plain torch.

The peer is the same network in eager float32 and the mean squared error per event, batch by batch, on one thread like
ours. Inputs are like those of a rapidity-mass matrix: nine in ten cells are zero. Both take turns, so that a busy
machine disturbs both alike, and the median is taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from anomalon.models.detector import DetectorSettings
from anomalon.models.registry import get_scorer

PRESETS = ("frette2023-ae-large", "frette2023-ae-small")
N_INPUTS = 529
EVENTS = 16_384
BATCH = 8192
FILLED = 0.1
ROUNDS = 5

Values = np.ndarray[Any, np.dtype[np.float32]]
Scores = np.ndarray[Any, Any]


def run() -> list[dict[str, Any]]:
    """Ratios of events per second, ours to plain torch's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [compare(name) for name in PRESETS]
    finally:
        torch.set_num_threads(threads)


def compare(preset: str) -> dict[str, Any]:
    """Row of one network."""
    x = matrix_like()
    settings = DetectorSettings.parse({"kind": preset, "scale": "mean", "training": {"epochs": 1}})
    scorer: Any = get_scorer(settings.kind)(settings.scorer).fit(x[:BATCH])
    scorings = {"ours": scorer.score, "peer": lambda values: with_torch(scorer.network, values)}
    np.testing.assert_allclose(scorings["ours"](x), scorings["peer"](x), rtol=1e-4)
    speeds = measure(scorings, x)
    return {
        "name": f"scoring, {preset}, batch {BATCH}",
        **speeds,
        "ratio": speeds["ours"] / speeds["peer"],
        "unit": "events/s",
        "peer_name": "torch eager",
    }


def matrix_like() -> Values:
    """Inputs between 0 and 1 of which few are filled."""
    rng = np.random.default_rng(0)
    shape = (EVENTS, N_INPUTS)
    return np.where(rng.random(shape) < FILLED, rng.random(shape), 0.0).astype(np.float32)


def measure(scorings: dict[str, Callable[[Values], Scores]], x: Values) -> dict[str, float]:
    """Median events per second of each, taking turns after one round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in scorings}
    for _ in range(ROUNDS + 1):
        for name, scoring in scorings.items():
            start = time.perf_counter()
            scoring(x)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(x) / statistics.median(spent[1:]) for name, spent in seconds.items()}


@torch.inference_mode()
def with_torch(network: nn.Module, x: Values) -> Scores:
    """Mean squared error per event, as it is usually written."""
    batches = torch.from_numpy(x).split(BATCH)
    return torch.cat([((network(batch) - batch) ** 2).mean(dim=1) for batch in batches]).numpy()
