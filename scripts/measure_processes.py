"""Measure every process and mixture of the catalogue and write the table that comes with the package.

Cross sections come from the hard process alone, acceptances from events without multi-parton interactions, speeds from
both, in CPU seconds of one core: python scripts/measure_processes.py [--processes] [--mixtures] [--missing] [NAME ...]
After a new region --processes --missing measures the acceptances alone, after a new process of a mixture --mixtures
--missing that process alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.simulation.blocks import BLOCK_SIZE, Block, SimulationSettings, make_sample, simulate_block
from anomalon.simulation.measured import MEASURED_FILE
from anomalon.simulation.mixtures import MIXTURES, Ingredient, Mixture
from anomalon.simulation.processes import PROCESSES, Process
from anomalon.simulation.pythia import Generator, pythia_version
from anomalon.simulation.regions import REGIONS

TABLE = Path(__file__).resolve().parents[1] / "src" / "anomalon" / "simulation" / MEASURED_FILE
SEED = 2026
N_HARD, N_PROCESS, N_INGREDIENT, N_MPI = 2000, 500, 1000, 50
N_RARE, FEW = 12_000, 10
"""Events of an ingredient of which fewer than this lay in the region."""
DIGITS = 4


def main() -> None:
    """Measure what was asked for, everything by default, and merge it into the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", action="store_true")
    parser.add_argument("--mixtures", action="store_true")
    parser.add_argument("--missing", action="store_true", help="keep what the table has, measure the rest")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    both = options.processes == options.mixtures
    for name, process in PROCESSES.items():
        if (both or options.processes) and name in (options.names or PROCESSES):
            save("processes", name, measure_process(process, known=read()["processes"] if options.missing else {}))
    for name, mixture in MIXTURES.items():
        if (both or options.mixtures) and name in (options.names or MIXTURES):
            save("mixtures", name, measure_mixture(mixture, known=read()["mixtures"] if options.missing else {}))


def measure_process(process: Process, known: dict[str, Any]) -> dict[str, Any]:
    """Cross section, speeds and acceptances at the default parameters, but what is known.

    Acceptances come from one sample: for a new region those of all regions are measured, the rest is kept.
    """
    old = known.get(process.name, {})
    if set(old.get("acceptance", {})) == set(REGIONS):
        return dict(old)
    settings = SimulationSettings(process=process, n_events=N_PROCESS, seed=SEED, mpi=False)
    blocks, rate_off = timed(settings)
    events = ak.concatenate([block.events for block in blocks])
    total = sum(block.sum_gen_weights for block in blocks)
    weight = weights(events)
    acceptance = {k: rounded(weight[r.passes(events)].sum() / total) for k, r in REGIONS.items()}
    if old:
        return {**old, "acceptance": acceptance}
    return hard_cross_section(process, settings) | {
        "rate_mpi_on": rate_mpi_on(settings),
        "rate_mpi_off": rounded(rate_off),
        "n": N_PROCESS,
        "acceptance": acceptance,
    }


def measure_mixture(mixture: Mixture, known: dict[str, Any]) -> dict[str, Any]:
    """Every process of a mixture, but those that are known."""
    old = known.get(mixture.name, {})
    return {i.process: old.get(i.process) or measure_ingredient(mixture, i) for i in mixture.ingredients}


def measure_ingredient(mixture: Mixture, item: Ingredient) -> dict[str, Any]:
    """The same in the mixture's own region, with more events where few lie in it."""
    first = _ingredient(mixture, item, N_INGREDIENT)
    return first if first["effective"] * N_INGREDIENT >= FEW else _ingredient(mixture, item, N_RARE)


def _ingredient(mixture: Mixture, item: Ingredient, n_events: int) -> dict[str, Any]:
    settings = SimulationSettings(
        process=item.process,
        n_events=n_events,
        seed=SEED,
        mpi=False,
        detector=mixture.detector,
        skim_leptons=mixture.skim_leptons,
        fakes=mixture.fakes,
    )
    blocks, rate_off = timed(settings)
    sample = make_sample(settings, blocks)
    events = ak.concatenate([block.events for block in blocks])
    chosen = weights(events)[mixture.resolved_region.passes(events)]
    squares = float((chosen**2).sum())
    return {
        "cross_section_pb": rounded(sample.cross_section_pb or 0.0),
        "cross_section_error_pb": rounded(sample.cross_section_error_pb or 0.0),
        "rate_mpi_on": rate_mpi_on(settings),
        "rate_mpi_off": rounded(rate_off),
        "n": n_events,
        "acceptance": rounded(float(chosen.sum()) / (sample.sum_gen_weights or 1.0)),
        "effective": rounded(float(chosen.sum()) ** 2 / squares / n_events if squares else 0.0),
    }


def hard_cross_section(process: Process, settings: SimulationSettings) -> dict[str, float]:
    """From the hard process and its decays alone: the same number, a hundred times faster."""
    generator = Generator((*settings.commands(), "PartonLevel:all=off"), process.slha_text())
    _, counts = generator.block(SEED, N_HARD)
    factor = process.cross_section_factor
    return {
        "cross_section_pb": rounded(counts.cross_section_pb * factor),
        "cross_section_error_pb": rounded(counts.cross_section_error_pb * factor),
    }


def rate_mpi_on(settings: SimulationSettings) -> float:
    """Events per CPU second with multi-parton interactions."""
    return rounded(timed(settings.model_copy(update={"mpi": True, "n_events": N_MPI}))[1])


def timed(settings: SimulationSettings) -> tuple[list[Block], float]:
    """Blocks and events per CPU second; starting PYTHIA is not counted."""
    simulate_block(settings.model_copy(update={"n_events": 1}), 0)
    start = time.process_time()
    blocks = [simulate_block(settings, block) for block in range(-(-settings.n_events // BLOCK_SIZE))]
    return blocks, settings.n_events / (time.process_time() - start)


def weights(events: ak.Array) -> npt.NDArray[np.float64]:
    """Generator weight times the factor of fake leptons."""
    return np.asarray(ak.to_numpy(events.gen_weight * events.factors.fake), dtype=np.float64)


def rounded(value: float) -> float:
    """Four digits are more than the statistics give."""
    return float(f"{value:.{DIGITS}g}")


def read() -> dict[str, Any]:
    """The table as it is."""
    if not TABLE.exists():
        return {"processes": {}, "mixtures": {}}
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def save(part: str, name: str, values: dict[str, Any]) -> None:
    """Merge one result into the table; written at once, so that nothing is lost."""
    table = read()
    table["generator"] = f"PYTHIA {pythia_version()}"
    table[part][name] = values
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{part} {name}", flush=True)


if __name__ == "__main__":
    main()
