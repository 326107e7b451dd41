"""``anomalon simulate``: events from PYTHIA 8 and a parametrised detector, into a store or a folder of stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from anomalon.cli._catalogue import print_catalogue
from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json, print_table
from anomalon.errors import ConfigError, suggest

_DETECTOR = "cms"
_EVENTS = 10_000
_EVENT_FILES = {".lhe", ".hepmc", ".hepmc3", ".gz"}
_FILE_SWITCHES = ("allow_unmatched", "fake_leptons")
"""Set to 1 with --set for event files; see :func:`anomalon.simulation.file_settings`."""


def simulate(
    process: Annotated[
        str | None,
        typer.Argument(help="A process of --list, such as wz, or an LHE or HepMC3 file.", show_default=False),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The store to make (a directory).")] = None,
    mixture: Annotated[
        str | None, typer.Option(metavar="NAME", help="A mixture of --list instead: one store per process.")
    ] = None,
    events: Annotated[
        int | None, typer.Option("--events", "-n", min=1, help="Events to generate; default: 10000, or all of a file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name for the process of a file; default: the file's.")] = None,
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
    common = {"n_events": events or _EVENTS, "seed": seed, "mpi": mpi}
    run = {"workers": workers, "overwrite": overwrite}
    if process is None:
        _refuse({"--set": parameter, "--skim-leptons": skim_leptons, "--detector": detector != _DETECTOR})
        _print_mixture(_mix(common | {"mixture": mixture}, output, run), output, json)
        return
    if mixture is not None:
        raise ConfigError(f"simulate: process '{process}' and --mixture {mixture}; give one of the two")
    values = common | {"detector": detector, "skim_leptons": skim_leptons}
    if _is_file(process):
        settings = _of_file(process, values | {"n_events": events, "process": name}, _parameters(parameter or []))
    else:
        if name is not None:
            raise ConfigError(f"--name {name}: only the process of an event file needs one; '{process}' has its own")
        settings = _of_process(process, values, _parameters(parameter or []))
    _print_store(_simulate(settings, output, run), json)


def _is_file(process: str) -> bool:
    from anomalon.simulation import PROCESSES

    path = Path(process)
    return process not in PROCESSES and (path.is_file() or path.suffix in _EVENT_FILES)


def _of_file(path: str, values: Mapping[str, Any], parameters: Mapping[str, float]) -> Any:
    from anomalon.simulation import file_settings

    unknown = [key for key in parameters if key not in _FILE_SWITCHES]
    if unknown:
        raise ConfigError(
            f"--set {unknown[0]}: not a parameter of an event file; {suggest(unknown[0], _FILE_SWITCHES)}"
        )
    switches = {key: bool(value) for key, value in parameters.items()}
    return file_settings(path, **values, **switches)


def _of_process(process: str, values: Mapping[str, Any], parameters: Mapping[str, float]) -> Any:
    from anomalon.simulation import SimulationSettings, get_process

    chosen = get_process(process, **parameters)
    return SimulationSettings.parse({**values, "process": chosen}, where="anomalon simulate")


def _simulate(settings: Any, output: Path, run: Mapping[str, Any]) -> Any:
    from anomalon.simulation.stored import simulate_to_store

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
    order = " (leading order)" if str(sample.provenance["generator"]).startswith("PYTHIA") else ""
    sigma = sample.cross_section_pb
    value = "unknown" if sigma is None else f"{sigma:.4g} +- {sample.cross_section_error_pb or 0.0:.1g} pb{order}"
    console().print(
        f"{store.n_events:,} of {sample.n_generated:,} generated events stored in {store.path}; cross section {value}",
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
