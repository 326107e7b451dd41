"""What detectors and discriminators share: the choice of usable events, and one flat list of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError, TrainingError, suggest
from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]


def usable(features: Features, weights: npt.ArrayLike | None) -> tuple[Features, Floats, dict[str, int]]:
    """Events whose inputs are finite, their weights, and the number of values per input that were not.

    Raises:
        TrainingError: there are not as many weights as events.
    """
    w = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(features),):
        raise TrainingError(f"weights of shape {w.shape} do not belong to {len(features)} events")
    keep = features.usable()
    return features[keep], w[keep], features.not_finite()


def refuse_unknown(flat: Mapping[str, Any], fields: Sequence[str], *, own_keys: Sequence[str], where: str) -> None:
    """Refuse keys that the model does not know; suggestions look at its own keys and those around it.

    Raises:
        ConfigError: a key is unknown.
    """
    for key in flat:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{key}'; {suggest(str(key), [*fields, *own_keys])}")
