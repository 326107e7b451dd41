"""``anomalon score``: a finished run's detector on other files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json

if TYPE_CHECKING:
    from anomalon.pipeline.score import ScoreSummary


def score(
    run: Annotated[Path, typer.Argument(help="The run directory of a finished search.", show_default=False)],
    files: Annotated[list[str], typer.Argument(help="Event files, patterns or stores.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the scores go (.parquet).")],
    detector: Annotated[str | None, typer.Option(help="A detector of the run; default: its main one.")] = None,
    unblind: Annotated[
        str | None, typer.Option(metavar="REASON", help="Show collision data above the threshold; recorded.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score any readable file with a finished run's detector; collision data stays blinded.

    The output has one row per selected event; a file NAME.json beside it holds the cutflow, the ledger, how unlike the
    training sample the features look, and whether and why collision data was unblinded.

    Example: anomalon score runs/trilepton nano_tt_v12.root --output scores.parquet
    """
    with listener() as progress:
        progress.start("load libraries")
        from anomalon.pipeline.score import score_files

        summary = score_files(
            run, files, output, detector=detector, unblind=unblind, overwrite=overwrite, progress=progress
        )
    if json:
        print_json(summary.to_dict())
    else:
        _print(summary, output)


def _print(summary: ScoreSummary, output: Path) -> None:
    for line in summary.lines(output):
        console().print(line, markup=False, highlight=False, soft_wrap=True)
