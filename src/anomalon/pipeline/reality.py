"""Is it real? What the main detector's score does to the mass spectra of the background."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anomalon.batches import TEST, VALIDATION
from anomalon.bumps.sculpting import SculptingSettings, sculpting
from anomalon.errors import EmptySelectionError
from anomalon.pipeline.evaluate import scored
from anomalon.pipeline.regions import Regions, column
from anomalon.search.inference import MassSculpting
from anomalon.search.threshold import Scored, fix_threshold

REJECTIONS = (0.5, 0.9, 0.99)
"""Shares of the background that are rejected, at which its mass spectrum is looked at."""


def carved(regions: Regions) -> tuple[tuple[MassSculpting, ...], tuple[str, ...]]:
    """Whether cuts on the main score carve the background's mass spectra, and what could not be told."""
    search = regions.search
    _, _, masses = search.statistics.columns(search.feature_set().names)
    found, notes = [], []
    for mass in masses:
        try:
            found += list(_carved(regions, mass))
        except EmptySelectionError as error:
            notes.append(f"Sculpting of {mass}: {error}.")
    return tuple(found), tuple(notes)


def _carved(regions: Regions, mass: str) -> Iterator[MassSculpting]:
    """Thresholds come from validation events, shapes from test events; of the regions' score, decorrelated or not."""
    search, parts = regions.search, regions.parts
    where = parts.where("background", TEST)
    values = regions.scores.by_detector[search.main]
    validation = scored(values, parts, "background", VALIDATION)
    thresholds = [fix_threshold(Scored(validation.score, validation.weight), quantile) for quantile in REJECTIONS]
    result = sculpting(
        column(parts, mass)[where],
        values[where],
        thresholds=sorted(set(np.asarray(thresholds).tolist())),
        weight=regions.weight[where],
        settings=SculptingSettings(seed=search.seed),
    )
    yield MassSculpting(mass=mass, result=result)
