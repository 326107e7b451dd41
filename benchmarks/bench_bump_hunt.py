"""Toys/s of a bump hunt, beside pyBumpHunter.

The same falling spectrum of 60 bins, the same windows (widths 2 to 12 at every position), as many background-only toys,
one thread each. What is timed is the whole hunt, from the counts to the global p-value: tables of p-values, drawing
toys and scanning them. Both take turns, so that a busy machine disturbs both alike, and the median is taken. Both must
find the same window with the same local p-value, and global p-values that agree within their errors.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from typing import Any

import numpy as np
import pyBumpHunter

from anomalon.bumps.hunt import BumpHuntSettings, bump_hunt

BINS, NARROWEST, WIDEST = 60, 2, 12
TOYS = 10_000
ROUNDS = 3


def run() -> list[dict[str, Any]]:
    """Ratio of toys per second, ours to pyBumpHunter's."""
    edges = np.linspace(100.0, 700.0, BINS + 1)
    background = 1000.0 * np.exp(-np.arange(BINS) / 10) + 2
    observed = np.random.default_rng(0).poisson(background)
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    found: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, hunt in (("ours", ours), ("peer", peer)):
            start = time.perf_counter()
            found[name] = hunt(observed, background, edges)
            seconds[name].append(time.perf_counter() - start)
    np.testing.assert_allclose(found["ours"][0], found["peer"][0], rtol=1e-9)
    np.testing.assert_allclose(found["ours"][1], found["peer"][1], atol=0.04)
    speed = {name: TOYS / statistics.median(spent) for name, spent in seconds.items()}
    return [
        {
            "name": f"bump hunt, {BINS} bins, {WIDEST - NARROWEST + 1} widths, {TOYS} toys",
            **speed,
            "ratio": speed["ours"] / speed["peer"],
            "unit": "toys/s",
            "peer_name": "pyBumpHunter",
        }
    ]


def ours(observed: np.ndarray[Any, Any], background: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> Any:
    """Local and global p-value."""
    settings = BumpHuntSettings(min_width=NARROWEST, max_width=WIDEST, toys=TOYS, seed=1)
    result = bump_hunt(observed, background, edges=edges, settings=settings)
    return (result.window.local_p if result.window else 1.0), result.global_p.value


def peer(observed: np.ndarray[Any, Any], background: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> Any:
    """The same of pyBumpHunter, which prints as it goes."""
    hunter = pyBumpHunter.BumpHunter1D(
        width_min=NARROWEST, width_max=WIDEST, npe=TOYS, bins=edges, nworker=1, seed=1, mode="excess"
    )
    with contextlib.redirect_stdout(io.StringIO()):
        hunter.bump_scan(observed, background, is_hist=True)
    return hunter.min_Pval_ar[0], hunter.global_Pval
