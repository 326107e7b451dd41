"""The contracts: a Scorer says how unlike the background an event is, a Classifier tells classes apart.

Both see inputs that :mod:`anomalon.preprocessing` made: float32, shape (event, input).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.batches import ArrayBatches, Batches, as_batches
from anomalon.config import Settings
from anomalon.errors import ConfigError, ModelFileError, NotFittedError, TrainingError
from anomalon.models.storage import read_manifest, write_manifest

if TYPE_CHECKING:
    from anomalon.training import TrainingRecord, TrainingRun

Floats = npt.NDArray[np.float64]
Inputs = npt.NDArray[np.float32]


class ModelSettings(Settings):
    """Settings that every model has.

    Attributes:
        seed: of everything random in the model.
    """

    seed: int = Field(default=0, ge=0)

    @property
    def needs_events(self) -> bool:
        """Whether the model learns from events, and not from their features alone."""
        return False

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the model reads while it learns."""
        return frozenset()

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names or patterns of the features that the model sees unless it is told; None: all of them."""
        return None


class _Model(ABC):
    """What scorers and classifiers share: settings, the check of inputs, saving and loading."""

    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    kind: ClassVar[str]
    """Name in the registry."""
    minimum_events: ClassVar[int] = 20
    """Fewer training events than this teach nothing."""
    _manifest: ClassVar[str] = "model.json"

    def __init__(self, settings: ModelSettings | None = None) -> None:
        self.settings = settings or self.Settings()
        self.n_inputs = 0
        self.record: TrainingRecord | None = None

    @property
    def batch_size(self) -> int:
        """Batch size in which the model likes to learn."""
        return 4096

    def save(self, folder: Path) -> None:
        """Write the fitted model into a folder.

        Raises:
            NotFittedError: there is nothing to save yet.
        """
        self._require_fit()
        folder.mkdir(parents=True, exist_ok=True)
        state = self._save(folder)
        content = {"kind": self.kind, "settings": self.settings.model_dump(mode="json"), "n_inputs": self.n_inputs}
        write_manifest(folder, self._manifest, {**content, "state": state})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that :meth:`save` wrote; loading never runs code.

        Raises:
            ModelFileError: a file is damaged, changed, of another kind, or holds types that are not allowed.
        """
        manifest = read_manifest(folder, cls._manifest, ("kind", "settings", "n_inputs", "state"))
        if manifest["kind"] != cls.kind:
            raise ModelFileError(f"{folder}: holds a '{manifest['kind']}', expected a '{cls.kind}'")
        try:
            model = cls(cls.Settings.parse(manifest["settings"], where=f"{folder / cls._manifest}"))
            model.n_inputs = int(manifest["n_inputs"])
            model._load(folder, manifest["state"])
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"{folder}: saved model is damaged ({error})") from None
        return model

    def _prepare(self, data: Any) -> Batches:
        batches = as_batches(data, batch_size=self.batch_size, seed=self.settings.seed)
        if batches.n_events < self.minimum_events:
            raise TrainingError(
                f"{self.kind}: {batches.n_events} training events, at least {self.minimum_events} are needed; "
                "loosen the selection or read more events"
            )
        self.n_inputs = batches.n_inputs
        return batches

    def _require_fit(self) -> None:
        if not self.n_inputs:
            raise NotFittedError(f"{self.kind}: not fitted yet; call fit(training background) or load a saved model")

    def _check(self, x: npt.ArrayLike) -> Inputs:
        self._require_fit()
        inputs = np.ascontiguousarray(x, dtype=np.float32)
        if inputs.ndim != 2 or inputs.shape[1] != self.n_inputs:
            raise TrainingError(
                f"{self.kind}: inputs of shape {inputs.shape}, the model was fitted on (event, {self.n_inputs})"
            )
        return inputs

    @abstractmethod
    def _save(self, folder: Path) -> dict[str, Any]:
        """Write what was learned; return what fits into JSON."""

    @abstractmethod
    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what :meth:`_save` wrote and returned."""


class Scorer(_Model):
    """Learns the background; a score is higher for an event that is more anomalous.

    Subclasses name themselves with ``kind``, own a ``Settings``, and fill in ``_fit``, ``_score``, ``_save``, ``_load``
    and, where it makes sense, ``_explain`` and ``_encode``.
    """

    def fit(self, batches: Any, validation: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Learn from training background.

        Args:
            batches: batches, an array (event, input), or a pair (values, weights).
            validation: the same, for models that stop early.
            run: progress and checkpoints, for models that train in epochs.

        Raises:
            TrainingError: too few events, values that are not finite, or a training that diverged.
        """
        self._fit(self._prepare(batches), None if validation is None else self._wrap(validation), run)
        return self

    def score(self, x: npt.ArrayLike) -> Floats:
        """Anomaly scores (event,) of inputs (event, input).

        Raises:
            NotFittedError: the scorer was not fitted.
            TrainingError: the inputs have another shape than those of the training.
        """
        inputs = self._check(x)
        return self._score(inputs) if len(inputs) else np.zeros(0)

    def explain(self, x: npt.ArrayLike) -> Floats | None:
        """What each input adds to the score, (event, input); None where the scorer cannot say."""
        inputs = self._check(x)
        return self._explain(inputs) if len(inputs) else np.zeros(inputs.shape)

    def encode(self, x: npt.ArrayLike) -> Floats | None:
        """Code (event, code) of scorers that compress; None for the others."""
        return self._encode(self._check(x))

    def reconstruct(self, x: npt.ArrayLike) -> Inputs | None:
        """Inputs (event, input) as the scorer gives them back; None for scorers that do not reconstruct."""
        return self._reconstruct(self._check(x))

    def _wrap(self, data: Any) -> Batches:
        return as_batches(data, batch_size=self.batch_size, seed=self.settings.seed)

    @abstractmethod
    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        """Learn from at least ``minimum_events`` events."""

    @abstractmethod
    def _score(self, x: Inputs) -> Floats:
        """Scores of at least one event."""

    def _explain(self, x: Inputs) -> Floats | None:  # noqa: ARG002 - a hook
        return None

    def _encode(self, x: Inputs) -> Floats | None:  # noqa: ARG002 - a hook
        return None

    def _reconstruct(self, x: Inputs) -> Inputs | None:  # noqa: ARG002 - a hook
        return None


class Classifier(_Model):
    """Learns classes 0, 1, ... from labelled events."""

    accepts_missing: ClassVar[bool] = False
    """Whether inputs may be NaN where a value is missing."""

    def fit(self, batches: ArrayBatches) -> Self:
        """Learn from batches with labels; every class gets the same total of absolute weights.

        Raises:
            TrainingError: labels are missing, there is one class only, or there are too few events.
        """
        labels = batches.labels
        if labels is None or len(np.unique(labels)) < 2:
            raise TrainingError(f"{self.kind}: needs labels of at least two classes, such as background and signal")
        if not self.accepts_missing and np.isnan(batches.values).any():
            raise TrainingError(f"{self.kind}: cannot take missing inputs; set preprocessing.fill to a number")
        self._prepare(batches)
        self._fit(batches.values, np.abs(batches.weights) * _balance(labels, np.abs(batches.weights)), labels)
        return self

    def predict_proba(self, x: npt.ArrayLike) -> Floats:
        """Probabilities (event, class) of inputs (event, input)."""
        inputs = self._check(x)
        return self._predict_proba(inputs) if len(inputs) else np.zeros((0, 2))

    def score(self, x: npt.ArrayLike) -> Floats:
        """Log odds (event,) of class 1 against the rest; finer than the probability where that rounds to 1."""
        p = self.predict_proba(x)[:, 1]
        tiny = np.finfo(np.float64).tiny
        return np.asarray(np.log(np.maximum(p, tiny)) - np.log(np.maximum(1 - p, tiny)))

    @abstractmethod
    def _fit(self, x: Inputs, weights: Floats, labels: npt.NDArray[np.int64]) -> None:
        """Learn from inputs with balanced, positive weights."""

    @abstractmethod
    def _predict_proba(self, x: Inputs) -> Floats:
        """Probabilities of at least one event."""


def _balance(labels: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Factor per event that gives every class a total weight of the mean number of events per class."""
    sums = np.bincount(labels, weights=weights)
    if not (sums[np.unique(labels)] > 0).all():
        raise TrainingError(f"a class has no weight: sums of |weights| per class are {sums.tolist()}")
    wanted = len(labels) / len(np.unique(labels))
    return np.asarray(wanted / sums[labels])
