"""``anomalon search``: from samples to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console

if TYPE_CHECKING:
    from anomalon.search.results import SearchResults


def search(
    config: Annotated[Path, typer.Argument(help="A YAML file; anomalon init writes one.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run directory to make.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; a finished one is shown, not run again.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Simulated samples and finished stages; default: .anomalon-cache beside OUTPUT.")
    ] = None,
    unblind: Annotated[
        str | None, typer.Option(metavar="REASON", help="Look at collision data above the threshold; recorded.")
    ] = None,
    sanity: Annotated[
        bool,
        typer.Option(
            "--sanity",
            help="Also test the detectors on events that they should find strange: processes left out of training, "
            "harder leptons, shuffled and swapped features, pseudo-data with a blind signal (--unblind reveals it).",
        ),
    ] = False,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Also train the main detector with other seeds, and draw pseudo-experiments with and without signals.",
        ),
    ] = False,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw; without it is faster.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the summary.")] = False,
) -> None:
    """Run a search: simulate or read, select, train, score, evaluate, report.

    The run directory holds report.html, results.json (every number of the report), scores.parquet, the models and the
    figures. Samples and finished stages are kept in the cache and used again by later runs.

    Example: anomalon search examples/trilepton.yaml --output runs/trilepton
    """
    with listener() as progress:
        progress.start("load libraries")
        from anomalon.pipeline.configuration import SearchConfig
        from anomalon.pipeline.search import RunOptions, run_search

        options = RunOptions(
            resume=resume,
            overwrite=overwrite,
            cache=cache,
            unblind=unblind,
            sanity=sanity,
            validate=validate,
            figures=figures,
            progress=progress,
        )
        results = run_search(SearchConfig.load(config), output, options)
    if json:
        typer.echo(results.model_dump_json(indent=1))
    else:
        _summarise(results, output)


def _summarise(results: SearchResults, output: Path) -> None:
    from anomalon.report import rich_table

    out = console()
    if results.evaluations:
        out.print(rich_table(results))
    for line in results.headline:
        out.print(f"- {line}", markup=False, highlight=False)
    for statement in results.statistics.statements if results.statistics is not None else ():
        out.print(f"- {statement.sentence}", markup=False, highlight=False)
    if results.validation is not None:
        told = (one.sentence for one in results.validation.background_only)
        for sentence in (results.validation.stability.sentence, *told):
            out.print(f"- {sentence}", markup=False, highlight=False)
    for check in results.sanity:
        out.print(f"- {'passed' if check.found else 'NOT passed'}: {check.sentence}", markup=False, highlight=False)
    if results.pseudo_data is not None:
        out.print(f"- {results.pseudo_data.sentence}", markup=False, highlight=False)
    out.print(f"Report: {output / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
