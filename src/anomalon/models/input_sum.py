"""The sum of the inputs as the score, such as L_T + MET: all the energy that is seen to move across the beam."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anomalon.batches import Batches
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun


class InputSum(Scorer):
    """Sum of the inputs; nothing is learned."""

    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    kind = "input-sum"

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        """Nothing to learn: the batches were checked."""

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(x.sum(axis=1, dtype=np.float64))

    def _explain(self, x: Inputs) -> Floats:
        return x.astype(np.float64)

    def _save(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        """Nothing was learned."""
