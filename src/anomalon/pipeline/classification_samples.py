"""The events of a comparison of classifiers: selected samples, or draws from distributions that are known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import multivariate_normal

from anomalon.errors import EmptySelectionError
from anomalon.features import Features
from anomalon.models.folds import Labelled, fold_of
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.classification_configuration import GAUSSIAN_NAMES, ClassificationConfig, GaussiansConfig
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.samples import SelectedSample, select_samples
from anomalon.pipeline.table import Table, luminosity_for

Floats = npt.NDArray[np.float64]

_GRID = 2001
"""Points along each axis of the integral of the optimum."""
_REACH = 9.0
"""Standard deviations that the integral covers."""


@dataclass(frozen=True)
class Classes:
    """Events to learn from and to judge on.

    Attributes:
        learned: in folds.
        tested: the same, or separate events, all in fold -1.
        normalised: whether weights are expected events.
        left_out: events with a value that is not finite.
        optimal: log odds from the densities, where these are known.
        optimum: accuracy of that rule, integrated.
    """

    learned: Labelled
    tested: Labelled
    normalised: bool = False
    left_out: int = 0
    optimal: Callable[[Features], Floats] | None = None
    optimum: float | None = None

    @property
    def separate(self) -> bool:
        """Whether test events are none of those in folds."""
        return self.tested is not self.learned

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a classifier sees."""
        found = hashlib.sha256()
        for part in (self.learned, self.tested):
            for array in (part.features.values, part.features.mask, part.labels, part.weights, part.fold):
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def load_classes(config: ClassificationConfig, cache: StageCache, progress: Progress) -> Classes:
    """Draw, simulate or read the events of both classes.

    Raises:
        EmptySelectionError: a class has too few events in a fold; the message holds what the selection left.
    """
    if config.toy is not None:
        progress.start("draw events")
        return draw_gaussians(config.toy, folds=config.folds, seed=config.seed)
    return _selected(config, select_samples(config.search(), cache, progress, {}))


def draw_gaussians(toy: GaussiansConfig, *, folds: int, seed: int) -> Classes:
    """Draw training and test events of two normal distributions, and keep their densities."""
    learned = _drawn(toy, toy.train, np.random.default_rng([seed, 0]))
    tested = _drawn(toy, toy.test // 2, np.random.default_rng([seed, 1]))
    fold = np.concatenate([np.arange(toy.train) % folds] * 2)
    values, labels = learned
    return Classes(
        learned=Labelled(_features(values), labels, np.ones(len(labels)), fold, folds).check(),
        tested=Labelled(_features(tested[0]), tested[1], np.ones(len(tested[1])), np.full(len(tested[1]), -1), 1),
        optimal=lambda features: log_odds(toy, features.values.astype(np.float64)),
        optimum=optimal_accuracy(toy),
    )


def log_odds(toy: GaussiansConfig, values: Floats) -> Floats:
    """Logarithm of the ratio of the densities (event,) of points (event, 2): the optimal score."""
    b, s = (multivariate_normal(m, c) for m, c in zip(toy.means, toy.covariances, strict=True))
    return np.asarray(s.logpdf(values) - b.logpdf(values), dtype=np.float64)


def optimal_accuracy(toy: GaussiansConfig) -> float:
    """Accuracy of the optimal rule, both classes alike: half the integral of the larger density (Bayes).

    >>> round(optimal_accuracy(GaussiansConfig()), 4)
    0.9851
    """
    axes = []
    for k in (0, 1):
        spread = [_REACH * np.sqrt(c[k][k]) for c in toy.covariances]
        low = min(m[k] - r for m, r in zip(toy.means, spread, strict=True))
        high = max(m[k] + r for m, r in zip(toy.means, spread, strict=True))
        axes.append(np.linspace(low, high, _GRID))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    densities = [multivariate_normal(m, c).pdf(points) for m, c in zip(toy.means, toy.covariances, strict=True)]
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    return float(0.5 * np.maximum(*densities).sum() * cell)


def _drawn(toy: GaussiansConfig, each: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
    parts = [rng.multivariate_normal(m, c, each) for m, c in zip(toy.means, toy.covariances, strict=True)]
    return np.concatenate(parts), np.repeat([0, 1], each)


def _features(values: Floats) -> Features:
    return Features(values.astype(np.float32), np.ones(values.shape, dtype=np.bool_), GAUSSIAN_NAMES)


def _selected(config: ClassificationConfig, samples: list[SelectedSample]) -> Classes:
    table = Table.concatenate([sample.table for sample in samples])
    roles = np.asarray([sample.config.role for sample in samples])
    labels = (roles == "signal").astype(np.int64)[table.ids.dataset]
    usable = table.features.usable() & (table.weight != 0) & np.isfinite(table.weight)
    kept = table[usable]
    fold = fold_of(kept.ids, config.folds, config.seed)
    learned = Labelled(kept.features, labels[usable], kept.weight, fold, config.folds)
    try:
        learned.check()
    except EmptySelectionError as error:
        raise EmptySelectionError(f"{error} ({_cutflow(samples)})") from None
    normalised = luminosity_for([s for one in samples for s in one.table.samples], config.luminosity_fb) is not None
    return Classes(learned, learned, normalised=normalised, left_out=int((~usable).sum()))


def _cutflow(samples: list[SelectedSample]) -> str:
    """What the selection left of each sample."""
    return "; ".join(f"{s.config.name}: {len(s.table):,} of {s.n_read:,} events selected" for s in samples)
