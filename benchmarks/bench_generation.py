"""Generated top pairs beside PYTHIA with multi-parton interactions: in batches on one and two threads, and one by one.

All of a generator's work is counted, down to the table of events; refinement is left out. PYTHIA's own rate
(``nextBatch``, no detector) and that of the simulation with the detector are per CPU second, as is ours on one thread
and one by one. On two threads it is wall time that counts, beside a bar: that row means something on an idle machine
only. The model is the one that comes along, or a small one of the same kind, trained here in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import awkward as ak
import numpy as np
import torch

from anomalon.events import Events
from anomalon.generation import trained
from anomalon.generation.autoregressive import Autoregressive, AutoregressiveSettings
from anomalon.generation.contract import Generator
from anomalon.generation.registry import load_generator
from anomalon.simulation import SimulationSettings, simulate_block
from anomalon.simulation.blocks import generator_seed, make_sample
from anomalon.simulation.pythia import Generator as Pythia

ROUNDS = 5
BATCH, SINGLES, SIMULATED = 10_000, 200, 150
MODEL = "ttbar"
BAR_US, BAR_SINGLE_MS = 100.0, 5.0
"""Of an event in a batch on two threads, and of one alone."""
SETTINGS = SimulationSettings(process="ttbar", n_events=SIMULATED, detector="darkmachines")


def run() -> list[dict[str, Any]]:
    """Measure all in turn, several times: the medians."""
    generator, name = model()
    pythia = Pythia(SETTINGS.commands())
    generator.sample(BATCH, 0)
    simulate_block(SETTINGS, 0)
    rounds = [_round(generator, pythia, seed) for seed in range(1, ROUNDS + 1)]
    found = {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}
    print(
        f"{name}; {found['one'] * 1e6:.0f} us/event on 1 thread (CPU), {found['two'] * 1e6:.0f} on 2 (wall), "
        f"{found['single'] * 1e3:.1f} ms for one event (CPU; {found['single_wall'] * 1e3:.1f} wall);",
        end=" ",
    )
    return _rows(found, name)


def _rows(found: dict[str, float], name: str) -> list[dict[str, Any]]:
    batch, core = f"{name}, batch {BATCH:,}", "events/CPU s"
    cases = [
        (f"{batch}, 1 thread", found["one"], found["pythia"], core, "pythia8mc nextBatch, ttbar, MPI on"),
        (f"{batch}, 1 thread", found["one"], found["simulation"], core, "simulation, darkmachines, MPI on"),
        (f"{batch}, 2 threads", found["two_cpu"], found["pythia"], core, "pythia8mc nextBatch, ttbar, MPI on"),
        (f"{batch}, 2 threads", found["two"], BAR_US * 1e-6, "events/s", f"the bar, {BAR_US:g} us/event"),
        (f"{name}, one by one", found["single"], BAR_SINGLE_MS * 1e-3, core, f"the bar, {BAR_SINGLE_MS:g} ms"),
    ]
    return [
        {"name": f"generation: {what}", "ours": 1 / s, "peer": 1 / p, "ratio": p / s, "unit": unit, "peer_name": peer}
        for what, s, p, unit, peer in cases
    ]


def _round(generator: Generator, pythia: Pythia, seed: int) -> dict[str, float]:
    """Seconds per event of each case."""
    chosen = SETTINGS.model_copy(update={"seed": seed})
    made = {"pythia": _cpu(lambda: pythia.batch(generator_seed(chosen, 0), SIMULATED)) / SIMULATED}
    with threads(1):
        made["one"] = _cpu(lambda: generator.sample(BATCH, seed)) / BATCH
        made |= _single(generator, seed)
    with threads(2):
        before = time.process_time()
        made["two"] = _wall(lambda: generator.sample(BATCH, seed)) / BATCH
        made["two_cpu"] = (time.process_time() - before) / BATCH
    made["simulation"] = _cpu(lambda: simulate_block(chosen, 0)) / SIMULATED
    return made


def _single(generator: Generator, seed: int) -> dict[str, float]:
    start = time.perf_counter()
    cpu = _cpu(lambda: [generator.generate(1, seed, start=i) for i in range(SINGLES)])
    return {"single": cpu / SINGLES, "single_wall": (time.perf_counter() - start) / SINGLES}


def model() -> tuple[Generator, str]:
    """The generator, without its refinement, and what it is called."""
    if MODEL not in trained.names():
        return small(), "small autoregressive, trained here"
    generator = load_generator(trained.folder(MODEL))
    generator.refinement = None
    return generator, f"model {MODEL}"


def small() -> Generator:
    """The default widths, 17 slots, one epoch of a thousand events: as fast as a good one, and no more than that."""
    settings = SETTINGS.model_copy(update={"n_events": 1000, "mpi": False})
    blocks = [simulate_block(settings, block) for block in range(settings.n_blocks)]
    events = Events(ak.concatenate([block.events for block in blocks]), [make_sample(settings, blocks)])
    values = {"slots": "garcia2024", "acceptance": "darkmachines", "training": {"epochs": 1, "batch_size": 128}}
    return Autoregressive(AutoregressiveSettings.parse(values)).fit(events)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """A number of threads for generators."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
