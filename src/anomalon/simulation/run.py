"""From settings to events: the way in for users."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from anomalon.errors import ConfigError, SimulationError
from anomalon.events import Events, Sample
from anomalon.generator.clustering import load_fastjet
from anomalon.processes import available_cores
from anomalon.simulation.blocks import Block, SimulationSettings, make_sample
from anomalon.simulation.workers import run_blocks

Progress = Callable[[int, int, float], None]
"""Called after each block with events done, events in all, and events per second."""


class Simulation:
    """A simulated sample, block by block: iterate once, then read :attr:`sample`.

    The events of a block carry a provisional sample without cross section; the final one, with the same name, exists
    when the last block is out (``StoreWriter.finish(samples=[simulation.sample])`` or :meth:`load`).
    """

    def __init__(self, settings: SimulationSettings, workers: int, progress: Progress | None) -> None:
        self.settings = settings
        self._workers = workers
        self._progress = progress
        load_fastjet()
        self._provisional = make_sample(settings)
        self._blocks: list[Block] = []

    def __iter__(self) -> Iterator[Events]:
        """Yield the events of each block, in order."""
        self._blocks.clear()
        start = time.monotonic()
        for block in run_blocks(self.settings, self._workers):
            # Only the numbers are kept: events belong to the caller, so that memory stays bounded.
            self._blocks.append(replace(block, events=block.events[:0]))
            self._report(start)
            yield Events(block.events, [self._provisional])

    @property
    def sample(self) -> Sample:
        """The final sample, with cross section, sum of weights before any selection, and counts.

        Raises:
            SimulationError: the events have not all been taken yet.
        """
        if len(self._blocks) < self.settings.n_blocks:
            raise SimulationError(
                f"sample '{self._provisional.name}': {len(self._blocks)} of {self.settings.n_blocks} blocks are done; "
                "the cross section is known after the last"
            )
        return make_sample(self.settings, self._blocks)

    def load(self) -> Events:
        """Simulate everything and return it in memory, with the final sample."""
        parts = list(self)
        return Events(Events.concatenate(parts).array, [self.sample])

    def _report(self, start: float) -> None:
        if self._progress is not None:
            done = sum(block.n_generated for block in self._blocks)
            self._progress(done, self.settings.n_events, done / max(time.monotonic() - start, 1e-9))


def simulate(
    settings: SimulationSettings, *, workers: int | None = None, progress: Progress | None = None
) -> Simulation:
    """Prepare a simulation; nothing runs before the first block is asked for.

    Args:
        settings: what to simulate. The same settings give the same events with any number of workers.
        workers: processes; all cores by default, 1 stays in this process. With more than one, a script must guard its
            start with ``if __name__ == "__main__"``.
        progress: called after each block with (events done, events in all, events per second).

    Raises:
        ConfigError: ``workers`` is not positive, or a parameter of the process is out of range.
        UnknownNameError: the process or the detector does not exist.
        MissingExtraError: PYTHIA or FastJet is not installed.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers = {workers}, must be at least 1")
    return Simulation(settings, workers or available_cores(), progress)
