"""A Detector: feature set + preprocessing + scorer + threshold, the unit that is saved, scored and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializeAsAny

from anomalon import features as feature_sets
from anomalon.config import Settings
from anomalon.errors import ConfigError, ModelFileError, NotFittedError, suggest
from anomalon.events import Events
from anomalon.features.contract import Features, FeatureSet
from anomalon.models.contract import ModelSettings
from anomalon.models.feature_scorer import FeatureScorer
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.models.presets import FEATURES, PRESETS, with_preset
from anomalon.models.registry import get_scorer, load_scorer, scorer_names
from anomalon.models.selected import refuse_unknown, usable
from anomalon.models.storage import new_folder, read_manifest, write_manifest
from anomalon.models.training_inputs import InputShift, TrainingInputs
from anomalon.models.training_rows import TrainingRows
from anomalon.preprocessing import Preprocessing, PreprocessingSettings
from anomalon.streaming import BlockBatches, Blocks, FeatureBlocks

if TYPE_CHECKING:
    from anomalon.training import TrainingRecord, TrainingRun

Floats = npt.NDArray[np.float64]

_MANIFEST = "detector.json"
_OWN_KEYS = ("name", "kind", "features", "feature_settings", "preprocessing", "compare")


def detector_names() -> tuple[str, ...]:
    """Names that a configuration may give as ``kind``: presets and registered scorers."""
    return tuple(sorted({*PRESETS, *scorer_names()}))


class DetectorSettings(Settings):
    """What a detector is made of.

    Attributes:
        name: of the detector in tables and files.
        kind: name of a registered scorer.
        features: name of the feature set.
        feature_settings: of the feature set, such as its selection.
        preprocessing: of the features.
        compare: how a reconstruction is compared with its event: ``inputs`` as the scorer sees and defines it, or
            ``energies``, the mean squared difference with logarithms undone (in units of the background's spread): a
            network learns logarithms better, but new heavy physics lives in the upper tails that they compress.
        scorer: settings of the scorer, of its own class.

    >>> DetectorSettings.parse({"kind": "kmeans", "clusters": 3}).scorer.clusters
    3
    """

    name: str
    kind: str
    features: str = FEATURES
    feature_settings: dict[str, Any] = Field(default_factory=dict)
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    compare: Literal["inputs", "energies"] = "inputs"
    scorer: SerializeAsAny[ModelSettings]

    @classmethod
    def parse(cls, values: Any, where: str = "detector") -> Self:
        """Resolve a flat fragment such as ``{kind: autoencoder, code: 4, training: {epochs: 50}}``.

        ``kind`` may be a preset; ``inputs`` is short for ``preprocessing: {inputs: ...}``; all keys but ``name``,
        ``kind``, ``features``, ``inputs`` and ``preprocessing`` are the scorer's own settings.

        Raises:
            ConfigError: a key or name is unknown (the message suggests near ones), or a value is impossible.
        """
        flat = with_preset(_shortcuts(values, where))
        own = {key: flat.pop(key) for key in _OWN_KEYS if key in flat}
        if own["kind"] not in scorer_names():
            raise ConfigError(f"{where}: no detector '{own['kind']}'; {suggest(str(own['kind']), detector_names())}")
        scorer = get_scorer(own["kind"])
        refuse_unknown(flat, [*scorer.Settings.model_fields], own_keys=(*_OWN_KEYS, "inputs"), where=where)
        settings = scorer.Settings.parse(flat, where)
        seen = {"inputs": settings.columns, **own.get("preprocessing", {})}
        own["preprocessing"] = PreprocessingSettings.parse(seen, f"{where}: preprocessing")
        return super().parse({**own, "scorer": settings}, where)

    def to_dict(self) -> dict[str, Any]:
        """The flat fragment with every default written out; :meth:`parse` gives the same settings back."""
        plain = self.model_dump(mode="json")
        scorer = plain.pop("scorer")
        return {**plain, **scorer}

    def feature_set(self) -> FeatureSet:
        """What the detector sees of events."""
        return feature_sets.get(self.features, **self.feature_settings)

    @property
    def needs_events(self) -> bool:
        """Whether it learns from events (:meth:`Detector.fit_blocks`), and not from their features alone."""
        return self.scorer.needs_events

    def seeded(self, seed: int) -> Self:
        """The same with another seed."""
        return self.model_copy(update={"scorer": self.scorer.model_copy(update={"seed": seed})})


class Detector:
    """Learns training background, and scores events; higher is more anomalous.

    Args:
        settings: what it is made of.

    Attributes:
        threshold: score above which an event is flagged; set by who knows the background validation scores.
        dropped: values that were not finite among the training events, per input; those events were left out.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self.settings = settings
        self.preprocessing = Preprocessing(settings.preprocessing)
        self.scorer = get_scorer(settings.kind)(settings.scorer)
        self.threshold: float | None = None
        self.dropped: dict[str, int] = {}
        self._seen: TrainingInputs | None = None

    @property
    def name(self) -> str:
        """Name in tables and files."""
        return self.settings.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the features that the scorer sees."""
        return self.preprocessing.names

    @property
    def record(self) -> TrainingRecord | None:
        """Losses and learning rates of the training, for scorers that train in epochs."""
        return self.scorer.record

    def fit(
        self,
        features: Features,
        weights: npt.ArrayLike | None = None,
        *,
        validation: Features | None = None,
        validation_weights: npt.ArrayLike | None = None,
        run: TrainingRun | None = None,
    ) -> Self:
        """Learn from training background; validation background stops networks early.

        Events with an input that is not finite are left out and counted in :attr:`dropped`.

        Raises:
            TrainingError: too few events, or a training that diverged.
            ConfigError: an input is not among the features.
        """
        checked = None if validation is None else FeatureBlocks(validation, validation_weights)
        return self.fit_blocks(FeatureBlocks(features, weights), checked, run=run)

    def fit_blocks(self, blocks: Blocks, validation: Blocks | None = None, *, run: TrainingRun | None = None) -> Self:
        """Learn from training background block by block; features that are not in memory are computed in every epoch.

        One pass over the events fits the preprocessing and counts those that are left out.

        Raises:
            TrainingError: as :meth:`fit`.
            ConfigError: as :meth:`fit`.
        """
        rows = TrainingRows(blocks, self.preprocessing.select, f"detector '{self.name}'")
        self.preprocessing.fit_blocks(rows)
        self._seen, self.dropped = TrainingInputs.of(*rows.sample()), dict(rows.dropped)
        others = None if validation is None else TrainingRows(validation, self.preprocessing.select, self.name)
        if others is not None and not others.look():
            others = None
        if isinstance(self.scorer, FeatureScorer):
            checked = None if others is None else KeptBlocks(others.blocks, others.kept, self.inputs)
            self.scorer.fit_blocks(KeptBlocks(blocks, rows.kept, self.inputs), checked, run=run)
        else:
            stopping = None if others is None else self._batches(others.blocks, others.kept, shuffle=False)
            self.scorer.fit(self._batches(blocks, rows.kept), stopping, run=run)
        return self

    def _batches(self, blocks: Blocks, kept: Sequence[npt.NDArray[np.bool_]], *, shuffle: bool = True) -> Any:
        """What the scorer learns from: arrays where the features are in memory as one block, otherwise a stream."""
        if isinstance(blocks, FeatureBlocks) and len(blocks.sizes) == 1:
            features, weights = blocks.features[np.concatenate(kept)], blocks.weights[np.concatenate(kept)]
            return self.preprocessing.transform(features), weights
        return BlockBatches(
            blocks,
            self.preprocessing.transform,
            kept=kept,
            batch_size=self.scorer.batch_size,
            seed=self.scorer.settings.seed,
            shuffle=shuffle,
        )

    def score_blocks(self, blocks: Blocks) -> Floats:
        """Scores (event,) of all rows of blocks; NaN where an input is not finite."""
        parts = [self.score_features(blocks.block(i)[0]) for i in range(len(blocks.sizes))]
        return np.concatenate([*parts, np.zeros(0)])

    def score_features(self, features: Features) -> Floats:
        """Scores (event,); NaN where an input is not finite."""
        chosen, kept = self._usable_of(features)
        scores = np.full(len(features), np.nan)
        if isinstance(self.scorer, FeatureScorer):
            scores[kept] = self.scorer.score_features(chosen)
            return scores
        inputs = self.preprocessing.transform(chosen)
        errors = self._energy_errors(inputs)
        scores[kept] = self.scorer.score(inputs) if errors is None else errors.sum(axis=1)
        return scores

    def score(self, events: Events) -> Floats:
        """Scores (event,) of events; NaN where an input is not finite."""
        return self.score_features(self.settings.feature_set().transform(events))

    def explain(self, features: Features) -> Floats | None:
        """What each input adds to the score, (event, input), NaN where not finite; None where the scorer cannot say."""
        chosen, kept = self._usable_of(features)
        if isinstance(self.scorer, FeatureScorer):
            return _spread(self.scorer.explain_features(chosen), kept)
        inputs = self.preprocessing.transform(chosen)
        errors = self._energy_errors(inputs)
        return _spread(self.scorer.explain(inputs) if errors is None else errors, kept)

    def _energy_errors(self, inputs: npt.NDArray[np.float32]) -> Floats | None:
        """What each input adds to the score where energies are compared, (event, input)."""
        reconstructed = self.scorer.reconstruct(inputs) if self.settings.compare == "energies" else None
        if reconstructed is None:
            return None
        # A decoder that extrapolates beyond all it was shown would blame an input for a value that nobody measured.
        plausible = self.preprocessing.within_training(reconstructed)
        before, after = (self.preprocessing.without_logarithms(x) for x in (inputs, plausible))
        errors: Floats = (before - after) ** 2 / max(inputs.shape[1], 1)
        return errors

    def encode(self, features: Features) -> Floats | None:
        """Code (event, code), NaN where an input is not finite; None for scorers without a code."""
        chosen, kept = self._usable_of(features)
        return _spread(self.scorer.encode(self.preprocessing.transform(chosen)), kept)

    def compare_inputs(self, features: Features, weights: npt.ArrayLike | None = None) -> list[InputShift]:
        """How far each input is from the training background, the most different first."""
        if self._seen is None:
            raise NotFittedError(f"detector '{self.name}': not fitted yet")
        kept, w, _ = usable(features.select(self.inputs), weights)
        return self._seen.compare(kept, w)

    def save(self, folder: Path) -> None:
        """Write the detector into a new folder: beside it first, then renamed.

        Raises:
            OutputExistsError: the folder is already there.
            NotFittedError: there is nothing to save yet.
        """
        if self._seen is None:
            raise NotFittedError(f"detector '{self.name}': not fitted yet")
        content = {
            "detector": self.settings.to_dict(),
            "threshold": self.threshold,
            "dropped": self.dropped,
            "preprocessing": self.preprocessing.to_dict(),
            "training_inputs": self._seen.model_dump(mode="json"),
        }
        with new_folder(folder) as making:
            self.scorer.save(making / "scorer")
            write_manifest(making, _MANIFEST, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved detector; loading never runs code.

        Raises:
            ModelFileError: a file is missing, damaged or changed, or holds types that are not allowed.
        """
        required = ("detector", "threshold", "dropped", "preprocessing", "training_inputs")
        saved = read_manifest(folder, _MANIFEST, required)
        try:
            detector = cls(DetectorSettings.parse(saved["detector"], where=str(folder / _MANIFEST)))
            detector._seen = TrainingInputs.parse(saved["training_inputs"], where=str(folder / _MANIFEST))
            detector.threshold = None if saved["threshold"] is None else float(saved["threshold"])
            detector.dropped = {str(name): int(n) for name, n in saved["dropped"].items()}
        except (ConfigError, TypeError, AttributeError) as error:
            raise ModelFileError(f"saved detector is damaged: {error}") from None
        detector.preprocessing = Preprocessing.from_dict(saved["preprocessing"])
        detector.scorer = load_scorer(folder / "scorer")
        if detector.scorer.kind != detector.settings.kind or detector.scorer.n_inputs != len(detector.inputs):
            raise ModelFileError(f"{folder}: the scorer does not belong to this detector")
        return detector

    def _usable_of(self, features: Features) -> tuple[Features, npt.NDArray[np.bool_]]:
        chosen = features.select(self.inputs)
        kept = chosen.usable()
        return chosen if kept.all() else chosen[kept], kept


def _shortcuts(values: Any, where: str) -> dict[str, Any]:
    """Move ``inputs`` to where it belongs; a string alone is a ``kind``."""
    if isinstance(values, str):
        return {"kind": values}
    if not isinstance(values, Mapping) or "kind" not in values:
        raise ConfigError(f"{where}: give a mapping with kind: one of {', '.join(detector_names())}")
    flat = dict(values)
    if "inputs" in flat:
        inputs, preprocessing = flat.pop("inputs"), flat.get("preprocessing", {})
        if not isinstance(preprocessing, Mapping):
            raise ConfigError(f"{where}: preprocessing = {preprocessing!r}: expected a mapping")
        flat["preprocessing"] = {**preprocessing, "inputs": inputs}
    return flat


def _spread(values: Floats | None, kept: npt.NDArray[np.bool_]) -> Floats | None:
    """Put the rows of usable events back among all events; the others are NaN."""
    if values is None:
        return None
    full = np.full((len(kept), values.shape[1]), np.nan)
    full[kept] = values
    return full
