"""What a run leaves for others: likelihoods as pyhf workspaces, and a submission to HEPData."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from anomalon.errors import MissingExtraError
from anomalon.pipeline.likelihoods import Likelihoods
from anomalon.report.hepdata import write_submission
from anomalon.report.statistics_tables import statistics_tables
from anomalon.report.tables import signal_title
from anomalon.report.write import slug
from anomalon.search.results import SearchResults


def publish(results: SearchResults, found: Likelihoods | None, folder: Path) -> None:
    """Write ``workspaces/*.json`` and ``hepdata/``, the latter where hepdata-lib is installed.

    Args:
        results: every number of the search.
        found: its likelihoods, if there are any.
        folder: the run directory.
    """
    written = _workspaces(results, found, folder / "workspaces") if found is not None else {}
    tables = statistics_tables(results)
    if not tables:
        return
    about = f"anomalon {results.anomalon_version}; luminosity {results.luminosity_fb:g} fb^-1."
    comment = f"{results.title}. {about}"
    if results.blinding.applies:
        comment += " Blinded: no collision data above the threshold is in here."
    try:
        write_submission(tables, folder / "hepdata", comment=comment, attached=written)
    except MissingExtraError:
        return


def _workspaces(results: SearchResults, found: Likelihoods, folder: Path) -> Mapping[str, Path]:
    folder.mkdir(exist_ok=True)
    written = {}
    for signal, workspace in found.workspaces.items():
        path = folder / f"{slug(signal)}.json"
        path.write_text(json.dumps(workspace.specification, indent=1) + "\n", encoding="utf-8")
        written[f"pyhf workspace, {signal_title(results, signal)}"] = path
    return written
