"""The check of data against simulation inside a search: which rows enter it, and its figures.

Without collision data, and with sanity tests, pseudo-data take its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.features import Features
from anomalon.models.detector import Detector
from anomalon.pipeline.comparison import check_figures, data_mc_check
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.pseudo_data import Drawn
from anomalon.report import FigureEntry, Heading
from anomalon.search.results import Blinding, FeatureCheck, SearchResults


@dataclass(frozen=True)
class Compared:
    """Data that may be shown and the background of the same region.

    Attributes:
        features: of these events.
        weights: at the search's luminosity, shape (event,).
        roles, processes: shape (event,).
    """

    features: Features
    weights: npt.NDArray[np.float64]
    roles: npt.NDArray[np.str_]
    processes: npt.NDArray[np.str_]

    def check(self) -> list[FeatureCheck]:
        """Every feature, worst first."""
        return data_mc_check(self.features, self.weights, self.roles)


def collisions(parts: Parts, scores: Scores, state: Blinding) -> Compared | None:
    """Collision data beside the background; None without. Blinded, only events at or below the threshold: all roles."""
    if not (parts.role == "data").any():
        return None
    chosen = scores.shown & np.isin(parts.role, ("background", "data"))
    if state.applies:
        chosen = chosen & (scores.score <= scores.threshold)
    table = parts.table
    return Compared(table.features[chosen], table.weight[chosen], parts.role[chosen], table.process[chosen])


def pseudo(parts: Parts, scores: Scores, drawn: Drawn, detector: Detector, *, hidden: bool) -> Compared:
    """Pseudo-data beside the other half of the background, in every feature of the table and of the main detector."""
    rows = np.concatenate([drawn.all_rows, drawn.template])
    is_data = np.arange(len(rows)) < len(drawn.all_rows)
    weights = np.concatenate([np.ones(len(drawn.all_rows)), drawn.template_weight])
    shown = scores.score[rows] <= scores.threshold if hidden else np.ones(len(rows), dtype=bool)
    rows, is_data, weights = rows[shown], is_data[shown], weights[shown]
    processes = np.where(is_data, "pseudo-data", parts.table.process[rows])
    features = _every_feature(parts, detector, rows)
    return Compared(features, weights, np.where(is_data, "data", "background"), processes)


def _every_feature(parts: Parts, detector: Detector, rows: npt.NDArray[np.int64]) -> Features:
    table = parts.table.features[rows]
    seen = parts.features_of(detector, rows).select(detector.inputs)
    new = [name for name in seen.names if name not in table.names]
    if not new:
        return table
    seen = seen.select(new)
    values = np.concatenate([table.values, seen.values], axis=1)
    mask = np.concatenate([table.mask, seen.mask], axis=1)
    return Features(values, mask, (*table.names, *seen.names))


def draw_checks(results: SearchResults, search: SearchConfig, compared: Compared | None) -> list[FigureEntry]:
    """Draw the features that agree least."""
    if compared is None or not results.feature_checks:
        return []
    status = "Pseudo-data and simulation" if results.pseudo_data is not None else "Data and simulation"
    heading = Heading(search.luminosity_fb, experiment=search.report.experiment_label, status=status)
    return check_figures(
        results.feature_checks, compared.features, compared.weights, compared.roles, compared.processes, heading
    )
