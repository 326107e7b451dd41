"""Pictures of the most anomalous events of detectors that see pictures: inputs, reconstructions, terms of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST
from anomalon.features.eta_phi import EtaPhiImages
from anomalon.models.detector import Detector
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.report import FigureEntry
from anomalon.report.figures_images import Pictured, reconstructions_figure

SHOWN = 4
"""Events of a detector that are drawn."""


def draw_images(detectors: Mapping[str, Detector], parts: Parts, scores: Scores) -> Iterator[FigureEntry]:
    """A figure for each detector of pictures that reconstructs them; of blinded data only what may be seen."""
    rows = np.flatnonzero(scores.shown & parts.usable & (parts.split == TEST))
    for name, detector in detectors.items():
        images = detector.settings.feature_set()
        whole = isinstance(images, EtaPhiImages) and len(detector.inputs) == prod(images.shape)
        found = scores.by_detector[name][rows]
        if not (isinstance(images, EtaPhiImages) and whole and np.isfinite(found).any()):
            continue
        chosen = rows[np.argsort(-np.nan_to_num(found, nan=-np.inf), kind="stable")[:SHOWN]]
        pictured = _pictured(detector, images, parts, chosen, scores.by_detector[name][chosen])
        if pictured:
            text = (
                "The test events of the highest score: the largest input per cell, with letters for jets (j), b-jets "
                "(b), electrons, muons and photons, and missing momentum as a column; the reconstruction; and the "
                "share of each cell in the score."
            )
            figure = reconstructions_figure(pictured, images.channels, eta_max=images.eta_max, unit=_unit(detector))
            yield FigureEntry(f"pictures_{name}", f"Pictures, {name}", text, "Scores", figure, wide=True)


def _pictured(
    detector: Detector,
    images: EtaPhiImages,
    parts: Parts,
    chosen: npt.NDArray[np.integer],
    scores: npt.NDArray[np.float64],
) -> list[Pictured]:
    """The chosen events; none where the detector does not reconstruct."""
    features = parts.features_of(detector, chosen)
    seen = detector.preprocessing.transform(features)
    given, terms = detector.scorer.reconstruct(seen), detector.explain(features)
    if given is None or terms is None:
        return []
    stacks = zip(*(images.pictures(x.astype(np.float64)) for x in (seen, given, terms)), strict=True)
    titles = [f"{parts.table.process[row]}, score {score:.3g}" for row, score in zip(chosen, scores, strict=True)]
    return [Pictured(title, *pictures) for title, pictures in zip(titles, stacks, strict=True)]


def _unit(detector: Detector) -> str:
    """What an input is: the logarithm of a pT, unless the preprocessing scales it."""
    settings = detector.settings.preprocessing
    plain = not settings.standardise and {settings.treatment(name) for name in detector.inputs} == {"log"}
    return "ln(1 + $p_T$/GeV)" if plain else "input"
