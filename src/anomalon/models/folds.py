"""A discriminator fitted once per fold, so that every event is scored by one that has not seen it.

Which fold an event belongs to follows from a hash of its name, run number left out: weighted versions of one event,
which differ in it, are never in training and test at once. New events get the mean of the scores of all folds.

Scores of different folds must be comparable: those of each member are put on the scale of log odds by a logistic fit on
the events that it has learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from anomalon.batches import EventIds
from anomalon.errors import ConfigError, EmptySelectionError, ModelFileError, NotFittedError
from anomalon.features.contract import Features
from anomalon.hashing import hash_events
from anomalon.models.discriminator import Discriminator, DiscriminatorSettings
from anomalon.models.probabilities import Method, ProbabilityMap
from anomalon.models.storage import new_folder, read_manifest, write_manifest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MANIFEST = "folds.json"
FEWEST = 20
"""Events of each class that a fold needs."""


@dataclass(frozen=True)
class Labelled:
    """Events of two classes.

    Attributes:
        features: shape (event, feature); present values are finite.
        labels: 0 background, 1 signal, shape (event,).
        weights: signed, shape (event,).
        fold: number of each event's fold from 0, shape (event,).
        n_folds: number of folds.
    """

    features: Features
    labels: Ints
    weights: Floats
    fold: Ints
    n_folds: int

    def __len__(self) -> int:
        return len(self.labels)

    def of_class(self, label: int, rows: npt.NDArray[np.bool_]) -> tuple[Features, Floats]:
        """Features and weights of the events of one class among some rows."""
        chosen = rows & (self.labels == label)
        return self.features[chosen], self.weights[chosen]

    def check(self) -> Self:
        """Return the sample itself.

        Raises:
            EmptySelectionError: a fold has too few events of a class.
        """
        for label, name in enumerate(("background", "signal")):
            counts = np.bincount(self.fold[self.labels == label], minlength=self.n_folds)
            if counts.min() < FEWEST:
                raise EmptySelectionError(
                    f"{name}: {int(counts.sum())} events, {int(counts.min())} in one of {len(counts)} folds; at least "
                    f"{FEWEST} per fold are needed: use more events, loosen the selection, or take fewer folds"
                )
        return self


def fold_of(ids: EventIds, folds: int, seed: int) -> Ints:
    """Fold of each event, from 0, shape (event,)."""
    hashes = hash_events(f"{seed}/folds", ids.names, ids.dataset, [ids.lumi, ids.event])
    return (hashes % np.uint64(folds)).astype(np.int64)


class FoldedDiscriminator:
    """One discriminator per fold, and the map from their scores to probabilities.

    Args:
        settings: of each discriminator.
        method: of the map.
    """

    def __init__(self, settings: DiscriminatorSettings, method: Method = "isotonic") -> None:
        self.settings, self.method = settings, method
        self.members: list[Discriminator] = []
        self.scales: list[ProbabilityMap] = []
        self.probability: ProbabilityMap | None = None

    @property
    def name(self) -> str:
        """Name in tables and files."""
        return self.settings.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the features that the classifiers see."""
        return self.members[0].inputs

    def fit(self, sample: Labelled, on_fold: Callable[[int, int], None] | None = None) -> Self:
        """Fit one discriminator per fold on all other folds, and the map on their held-out scores.

        Args:
            sample: events of both classes.
            on_fold: called with (folds done, folds in all).

        Raises:
            EmptySelectionError: a fold has too few events of a class.
            TrainingError: a class without weight, or a training that diverged.
        """
        sample.check()
        self.members, self.scales = [], []
        for fold in range(sample.n_folds):
            rows = sample.fold != fold
            (background, wb), (signal, ws) = (sample.of_class(label, rows) for label in (0, 1))
            made = Discriminator(self.settings)
            self.members.append(made.fit(background, signal, background_weights=wb, signal_weights=ws))
            seen = made.score_features(sample.features[rows])
            self.scales.append(ProbabilityMap.fit(seen, sample.labels[rows], sample.weights[rows], "platt"))
            if on_fold is not None:
                on_fold(fold + 1, sample.n_folds)
        self.probability = ProbabilityMap.fit(self.held_out(sample), sample.labels, sample.weights, self.method)
        return self

    def held_out(self, sample: Labelled) -> Floats:
        """Score (event,) of every training event by the discriminator that has not seen it."""
        return np.asarray(self._by_fold(sample, seen=False)[0])

    def trained(self, sample: Labelled) -> Floats:
        """Scores (fold, event) of the training events by those that have seen them; NaN by the one that has not."""
        return self._by_fold(sample, seen=True)

    def _by_fold(self, sample: Labelled, *, seen: bool) -> Floats:
        scores = np.full((len(self.members) if seen else 1, len(sample)), np.nan)
        for fold in range(len(self.members)):
            rows = (sample.fold != fold) if seen else (sample.fold == fold)
            scores[fold if seen else 0, rows] = self.score_of(fold, sample.features[rows])
        return scores

    def score_of(self, fold: int, features: Features) -> Floats:
        """Log odds (event,) of signal by the classifier that has not seen a fold."""
        return self.scales[fold].log_odds(self.members[fold].score_features(features))

    def score_features(self, features: Features) -> Floats:
        """Score (event,) of other events: the mean of the log odds of all folds."""
        return np.asarray(np.mean([self.score_of(fold, features) for fold in range(len(self.members))], axis=0))

    def predict(self, features: Features) -> Floats:
        """Calibrated probability (event,) that other events are signal, both classes being equally likely.

        Raises:
            NotFittedError: :meth:`fit` was not called.
        """
        if self.probability is None:
            raise NotFittedError(f"{self.name}: not fitted yet; call fit(labelled events) or load a saved classifier")
        return self.probability(self.score_features(features))

    def save(self, folder: Path) -> None:
        """Write into a new folder.

        Raises:
            OutputExistsError: the folder is already there.
            NotFittedError: there is nothing to save yet.
        """
        with new_folder(folder) as making:
            for fold, member in enumerate(self.members):
                member.save(making / f"fold-{fold + 1}")
            content = {"discriminator": self.settings.to_dict(), "method": self.method, "folds": len(self.members)}
            plain = None if self.probability is None else self.probability.model_dump(mode="json")
            scales = [scale.model_dump(mode="json") for scale in self.scales]
            write_manifest(making, MANIFEST, {**content, "scales": scales, "probability": plain})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; loading never runs code.

        Raises:
            ModelFileError: a file is missing, damaged or changed.
        """
        saved = read_manifest(folder, MANIFEST, ("discriminator", "method", "folds", "scales", "probability"))
        where = str(folder / MANIFEST)
        try:
            made = cls(DiscriminatorSettings.parse(saved["discriminator"], where=where), saved["method"])
            made.scales = [ProbabilityMap.parse(scale, where=where) for scale in saved["scales"]]
            made.probability = ProbabilityMap.parse(saved["probability"], where=where)
        except ConfigError as error:
            raise ModelFileError(f"saved classifier is damaged: {error}") from None
        made.members = [Discriminator.load(folder / f"fold-{fold + 1}") for fold in range(int(saved["folds"]))]
        return made
