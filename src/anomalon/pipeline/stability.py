"""The main detector trained with other seeds, on the same events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, VALIDATION
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, scored, signal_names
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.summaries import TITLES
from anomalon.search.evaluation import evaluate
from anomalon.search.stability import SeedSpread, SeedStability, compare_seeds, spread_of
from anomalon.search.threshold import fix_threshold

Floats = npt.NDArray[np.float64]
Refit = Callable[[DetectorSettings], Detector]


def stability(search: SearchConfig, parts: Parts, scores: Scores, refit: Refit) -> SeedStability:
    """Train the main detector with other seeds and compare; events, split and thresholds' quantile stay.

    Args:
        search: the configuration; ``statistics.validation.seeds`` says how many, the search's own included.
        parts: the events.
        scores: of the search.
        refit: fits a detector, or takes it from the cache.
    """
    settings = next(d for d in search.detector_settings() if d.name == search.main)
    values = {search.seed: scores.score}
    for k in range(1, search.statistics.validation.seeds):
        values[search.seed + k] = parts.score(refit(settings.seeded(search.seed + k)))
    background = parts.where("background", TEST)
    kept = background & np.all([np.isfinite(v) for v in values.values()], axis=0)
    thresholds = {
        seed: fix_threshold(scored(v, parts, "background", VALIDATION), search.threshold_quantile)
        for seed, v in values.items()
    }
    spreads = [_spread(search, parts, values, signal) for signal in signal_names(parts)]
    title = TITLES.get(search.main, search.main)
    return compare_seeds(title, {seed: v[kept] for seed, v in values.items()}, thresholds, spreads)


def _spread(search: SearchConfig, parts: Parts, values: dict[int, Floats], signal: str) -> SeedSpread:
    title = next(s.heading for s in search.samples if s.name == signal)
    found = [
        evaluate(
            search.main,
            signal,
            scored(v, parts, "background", TEST),
            scored(v, parts, "signal", TEST, signal),
            seed=search.seed,
        ).auc
        for v in values.values()
    ]
    low, high = found[0].low, found[0].high
    statistical = None if low is None or high is None else (high - low) / 2
    return spread_of(title, [auc.value for auc in found], statistical)
