"""``anomalon simulate``: events from PYTHIA 8 and a parametrised detector, into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json, print_table
from anomalon.errors import ConfigError


def simulate(
    process: Annotated[str | None, typer.Argument(help="A process of --list, such as wz.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The store to make (a directory).")] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Events to generate.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same events.")] = 1,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", "-p", metavar="NAME=VALUE", help="A parameter, such as mass=3000.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores. Same events.")] = None,
    mpi: Annotated[bool, typer.Option("--mpi/--no-mpi", help="Multi-parton interactions; off is faster.")] = True,
    skim_leptons: Annotated[int, typer.Option(min=0, help="Store only events with so many leptons.")] = 0,
    detector: Annotated[str, typer.Option(help="Detector preset.")] = "cms",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is already there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the catalogue of processes and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the sample, or the catalogue, as JSON.")] = False,
) -> None:
    """Simulate a process with PYTHIA 8 and a detector response, on all cores.

    The events depend on the process, the seed and the settings, not on the number of workers.

    Example: anomalon simulate c1n2 --set m_c1n2=800 --set m_lsp=50 --events 20000 --seed 1 --output stores/c1n2
    """
    if list_:
        _print_catalogue(json)
        return
    if process is None or output is None:
        missing = "PROCESS" if process is None else "--output STORE"
        raise ConfigError(f"simulate: {missing} is missing; anomalon simulate --list shows the processes")
    from anomalon.simulation import SimulationSettings, get_process
    from anomalon.simulation.stored import simulate_to_store

    settings = SimulationSettings.parse(
        {
            "process": get_process(process, **_parameters(parameter or [])),
            "n_events": events,
            "seed": seed,
            "mpi": mpi,
            "detector": detector,
            "skim_leptons": skim_leptons,
        },
        where="anomalon simulate",
    )
    with listener() as progress:
        progress.start(f"simulate {process}", events)
        store = simulate_to_store(
            settings,
            output,
            workers=workers,
            overwrite=overwrite,
            progress=lambda done, _, rate: progress.update(done, f"{rate:.0f} events/s"),
        )
    _print_store(store, json)


def _print_store(store: Any, json: bool) -> None:
    sample = store.samples[0]
    if json:
        values = {"output": str(store.path), "events": store.n_events, "sample": sample.model_dump(mode="json")}
        print_json(values)
        return
    error = sample.cross_section_error_pb or 0.0
    console().print(
        f"{store.n_events:,} of {sample.n_generated:,} generated events stored in {store.path}; cross section "
        f"{sample.cross_section_pb:.4g} +- {error:.1g} pb (leading order)",
        markup=False,
        highlight=False,
    )


def _parameters(given: list[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for item in given:
        name, _, number = (part.strip() for part in item.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise ConfigError(f"--set {item}: expected NAME=VALUE with a number, such as mass=3000") from None
        if name in values:
            raise ConfigError(f"--set {item}: {name} is set twice; give it once")
        values[name] = value
    return values


def _print_catalogue(json: bool) -> None:
    from anomalon.simulation import PROCESSES

    if json:
        print_json([process.model_dump(mode="json") for process in PROCESSES.values()])
        return
    rows = [
        (p.name, p.title, ", ".join(f"{k} = {v.default:g} {v.unit}".strip() for k, v in p.parameters.items()), p.source)
        for p in PROCESSES.values()
    ]
    print_table("Processes", ("name", "process", "parameters", "used in"), rows)
    for process in PROCESSES.values():
        for caveat in process.caveats:
            console().print(f"{process.name}: {caveat}", markup=False, highlight=False)
