"""``anomalon simulate``: events from PYTHIA 8 and a parametrised detector, into a store or a folder of stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from anomalon.cli._catalogue import print_catalogue
from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json, print_table
from anomalon.errors import ConfigError

_DETECTOR = "cms"


def simulate(
    process: Annotated[str | None, typer.Argument(help="A process of --list, such as wz.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The store to make (a directory).")] = None,
    mixture: Annotated[
        str | None, typer.Option(metavar="NAME", help="A mixture of --list instead: one store per process.")
    ] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=1, help="Events to generate.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same events.")] = 1,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", "-p", metavar="NAME=VALUE", help="A parameter, such as mass=3000.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores. Same events.")] = None,
    mpi: Annotated[bool, typer.Option("--mpi/--no-mpi", help="Multi-parton interactions; off is faster.")] = True,
    skim_leptons: Annotated[int, typer.Option(min=0, help="Store only events with so many leptons.")] = 0,
    detector: Annotated[str, typer.Option(help="Detector preset.")] = _DETECTOR,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is already there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show processes, detectors and mixtures and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the sample, or the catalogue, as JSON.")] = False,
) -> None:
    """Simulate a process with PYTHIA 8 and a detector response, on all cores.

    The events depend on the process, the seed and the settings, not on the number of workers.

    Example: anomalon simulate c1n2 --set m_c1n2=800 --set m_lsp=50 --events 20000 --seed 1 --output stores/c1n2
    """
    if list_:
        print_catalogue(json)
        return
    if output is None or (process is None and mixture is None):
        missing = "PROCESS" if process is None and mixture is None else "--output STORE"
        raise ConfigError(f"simulate: {missing} is missing; anomalon simulate --list shows processes and mixtures")
    common = {"n_events": events, "seed": seed, "mpi": mpi}
    run = {"workers": workers, "overwrite": overwrite}
    if process is None:
        _refuse({"--set": parameter, "--skim-leptons": skim_leptons, "--detector": detector != _DETECTOR})
        _print_mixture(_mix(common | {"mixture": mixture}, output, run), output, json)
        return
    if mixture is not None:
        raise ConfigError(f"simulate: process '{process}' and --mixture {mixture}; give one of the two")
    from anomalon.simulation import get_process

    chosen = get_process(process, **_parameters(parameter or []))
    values = common | {"process": chosen, "detector": detector, "skim_leptons": skim_leptons}
    _print_store(_simulate(values, output, run), json)


def _simulate(values: Mapping[str, Any], output: Path, run: Mapping[str, Any]) -> Any:
    from anomalon.simulation import SimulationSettings
    from anomalon.simulation.stored import simulate_to_store

    settings = SimulationSettings.parse(values, where="anomalon simulate")
    with listener() as progress:
        progress.start(f"simulate {settings.resolved_process.label}", settings.n_events)
        return simulate_to_store(settings, output, progress=_report(progress), **run)


def _mix(values: Mapping[str, Any], output: Path, run: Mapping[str, Any]) -> Any:
    from anomalon.simulation.mixing import MixtureSettings, simulate_mixture

    settings = MixtureSettings.parse(values, where="anomalon simulate")
    with listener() as progress:

        def announce(item: Any, n_events: int) -> Callable[[int, int, float], None]:
            progress.start(f"simulate {item.process}", n_events)
            return _report(progress)

        return simulate_mixture(settings, output, announce=announce, **run)


def _report(progress: Any) -> Callable[[int, int, float], None]:
    return lambda done, _, rate: progress.update(done, f"{rate:.0f} events/s")


def _refuse(options: Mapping[str, Any]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(f"simulate: a mixture has its own {', '.join(given)}; leave out, or simulate one process")


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


def _print_mixture(summary: Any, output: Path, json: bool) -> None:
    if json:
        effective = {"output": str(output), "effective_background": summary.effective_background}
        print_json(effective | summary.model_dump(mode="json"))
        return
    rows = [
        (p.process, p.role, p.n_generated, p.n_stored, p.n_region, f"{p.expected:.4g} +- {p.expected_error:.2g}")
        for p in summary.parts
    ]
    header = ("process", "role", "generated", "stored", "in region", "expected")
    print_table(f"{summary.settings.mixture}: {summary.region}", header, rows)
    console().print(
        f"stores in {output}; expected at {summary.settings.luminosity_fb:g} fb^-1; the background is worth "
        f"{summary.effective_background:,.0f} events of equal weight",
        markup=False,
        highlight=False,
    )


def _parameters(given: list[str]) -> dict[str, float]:
    values = {}
    for item in given:
        name, equals, number = item.partition("=")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--set {item}: expected NAME=VALUE with a number, such as mass=3000")
    return values
