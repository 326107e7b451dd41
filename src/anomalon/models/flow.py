"""Normalising flow: what is improbable under the density of the background is anomalous.

A density is not invariant: of log(1 + x) it is that of x times (1 + x), and another event is the least probable. So
the measure is a setting. In GeV, the default, the falling tails of energies are improbable, which is where searches
look; in the logarithm they are not nearly so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn

from anomalon.features.contract import Features
from anomalon.models.contract import Floats, ModelSettings
from anomalon.models.network_scorer import FeatureNetworkScorer
from anomalon.networks.computing import in_blocks
from anomalon.networks.flow import ConditionalFlow
from anomalon.preprocessing import LOGARITHMIC, PreprocessingSettings
from anomalon.training import Loss, TrainingSettings

Bits = npt.NDArray[np.uint8]


class FlowSettings(ModelSettings):
    """Shape and training of a flow.

    Attributes:
        transforms: number of autoregressive transforms.
        hidden: widths of the hidden layers of each.
        bins: of rational-quadratic splines within five standard deviations; 0 makes affine transforms, with which the
            first feature is a Gaussian in the flow's own inputs, and every other one given those before it.
        log: names or patterns of the features of which the flow sees log(1 + x).
        measure: of the density: ``gev``, the features in their own units; ``log``, with log(1 + x) where the flow sees
            it; ``standardised``, the flow's own inputs, of mean 0 and width 1.
        training: the training loop.
    """

    transforms: int = Field(default=2, ge=1, le=20)
    hidden: tuple[int, ...] = (64, 64)
    bins: int = Field(default=8, ge=0, le=64)
    log: tuple[str, ...] = LOGARITHMIC
    measure: Literal["gev", "log", "standardised"] = "gev"
    training: TrainingSettings = TrainingSettings(epochs=60, learning_rate=2e-3, patience=8, gradient_clip=5.0)


class Flow(FeatureNetworkScorer):
    """Minus the log density of an autoregressive flow, times the frequency of what is missing.

    Which features are present is a table of frequencies; their values follow given that. So objects that an event does
    not have are no values, and their number counts.
    """

    Settings: ClassVar[type[ModelSettings]] = FlowSettings
    kind = "flow"
    settings: FlowSettings

    def _preprocessing(self) -> PreprocessingSettings:
        return PreprocessingSettings(log=self.settings.log)

    def _look(self, features: Features, weights: Floats) -> None:
        self.patterns = _frequencies(features, weights)
        self.unseen = 0.5 / len(weights)

    def _loss(self) -> Loss:
        return _minus_log_density

    def _build(self) -> ConditionalFlow:
        s = self.settings
        return ConditionalFlow(self.n_inputs, transforms=s.transforms, hidden=s.hidden, bins=s.bins)

    def _score_features(self, features: Features) -> Floats:
        known = np.array([self.patterns.get(name, self.unseen) for name in _names_of(features)])
        return np.asarray(self._explain_features(features).sum(axis=1) - np.log(known))

    def _explain_features(self, features: Features) -> Floats:
        """Minus the log density of each feature, given those before it: the score, but for what is missing."""
        terms = np.concatenate(
            in_blocks(self.network, lambda block: _terms(self.network, block).numpy(), self._inputs(features))
        )
        return np.asarray(-terms - self._stretch(features))

    def _stretch(self, features: Features) -> Floats:
        """What the measure adds to the log density of each feature, (event, feature)."""
        if self.settings.measure == "standardised":
            return np.zeros(features.values.shape)
        return self.preprocessing.log_slopes(features, of_logarithms=self.settings.measure == "gev")

    def _save_learned(self, folder: Path) -> dict[str, Any]:
        return {**super()._save_learned(folder), "patterns": self.patterns, "unseen": self.unseen}

    def _load_learned(self, folder: Path, state: dict[str, Any]) -> None:
        self.patterns = {str(name): float(share) for name, share in state["patterns"].items()}
        self.unseen = float(state["unseen"])
        super()._load_learned(folder, state)


def _terms(network: nn.Module, x: Tensor) -> Tensor:
    values, present = x.chunk(2, dim=1)
    terms: Tensor = network(values, present)
    return terms


def _minus_log_density(network: nn.Module, x: Tensor) -> Tensor:
    return -_terms(network, x).sum(dim=1).float()


def _names_of(features: Features) -> list[str]:
    """What is present in each event, as text."""
    bits: Bits = np.packbits(features.mask, axis=1)
    return [row.tobytes().hex() for row in bits]


def _frequencies(features: Features, weights: Floats) -> dict[str, float]:
    """Share of the background with each pattern of what is present."""
    names, place = np.unique(_names_of(features), return_inverse=True)
    shares = np.bincount(place, np.abs(weights)) / np.abs(weights).sum()
    return {str(name): float(share) for name, share in zip(names, shares, strict=True)}
