"""What scorers with one network share: weights drawn from the seed, the training, saving and loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from anomalon.batches import Batches
from anomalon.features.contract import Features
from anomalon.models.contract import Floats, Scorer
from anomalon.models.feature_scorer import FeatureScorer
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.models.storage import load_network, save_network
from anomalon.preprocessing import Preprocessing, PreprocessingSettings
from anomalon.training import Loss, TrainingRecord, TrainingRun, train

NETWORK = "network.safetensors"


class _OneNetwork(ABC):
    """A network that ``settings.training`` trains; subclasses build it and name its loss."""

    settings: Any
    network: Any
    record: TrainingRecord | None

    @property
    def batch_size(self) -> int:
        """Batch size of the training."""
        size: int = self.settings.training.batch_size
        return size

    @abstractmethod
    def _build(self) -> Any:
        """Make the network, with weights from torch's random stream."""

    @abstractmethod
    def _loss(self) -> Loss:
        """What training minimises, per event."""

    def _train(self, batches: Any, validation: Any, run: TrainingRun | None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.network = self._build()
        settings = self.settings.training.model_copy(update={"seed": self.settings.seed})
        self.record = train(
            self.network, self._loss(), batches=batches, validation=validation, settings=settings, run=run
        )

    def _save_network(self, folder: Path) -> dict[str, Any]:
        save_network(self.network, folder / NETWORK)
        return {"record": None if self.record is None else self.record.to_dict()}

    def _load_network(self, folder: Path, state: dict[str, Any]) -> None:
        self.network = self._build()
        load_network(self.network, folder / NETWORK)
        self.network.eval()
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])


class NetworkScorer(_OneNetwork, Scorer):
    """Scorer of inputs with one network."""

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        self._train(batches, validation, run)

    def _save(self, folder: Path) -> dict[str, Any]:
        return self._save_network(folder)

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self._load_network(folder, state)


class FeatureNetworkScorer(_OneNetwork, FeatureScorer):
    """Scorer of features with one network, which sees standardised values and whether they are present."""

    preprocessing: Preprocessing

    @abstractmethod
    def _preprocessing(self) -> PreprocessingSettings:
        """How the network sees features."""

    def _look(self, features: Features, weights: Floats) -> None:
        """Learn what the network does not; a hook."""

    def _fit_blocks(self, blocks: KeptBlocks, validation: KeptBlocks | None, run: TrainingRun | None) -> None:
        features, weights = blocks.gathered()
        self.preprocessing = Preprocessing(self._preprocessing()).fit(features, weights)
        self._look(features, weights)
        checked = None if validation is None else validation.gathered()
        held_out = None if checked is None else (self._inputs(checked[0]), checked[1])
        self._train((self._inputs(features), weights), held_out, run)

    def _inputs(self, features: Features) -> npt.NDArray[np.float32]:
        """Standardised values, 0 where missing, and then whether they are present: (event, twice the features)."""
        return np.concatenate([self.preprocessing.transform(features), features.mask], axis=1, dtype=np.float32)

    def _save_learned(self, folder: Path) -> dict[str, Any]:
        return {**self._save_network(folder), "preprocessing": self.preprocessing.to_dict()}

    def _load_learned(self, folder: Path, state: dict[str, Any]) -> None:
        self.preprocessing = Preprocessing.from_dict(state["preprocessing"])
        self._load_network(folder, state)
