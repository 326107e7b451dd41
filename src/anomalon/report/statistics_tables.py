"""The statistics of a search as tables, for the report, for files and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anomalon.features.labels import label
from anomalon.report.data_tables import Cell, DataTable, Quantity
from anomalon.report.names import typeset
from anomalon.report.tables import signal_title
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import SearchResults
from anomalon.search.statistics import RegionSignificance, RegionSummary, Statistics

WITHHELD = "withheld"


def statistics_tables(results: SearchResults) -> tuple[DataTable, ...]:
    """Every table of a search's statistics; none without."""
    found = results.statistics
    if found is None:
        return ()
    tables = (yields_table(results, found), *significance_tables(results, found), gain_table(results, found))
    return tuple(table for table in tables if table.rows)


def yields_table(results: SearchResults, found: Statistics) -> DataTable:
    """Expected events of every sample in the regions of the main detector."""
    regions = [r for r in found.regions if r.detector == results.main_detector]
    samples = [y.sample for y in regions[0].yields] if regions else []
    rows: list[tuple[Cell, ...]] = [_yields(regions, sample) for sample in samples]
    total = [Quantity(r.background, r.background_error, r.background_error) for r in regions]
    rows.append(("all backgrounds", "background", *total))
    rows.append(("effective background events", "background", *(round(r.effective, 1) for r in regions)))
    if any(s.role == "data" for s in results.samples):
        rows.append(("data", "data", *(WITHHELD if r.observed is None else r.observed for r in regions)))
    return DataTable(
        "region_yields",
        f"Regions of {_title(results, results.main_detector)}",
        f"Expected events at {results.luminosity_fb:g} fb⁻¹ in nested regions above quantiles of the background "
        "validation score, from test events; the errors are statistical.",
        ("sample", "role", *(f"{r.name}, {100 * r.quantile:.4g} %" for r in regions)),
        tuple(rows) if regions else (),
    )


def _yields(regions: Sequence[RegionSummary], sample: str) -> tuple[Cell, ...]:
    own = [next(y for y in r.yields if y.sample == sample) for r in regions]
    return typeset(own[0].title), own[0].role, *(Quantity(y.value, y.error, y.error) if y.raw else "none left" for y in own)


def significance_tables(results: SearchResults, found: Statistics) -> Iterator[DataTable]:
    """Per signal: every region of every detector with its best cut, and the cut alone first."""
    what = label(found.variable)
    for signal in results.signals:
        rows = [r for r in found.significances if r.signal_name == signal]
        yield DataTable(
            f"significance_{signal}",
            signal_title(results, signal),
            f"Events in the region and above a cut on {what.words} that validation events chose, at "
            f"{results.luminosity_fb:g} fb⁻¹, from test events. Z: Asimov significance with a background uncertainty "
            f"of {100 * found.relative_uncertainty:g} % and the statistical one, with its 68 % interval. Gain: signal "
            f"kept over that of a cut on {what.words} alone at equal background.",
            (
                "detector", "region", f"cut [{what.unit}]", "signal", "background", "s/√b", "Z, exact background", "Z",
                "gain, region", "gain, region and cut",
            ),
            tuple(_significance(results, row) for row in rows),
        )  # fmt: skip


def _significance(results: SearchResults, row: RegionSignificance) -> tuple[Cell, ...]:
    return (
        _title(results, row.detector),
        "no score" if row.detector == MET_ALONE else row.region,
        row.cut,
        Quantity(row.signal, row.signal_error, row.signal_error),
        Quantity(row.background, row.uncertainty, row.uncertainty),
        row.simple,
        row.asimov,
        Quantity.of(row.significance),
        Quantity.of(row.gain_region),
        Quantity.of(row.gain),
    )


def gain_table(results: SearchResults, found: Statistics) -> DataTable:
    """Highest significance of every detector for every signal: the table of Frette 2023, done right."""
    detectors = list(dict.fromkeys(r.detector for r in found.significances))
    rows = []
    for detector in detectors:
        cells: list[Cell] = [_title(results, detector)]
        for signal in results.signals:
            own = [r for r in found.significances if (r.detector, r.signal_name) == (detector, signal)]
            best = max(own, key=lambda r: r.significance.value, default=None)
            cells += [None, None] if best is None else [Quantity.of(best.significance), Quantity.of(best.gain)]
        rows.append(tuple(cells))
    titles = [f"{signal_title(results, s)}: {what}" for s in results.signals for what in ("Z", "gain")]
    return DataTable(
        "significance",
        "Highest significance",
        f"Best region of each detector with its cut on {label(found.variable).words}, at {results.luminosity_fb:g} "
        f"fb⁻¹; Z with a background uncertainty of {100 * found.relative_uncertainty:g} % and the statistical one; "
        "gain: signal kept over that of the cut alone at equal background.",
        ("detector", *titles),
        tuple(rows),
    )


def _title(results: SearchResults, detector: str) -> str:
    return next((d.title for d in results.detectors if d.name == detector), detector)
