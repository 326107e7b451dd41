"""``anomalon features``: a table of features from a store or files, or from a table that has them already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table


def features(
    source: Annotated[
        Path, typer.Argument(help="A store, or a file that anomalon reads, or a table of features.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Ends in .h5, .parquet or .npy.")],
    set_: Annotated[str | None, typer.Option("--set", help="The feature set. Default: trilepton.")] = None,
    all_events: Annotated[
        bool, typer.Option("--all-events", help="Write every event, not only those that pass the selection.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML: which columns of a table are features, and which are ids and weights.")
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="With --mapping: leave bad lines out, count them.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Compute the features of the selected events and write them as a flat table.

    Missing values (an event fills only its own channel's variables) are NaN. Ids and weights come along: as columns in
    Parquet, as data sets in HDF5, in a file NAME.ids.npy beside NumPy's.

    With --mapping, the features are columns of a table (CSV, Parquet, HDF5, ROOT) already: nothing is computed.

    Example: anomalon features stores/wz --set trilepton --output wz.h5
    """
    from anomalon.errors import ConfigError
    from anomalon.pipeline.export import export_features

    if lenient and mapping is None:
        raise ConfigError("--lenient is for tables with --mapping; of event files, read them leniently into a store")
    if mapping is not None:
        if set_ is not None or all_events:
            raise ConfigError("--mapping: the features are in the table already; leave out --set and --all-events")
        summary = _of_table(source, mapping, output, lenient=lenient, overwrite=overwrite)
    else:
        with progress("features") as report:
            summary = export_features(
                source,
                output,
                feature_set=set_ or "trilepton",
                select=not all_events,
                overwrite=overwrite,
                on_progress=report,
            )
    if json:
        print_json(summary)
    else:
        _say(summary)


def _of_table(source: Path, mapping: Path, output: Path, *, lenient: bool, overwrite: bool) -> dict[str, Any]:
    from anomalon.features.feature_table import load_feature_mapping
    from anomalon.pipeline.export import export_feature_table

    chosen = load_feature_mapping(mapping)
    if lenient:
        chosen = chosen.model_copy(update={"lenient": True})
    return export_feature_table(source, chosen, output, overwrite=overwrite)


def _say(summary: dict[str, Any]) -> None:
    for e in summary.get("ledger", {}).get("entries", ()):
        row = (e["file"], e["read"], e["duplicated"], sum(e["skipped"].values()), e["written"])
        print_table("Ledger", ("file", "read", "duplicated", "skipped", "written"), [row])
    text = f"{summary['written']:,} of {summary['read']:,} events, {len(summary['names'])} features"
    console().print(f"{text}: {summary['output']}", markup=False, highlight=False)
