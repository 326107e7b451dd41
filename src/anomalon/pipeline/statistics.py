"""From scores to a statement: what a search makes of its regions."""

from __future__ import annotations

from dataclasses import dataclass

from anomalon.errors import MissingExtraError
from anomalon.pipeline.bumps import hunt_bumps
from anomalon.pipeline.evaluate import signal_names
from anomalon.pipeline.likelihoods import Likelihoods, likelihoods
from anomalon.pipeline.reality import carved
from anomalon.pipeline.regions import Regions, scan_record, statement
from anomalon.pipeline.variations import Varying
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import Blinding
from anomalon.search.statistics import Statistics
from anomalon.search.systematics import impact_table


@dataclass(frozen=True)
class Stated:
    """What the scores of a search say, and what is behind it.

    Attributes:
        record: every number.
        regions: and the events in them.
        likelihoods: None where there are no regions, or no signal, or none was asked for.
    """

    record: Statistics
    regions: Regions
    likelihoods: Likelihoods | None


def state_of(regions: Regions, varying: Varying, state: Blinding) -> Stated:
    """Regions, significances, statements, likelihoods and bump hunts of a search."""
    search, progress = regions.search, varying.progress
    progress.start("regions")
    found = list(regions.significances())
    rows = [row for row, _ in found]
    statements = (statement(search, rows, signal) for signal in signal_names(regions.parts))
    fitted, unfitted = _likelihoods(regions, varying, state)
    progress.start("bump hunts")
    bumps, unseen = hunt_bumps(regions, state)
    sculpted, untold = carved(regions)
    settings = search.statistics
    record = Statistics(
        variable=settings.variable,
        relative_uncertainty=settings.background_uncertainty,
        minimum_effective=settings.minimum_effective,
        regions=tuple(regions.summaries(state)),
        significances=tuple(rows),
        scans=tuple(scan_record(row, tested) for row, tested in found if row.detector in (search.main, MET_ALONE)),
        statements=tuple(one for one in statements if one is not None),
        inference=fitted.found if fitted is not None else (),
        systematics=impact_table(fitted.channels, settings.systematics) if fitted is not None else (),
        bumps=bumps,
        sculpting=sculpted,
        notes=(*regions.notes, *unfitted, *unseen, *untold),
    )
    return Stated(record, regions, fitted)


def _likelihoods(regions: Regions, varying: Varying, state: Blinding) -> tuple[Likelihoods | None, tuple[str, ...]]:
    """The likelihoods, or why there are none."""
    search = regions.search
    if not search.statistics.likelihood or not regions.by_detector.get(search.main) or not signal_names(regions.parts):
        return None, ()
    if not varying.samples:
        return None, ("No likelihood: the samples have no cross section, so that no yields are expected.",)
    try:
        found = likelihoods(regions, varying, state)
    except MissingExtraError as error:
        return None, (f"No likelihood: {error}.",)
    return found, found.notes
