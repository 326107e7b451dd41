"""``anomalon benchmark``: detectors on signals in channels, for several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json, print_table
from anomalon.errors import ConfigError

if TYPE_CHECKING:
    from anomalon.report.data_tables import DataTable
    from anomalon.search.benchmark_results import BenchmarkResults


def benchmark(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file, such as examples/benchmark-trilepton.yaml.", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The directory to make.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Real files of the channels that name some, in place of simulation."),
    ] = None,
    known: Annotated[
        bool, typer.Option("--known", help="Show published figures of the Dark Machines challenge, marked as such.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that train; default: all cores.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted benchmark; a finished one is shown.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished benchmark.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Samples, trainings and cells; default: .anomalon-cache beside OUTPUT.")
    ] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw; without it is faster.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print results.json instead of tables.")] = False,
) -> None:
    """Train every detector with every seed, and judge it on every signal, beside MET alone, oracle and bound.

    What is finished of a channel, detector and seed is never done twice. The directory holds results.json, the tables
    as Markdown, CSV and LaTeX, and a heat map.

    Example: anomalon benchmark examples/benchmark-trilepton.yaml --output runs/benchmark-trilepton --workers 2
    """
    if config is None:
        if not known:
            raise ConfigError("benchmark: CONFIG is missing; --known alone shows the published figures")
        _known(json=json)
        return
    if output is None:
        raise ConfigError("benchmark: --output DIR is missing")
    with listener() as progress:
        progress.start("load libraries")
        from anomalon.pipeline.benchmark import BenchmarkOptions, run_benchmark
        from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
        from anomalon.pipeline.benchmark_files import with_files

        chosen = BenchmarkConfig.load(config)
        options = BenchmarkOptions(
            resume=resume, overwrite=overwrite, cache=cache, workers=workers, figures=figures, progress=progress
        )
        results = run_benchmark(chosen if data is None else with_files(chosen, data), output, options)
    if json:
        typer.echo(results.model_dump_json(indent=1))
        return
    _say(results, output)
    if known:
        _known(json=False)


def _known(*, json: bool) -> None:
    from anomalon.report.benchmark_tables import known_table
    from anomalon.search.known import CAVEAT, CHALLENGE, SOURCE

    if json:
        values = [{"model": p.model, "median_total_improvement": p.median_improvement} for p in CHALLENGE]
        print_json({"published_elsewhere": True, "source": SOURCE, "caveat": CAVEAT, "models": values})
        return
    _print(known_table())


def _say(results: BenchmarkResults, output: Path) -> None:
    from anomalon.report.benchmark_tables import terminal_tables

    for table in terminal_tables(results):
        _print(table)
    for note in results.notes:
        _line(f"- {note}")
    _line(f"Tables and figures: {output}")


def _print(table: DataTable) -> None:
    print_table(table.title, table.columns, table.texts())
    _line(table.caption)


def _line(text: str) -> None:
    console().print(text, markup=False, highlight=False, soft_wrap=True)
