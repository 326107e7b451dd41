"""The check of data against simulation inside a search: which rows enter it, and its figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.features import Features
from anomalon.pipeline.comparison import check_figures, data_mc_check
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.report import FigureEntry, Heading
from anomalon.search.results import Blinding, FeatureCheck, SearchResults


@dataclass(frozen=True)
class _Rows:
    """Collision data that may be shown and the background of the same region.

    Attributes:
        features: of these events.
        weights: at the search's luminosity, shape (event,).
        roles, processes: shape (event,).
    """

    features: Features
    weights: npt.NDArray[np.float64]
    roles: npt.NDArray[np.str_]
    processes: npt.NDArray[np.str_]

    @classmethod
    def of(cls, parts: Parts, scores: Scores, state: Blinding) -> _Rows:
        """While data is blinded, only events at or below the threshold can be compared: background too."""
        chosen = scores.shown & np.isin(parts.role, ("background", "data"))
        if state.applies:
            chosen = chosen & (scores.score <= scores.threshold)
        table = parts.table
        return cls(table.features[chosen], table.weight[chosen], parts.role[chosen], table.process[chosen])


def check_data(parts: Parts, scores: Scores, state: Blinding) -> list[FeatureCheck]:
    """Check every feature of a search with collision data; empty without."""
    if not (parts.role == "data").any():
        return []
    rows = _Rows.of(parts, scores, state)
    return data_mc_check(rows.features, rows.weights, rows.roles)


def draw_checks(results: SearchResults, search: SearchConfig, parts: Parts, scores: Scores) -> list[FigureEntry]:
    """Draw the features that agree least."""
    if not results.feature_checks:
        return []
    rows = _Rows.of(parts, scores, results.blinding)
    heading = Heading(search.luminosity_fb, experiment=search.report.experiment_label, status="Data and simulation")
    return check_figures(results.feature_checks, rows.features, rows.weights, rows.roles, rows.processes, heading)
