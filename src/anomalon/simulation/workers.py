"""Blocks spread over processes, handed back in order; killed workers are replaced, none outlives its parent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from anomalon.errors import SimulationError, WorkerError
from anomalon.processes import ordered_map
from anomalon.simulation.blocks import Block, SimulationSettings, simulate_block


def run_blocks(settings: SimulationSettings, workers: int) -> Iterator[Block]:
    """Simulate every block, in order; one worker means this process.

    Raises:
        SimulationError: workers died again and again, or PYTHIA failed.
    """
    try:
        yield from ordered_map(partial(simulate_block, settings), range(settings.n_blocks), workers)
    except WorkerError as error:
        raise SimulationError(f"blocks of events, {settings.n_blocks} in all: {error}") from None
