"""The arrays behind the report's figures, in mixed order, as far as blinding shows them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from anomalon.batches import TEST
from anomalon.models.detector import Detector
from anomalon.models.threads import threads_for
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.report import FigureData, FigureEntry, Heading, Projection, search_figures
from anomalon.search.results import SearchResults

POINTS = 2000
"""Points of the t-SNE picture: its time grows faster than their number."""


def draw(
    results: SearchResults, search: SearchConfig, parts: Parts, detectors: dict[str, Detector], scores: Scores
) -> Iterator[FigureEntry]:
    """Draw the figures of a search one after the other."""
    order = np.flatnonzero(scores.shown & parts.usable)
    tested = (parts.split[order] == TEST) | (parts.role[order] == "data")
    # Data that is its own background is counted in its test part: signals beside it are those of the test part, too.
    scaled = (parts.split[order] == TEST) & (search.background == "simulation")
    weights = np.where(scaled, parts.test_weight()[order], parts.table.weight[order])
    data = FigureData(
        features=parts.table.features[order],
        processes=parts.table.process[order],
        roles={sample.process_name: sample.role for sample in search.samples},
        weights=weights,
        tested=tested,
        scores={name: values[order] for name, values in scores.by_detector.items()},
        projections=_projections(detectors, parts, order[tested], np.flatnonzero(tested), search),
    )
    heading = Heading(luminosity_fb=search.luminosity_fb, experiment=search.report.experiment_label)
    return search_figures(results, data, heading)


def _projections(
    detectors: dict[str, Detector],
    parts: Parts,
    events: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    search: SearchConfig,
) -> dict[str, Projection]:
    """PCA and t-SNE of the code of the first network, main detector first; empty where no detector has a code."""
    chosen = _spread(parts.role[events])
    names = sorted(detectors, key=lambda name: name != search.main)
    for name in names:
        code = detectors[name].encode(parts.features_of(detectors[name], events[chosen]))
        if code is not None and code.shape[1] >= 2 and len(code) > 50:
            # Both methods look at distances: a code dimension with larger units must not drown the others.
            code = (code - code.mean(axis=0)) / np.where(code.std(axis=0) > 0, code.std(axis=0), 1.0)
            pca = PCA(n_components=2, random_state=search.seed).fit(code)
            share = [
                f"PC{i + 1} ({100 * r:.0f} % of the variance)" for i, r in enumerate(pca.explained_variance_ratio_)
            ]
            with threads_for(code.size):  # threads that wait for each other beside another busy process take minutes
                tsne = TSNE(n_components=2, random_state=search.seed, init="pca", perplexity=30).fit_transform(code)
            title = f"the code of {name}"
            return {
                f"PCA of {title}": Projection(pca.transform(code), rows[chosen], (share[0], share[1])),
                f"t-SNE of {title}": Projection(tsne.astype(float), rows[chosen], ("t-SNE 1", "t-SNE 2")),
            }
    return {}


def _spread(role: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Positions of at most ``POINTS`` events, two thirds of them background; they come in mixed order already."""
    background, others = np.flatnonzero(role == "background"), np.flatnonzero(role != "background")
    return np.sort(np.concatenate([background[: 2 * POINTS // 3], others[: POINTS // 3]]))
