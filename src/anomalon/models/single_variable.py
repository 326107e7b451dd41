"""One variable as a score: the baseline that every detector has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from anomalon.batches import Batches
from anomalon.errors import ConfigError
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun


class SingleVariableSettings(ModelSettings):
    """One variable.

    Attributes:
        direction: which end of the variable is called anomalous.
    """

    direction: Literal["high", "low"] = "high"


class SingleVariable(Scorer):
    """The value of the only input, or minus the value."""

    Settings: ClassVar[type[ModelSettings]] = SingleVariableSettings
    kind = "single-variable"
    minimum_events = 1
    settings: SingleVariableSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        if batches.n_inputs != 1:
            raise ConfigError(f"single-variable: {batches.n_inputs} inputs, give exactly one, such as inputs: [MET_pt]")

    def _score(self, x: Inputs) -> Floats:
        sign = 1.0 if self.settings.direction == "high" else -1.0
        return sign * x[:, 0].astype(np.float64)

    def _explain(self, x: Inputs) -> Floats:
        return self._score(x)[:, None]

    def _save(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        """Nothing was learned."""
