"""A simulation straight into a store, with bounded memory."""

from __future__ import annotations

from pathlib import Path

from anomalon.ledger import Ledger, LedgerEntry
from anomalon.simulation.blocks import SimulationSettings
from anomalon.simulation.run import Progress, simulate
from anomalon.store import Store, StoreWriter


def simulate_to_store(
    settings: SimulationSettings,
    path: str | Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Simulate a sample into a store; nothing is left under the final name when it fails.

    Args:
        settings: what to simulate.
        path: the store to make.
        workers: processes; all cores by default. The events do not depend on it.
        overwrite: replace a store that is already there.
        progress: called after each block with (events done, events in all, events per second).

    Raises:
        OutputExistsError: ``path`` is there and ``overwrite`` is off.
        MissingExtraError: PYTHIA or FastJet is not installed.
        SimulationError: PYTHIA refuses the settings or keeps failing.
    """
    simulation = simulate(settings, workers=workers, progress=progress)
    with StoreWriter(path, overwrite=overwrite) as writer:
        for events in simulation:
            writer.append(events)
        made = writer.n_events
        entry = LedgerEntry(settings.title, read=made, written=made)
        return writer.finish(samples=[simulation.sample], ledger=Ledger((entry,)))
