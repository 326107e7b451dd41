"""Does a result depend on the seed? The same detector trained with several, compared where it counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from anomalon.config import Settings

Floats = npt.NDArray[np.float64]


class SeedSpread(Settings):
    """One number over trainings that differ in their seed alone.

    Attributes:
        what: such as the AUC for a signal.
        values: one per seed, the search's own first.
        mean, spread: of the values; the spread is the sample standard deviation.
        statistical: half of the 68 % interval of the first one, from test events alone.
    """

    what: str
    values: tuple[float, ...]
    mean: float
    spread: float
    statistical: float | None = None


class SeedStability(Settings):
    """A detector trained with several seeds.

    Attributes:
        seeds: the search's own first.
        spreads: of the AUC for every signal.
        rank_correlation: lowest Spearman correlation of background test scores with those of the first seed.
        overlap: lowest share of the events above the first seed's threshold that are above the other's, too.
        sentence: what it comes to.
    """

    detector: str
    seeds: tuple[int, ...]
    spreads: tuple[SeedSpread, ...]
    rank_correlation: float
    overlap: float
    sentence: str


def spread_of(what: str, values: Sequence[float], statistical: float | None = None) -> SeedSpread:
    """Mean and sample standard deviation of a number over seeds.

    >>> spread_of("AUC", [0.8, 0.9]).spread.__round__(4)
    0.0707
    """
    array = np.asarray(values, dtype=np.float64)
    return SeedSpread(
        what=what,
        values=tuple(array.tolist()),
        mean=float(array.mean()),
        spread=float(array.std(ddof=1)),
        statistical=statistical,
    )


def compare_seeds(
    detector: str, scores: dict[int, Floats], thresholds: dict[int, float], spreads: Sequence[SeedSpread]
) -> SeedStability:
    """How much scores of the same events differ between seeds.

    Args:
        detector: its title.
        scores: seed -> scores of background test events, shape (event,); the search's own seed first.
        thresholds: seed -> threshold at the same quantile.
        spreads: of the AUC for every signal.
    """
    first, *others = scores
    flagged = scores[first] > thresholds[first]
    correlations = [float(spearmanr(scores[first], scores[seed]).statistic) for seed in others]
    overlaps = [float((scores[seed] > thresholds[seed])[flagged].mean()) if flagged.any() else 1.0 for seed in others]
    worst = max(spreads, key=lambda s: s.spread, default=None)
    auc = f"; the AUC spreads most for {worst.what}, {worst.mean:.3f} ± {worst.spread:.3f}" if worst else ""
    sentence = (
        f"{detector} trained with {len(scores)} seeds: background scores keep a rank correlation of "
        f"{min(correlations):.3f} and {100 * min(overlaps):.0f} % of the flagged background{auc}."
    )
    return SeedStability(
        detector=detector, seeds=tuple(scores), spreads=tuple(spreads), rank_correlation=min(correlations),
        overlap=min(overlaps), sentence=sentence,
    )  # fmt: skip
