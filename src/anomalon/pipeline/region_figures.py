"""Figures of a search's regions: what falls into them, process by process, and the cut inside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST
from anomalon.pipeline.regions import Regions, column
from anomalon.report import FigureEntry, Group, Heading
from anomalon.report.figures_limits import impacts_figure, limits_figure
from anomalon.report.figures_regions import cut_scan_figure, region_stacks
from anomalon.report.names import process_names, typeset
from anomalon.report.records import coloured
from anomalon.report.tables import signal_title
from anomalon.search.blinding import WITHHELD
from anomalon.search.results import SearchResults
from anomalon.search.statistics import Statistics

SECTION = "Regions"


def draw_regions(results: SearchResults, regions: Regions | None) -> Iterator[FigureEntry]:
    """Draw the regions of the main detector, tightest last, and the significance of every signal along the cut."""
    found = results.statistics
    if found is None or regions is None:
        return
    search = regions.search
    heading = Heading(search.luminosity_fb, experiment=search.report.experiment_label, status="Simulation")
    yield from _limits(results, found, heading)
    for signal in results.signals:
        yield _scan(results, found, signal, heading)
    yield from _stacks(results, regions, heading)


def _limits(results: SearchResults, found: Statistics, heading: Heading) -> Iterator[FigureEntry]:
    if not found.inference:
        return
    titles = {one.signal_name: typeset(signal_title(results, one.signal_name)) for one in found.inference}
    text = (
        "Upper limits on the signal strength, 1 (dotted) being the expected cross section, with all systematic "
        "uncertainties. Diamonds: expected without the score, from bins of the cut variable alone."
    )
    yield FigureEntry("limits", "Limits", text, SECTION, limits_figure(found.inference, titles, heading))
    for one in found.inference:
        if one.impacts.ranked:
            text = (
                "Pulls with the parameter's error after the fit (left) and shifts of the fitted signal strength (right)"
            )
            text += ": of Asimov data with the signal, while data are blinded or there are none." * one.impacts.blinded
            title = f"Impacts, {titles[one.signal_name]}"
            figure = impacts_figure(one.impacts, heading)
            yield FigureEntry(f"impacts_{one.signal_name}", title, text, SECTION, figure, embedded=False, wide=True)


def _scan(results: SearchResults, found: Statistics, signal: str, heading: Heading) -> FigureEntry:
    scans = [s for s in found.scans if s.signal_name == signal]
    quantiles = {(r.detector, r.name): r.quantile for r in found.regions}
    titles = {
        f"{s.detector}/{s.region}": "No cut on the score"
        if s.region == "all"
        else f"{s.region}: score above its {100 * quantiles[s.detector, s.region]:.4g} % quantile"
        for s in scans
    }
    text = (
        "Asimov significance with the background known to "
        f"{100 * found.relative_uncertainty:g} % and its statistical error, for events above a cut, in the nested "
        "regions of the main detector and without it (dashed). Lines end where fewer than 10 effective background "
        "events are left."
    )
    figure = cut_scan_figure(scans, titles, found.variable, heading)
    title = f"Significance along the cut, {typeset(signal_title(results, signal))}"
    return FigureEntry(f"cut_scan_{signal}", title, text, SECTION, figure)


def _stacks(results: SearchResults, regions: Regions, heading: Heading) -> Iterator[FigureEntry]:
    search = regions.search
    _, pictures, _ = search.statistics.columns(search.feature_set().names)
    for region in regions.by_detector.get(search.main, ()):
        inside = regions.inside(search.main, region)
        columns = {name: _groups(results, regions, inside, column(regions.parts, name)) for name in pictures}
        if not columns:
            return
        withheld = f" Data is {WITHHELD}." if results.blinding.applies else ""
        text = (
            f"Test events with a score above the {100 * region.quantile:.4g} % quantile of the background, scaled to "
            f"the whole sample; backgrounds are stacked, signals are drawn over them.{withheld}"
        )
        yield FigureEntry(
            f"region_{region.name}", f"Region {region.name}", text, SECTION, region_stacks(columns, heading), wide=True
        )


def _groups(
    results: SearchResults, regions: Regions, inside: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]
) -> tuple[Group, ...]:
    """Every sample with the colour that it has in all regions; data only where it may be seen."""
    names, groups = process_names(results), []
    for sample in regions.search.samples:
        role = sample.role
        if role == "data" and results.blinding.applies:
            continue
        where = inside & regions.parts.where(role, None if role == "data" else TEST, sample.name)
        weight = np.ones(int(where.sum())) if role == "data" else regions.weight[where]
        groups.append(Group(names.get(sample.process_name, sample.heading), role, values[where], weight))
    return coloured(groups)
