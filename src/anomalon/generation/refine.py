"""Refinement: generated events are kept in proportion to how real a classifier finds them, at the mask they have.

A classifier learns real events from generated ones of the same masks; an event is kept with probability
min(1, r / r_cap), r = p / (1 - p) the ratio of the densities, so that what is left comes closer to the real density.
Others weight events instead (DCTRGAN, arXiv:2009.03796). The classifier sees the ``refiner`` view of
:mod:`anomalon.generation.columns`, which a judge does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.batches import ArrayBatches
from anomalon.config import Settings
from anomalon.generation.columns import columns
from anomalon.generation.derived import derive
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.hashing import Hashes, splitmix64, uniforms
from anomalon.models.classifier import GradientBoosting, GradientBoostingSettings

_STREAM = np.uint64(0x5EF1AE5EF1AE5EF1)


class RefinementSettings(Settings):
    """How generated events are refined.

    Attributes:
        classifier: gradient-boosted trees.
        cap: quantile of the ratio of densities above which all events are kept: larger is more exact and slower.
    """

    classifier: GradientBoostingSettings = GradientBoostingSettings(trees=300, learning_rate=0.06, leaves=31)
    cap: float = Field(default=0.98, gt=0, lt=1)


class Refinement:
    """Keeps generated events that look real.

    Args:
        settings: how.
    """

    def __init__(self, settings: RefinementSettings) -> None:
        self.settings = settings
        self.classifier = GradientBoosting(settings.classifier)
        self.log_cap = 0.0
        self.efficiency = 1.0

    def fit(self, real: EventArrays, generated: EventArrays) -> Self:
        """Learn from real events and generated ones of the same masks.

        Raises:
            TrainingError: too few events.
        """
        values = np.concatenate([_columns(generated), _columns(real)])
        labels = np.r_[np.zeros(len(generated)), np.ones(len(real))]
        self.classifier.fit(ArrayBatches(values, labels=labels))
        ratio = self.classifier.score(_columns(generated))
        self.log_cap = float(np.quantile(ratio, self.settings.cap))
        self.efficiency = float(np.exp(np.minimum(ratio - self.log_cap, 0.0)).mean())
        return self

    def keeps(self, generated: EventArrays, keys: Hashes) -> npt.NDArray[np.bool_]:
        """Whether events are kept, shape (event,); chance follows from their keys."""
        chance = np.exp(np.minimum(self.classifier.score(_columns(generated)) - self.log_cap, 0.0))
        return np.asarray(uniforms(splitmix64(keys ^ _STREAM)) < chance)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the classifier into a folder; return what fits into JSON."""
        self.classifier.save(folder)
        return {"log_cap": self.log_cap, "efficiency": self.efficiency}

    @classmethod
    def load(cls, folder: Path, settings: RefinementSettings, state: dict[str, Any]) -> Self:
        """Read what :meth:`save` wrote and returned.

        Raises:
            ModelFileError: a file is damaged or holds types that are not allowed.
        """
        made = cls(settings)
        made.classifier = GradientBoosting.load(folder)
        made.log_cap, made.efficiency = float(state["log_cap"]), float(state["efficiency"])
        return made


def _columns(arrays: EventArrays) -> npt.NDArray[np.float32]:
    values: Floats = columns(arrays, derive(arrays), "refiner").values
    return values.astype(np.float32)
