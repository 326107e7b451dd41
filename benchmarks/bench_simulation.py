"""Simulated events per CPU second beside PYTHIA's own ``nextBatch`` alone: the same seeds, so the same events.

Two workers beside one are compared in wall time, so that row means something on an otherwise idle machine only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from anomalon.simulation import SimulationSettings, simulate_block
from anomalon.simulation.blocks import BLOCK_SIZE, generator_seed
from anomalon.simulation.pythia import Generator
from anomalon.simulation.workers import available_cores, run_blocks

ROUNDS = 3
BLOCKS = 6
CASES = {
    "wz, MPI off": SimulationSettings(process="wz", n_events=500, mpi=False),
    "wz, MPI off, 3 leptons": SimulationSettings(process="wz", n_events=500, mpi=False, skim_leptons=3),
    "wz, MPI on": SimulationSettings(process="wz", n_events=250),
    "ttbar, MPI on": SimulationSettings(process="ttbar", n_events=250),
}


def run() -> list[dict[str, Any]]:
    """Measure every case, ours and PYTHIA's in turn."""
    rows = [_compare(name, settings) for name, settings in CASES.items()]
    return rows + ([_compare_workers()] if available_cores() > 1 else [])


def _compare(name: str, settings: SimulationSettings) -> dict[str, Any]:
    bare = Generator(settings.commands())
    # The first block of a kind pays for imports and for starting PYTHIA.
    simulate_block(settings, 0)
    ours = peer = 0.0
    for seed in range(1, ROUNDS + 1):
        chosen = settings.model_copy(update={"seed": seed})
        peer += _cpu_seconds(lambda s=chosen: bare.batch(generator_seed(s, 0), s.n_events))  # type: ignore[misc]
        ours += _cpu_seconds(lambda s=chosen: simulate_block(s, 0))  # type: ignore[misc]
    n = ROUNDS * settings.n_events
    row = {"name": f"simulation: {name}", "ours": n / ours, "peer": n / peer, "ratio": peer / ours}
    return row | {"unit": "events/CPU s", "peer_name": "pythia8mc nextBatch"}


def _compare_workers() -> dict[str, Any]:
    one, two = (_blocks_per_second(workers) * BLOCK_SIZE for workers in (1, 2))
    row = {"name": "simulation: wz, MPI on, 2 workers", "ours": two, "peer": one, "ratio": two / one}
    return row | {"unit": "events/s", "peer_name": "1 worker"}


def _blocks_per_second(workers: int) -> float:
    """Speed once every worker has started: from the first block of the last worker to start until the end."""
    settings = SimulationSettings(process="wz", n_events=(BLOCKS + workers) * BLOCK_SIZE)
    blocks = run_blocks(settings, workers)
    for _ in range(workers):
        next(blocks)
    start = time.perf_counter()
    done = sum(1 for _ in blocks)
    return done / (time.perf_counter() - start)


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
