"""From scores to a statement: what a search makes of its regions."""

from __future__ import annotations

from dataclasses import dataclass

from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, signal_names
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.regions import Regions, scan_record, statement
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import Blinding
from anomalon.search.statistics import Statistics


@dataclass(frozen=True)
class Stated:
    """What the scores of a search say, and the regions behind it."""

    record: Statistics
    regions: Regions


def state_of(search: SearchConfig, parts: Parts, scores: Scores, state: Blinding) -> Stated:
    """Regions, significances and statements of a search."""
    regions = Regions.of(search, parts, scores)
    found = list(regions.significances())
    rows = [row for row, _ in found]
    statements = (statement(search, rows, signal) for signal in signal_names(parts))
    settings = search.statistics
    record = Statistics(
        variable=settings.variable,
        relative_uncertainty=settings.background_uncertainty,
        minimum_effective=settings.minimum_effective,
        regions=tuple(regions.summaries(state)),
        significances=tuple(rows),
        scans=tuple(scan_record(row, tested) for row, tested in found if row.detector in (search.main, MET_ALONE)),
        statements=tuple(one for one in statements if one is not None),
        notes=regions.notes,
    )
    return Stated(record, regions)
