"""``anomalon features``: a table of features from a store or files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json


def features(
    source: Annotated[Path, typer.Argument(help="A store, or a file that anomalon reads.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Ends in .h5, .parquet or .npy.")],
    set_: Annotated[str, typer.Option("--set", help="The feature set.")] = "trilepton",
    all_events: Annotated[
        bool, typer.Option("--all-events", help="Write every event, not only those that pass the selection.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Compute the features of the selected events and write them as a flat table.

    Missing values (an event fills only its own channel's variables) are NaN. Ids and weights come along: as columns in
    Parquet, as data sets in HDF5, in a file NAME.ids.npy beside NumPy's.

    Example: anomalon features stores/wz --set trilepton --output wz.h5
    """
    from anomalon.pipeline.export import export_features

    with progress("features") as report:
        summary = export_features(
            source, output, feature_set=set_, select=not all_events, overwrite=overwrite, on_progress=report
        )
    if json:
        print_json(summary)
    else:
        console().print(
            f"{summary['written']:,} of {summary['read']:,} events, {len(summary['names'])} features: {output}",
            markup=False,
            highlight=False,
        )
