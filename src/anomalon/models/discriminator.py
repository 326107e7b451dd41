"""A Discriminator: preprocessing + classifier, taught one signal; the supervised bound beside the detectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import SerializeAsAny

from anomalon.batches import ArrayBatches
from anomalon.config import Settings
from anomalon.errors import ConfigError, ModelFileError, suggest
from anomalon.features.contract import Features
from anomalon.models.classifier_presets import CLASSIFIER_PRESETS, with_classifier_preset
from anomalon.models.contract import ModelSettings
from anomalon.models.registry import classifier_names, get_classifier, load_classifier
from anomalon.models.selected import refuse_unknown, usable
from anomalon.models.storage import new_folder, read_manifest, write_manifest
from anomalon.preprocessing import Preprocessing, PreprocessingSettings

Floats = npt.NDArray[np.float64]

_MANIFEST = "discriminator.json"
_OWN_KEYS = ("name", "kind", "preprocessing")


class DiscriminatorSettings(Settings):
    """What a discriminator is made of.

    Attributes:
        name: in tables and files.
        kind: name of a registered classifier, or of a preset.
        preprocessing: of the features; by default values stay in their own units and missing ones stay missing.
        classifier: settings of the classifier, of its own class.
    """

    name: str = "supervised"
    kind: str
    preprocessing: PreprocessingSettings = PreprocessingSettings(mode="raw", fill=None)
    classifier: SerializeAsAny[ModelSettings]

    @classmethod
    def parse(cls, values: Any, where: str = "supervised") -> Self:
        """Resolve a flat fragment such as ``{kind: gradient-boosting, trees: 100}``.

        Raises:
            ConfigError: a key or name is unknown (the message suggests near ones), or a value is impossible.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} = {values!r}: expected a mapping such as {{kind: gradient-boosting}}")
        flat = with_classifier_preset({"kind": "gradient-boosting", **values})
        own = {key: flat.pop(key) for key in _OWN_KEYS if key in flat}
        if own["kind"] not in classifier_names():
            names = (*classifier_names(), *CLASSIFIER_PRESETS)
            raise ConfigError(f"{where}: no classifier '{own['kind']}'; {suggest(str(own['kind']), names)}")
        classifier = get_classifier(own["kind"])
        refuse_unknown(flat, [*classifier.Settings.model_fields], own_keys=_OWN_KEYS, where=where)
        if "preprocessing" in own:
            own["preprocessing"] = PreprocessingSettings.parse(own["preprocessing"], f"{where}: preprocessing")
        return super().parse({**own, "classifier": classifier.Settings.parse(flat, where)}, where)

    def to_dict(self) -> dict[str, Any]:
        """The flat fragment with every default written out; :meth:`parse` gives the same settings back."""
        plain = self.model_dump(mode="json")
        classifier = plain.pop("classifier")
        return {**plain, **classifier}


class Discriminator:
    """Learns background against one signal; scores are log odds of the signal.

    Args:
        settings: what it is made of.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        self.settings = settings
        self.preprocessing = Preprocessing(settings.preprocessing)
        self.classifier = get_classifier(settings.kind)(settings.classifier)

    @property
    def name(self) -> str:
        """Name in tables and files."""
        return self.settings.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the features that the classifier sees."""
        return self.preprocessing.names

    def fit(
        self,
        background: Features,
        signal: Features,
        *,
        background_weights: npt.ArrayLike | None = None,
        signal_weights: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from training events of both classes; events with an input that is not finite are left out.

        Raises:
            TrainingError: too few events, or a class without weight.
        """
        b, wb, _ = usable(self.preprocessing.select(background), background_weights)
        s, ws, _ = usable(signal.select(b.names), signal_weights)
        self.preprocessing.fit(b, wb)
        values = np.concatenate([self.preprocessing.transform(b), self.preprocessing.transform(s)])
        labels = np.r_[np.zeros(len(b)), np.ones(len(s))]
        self.classifier.fit(ArrayBatches(values, np.r_[wb, ws], labels=labels))
        return self

    def score_features(self, features: Features) -> Floats:
        """Log odds (event,) of the signal; NaN where an input is not finite."""
        chosen = features.select(self.inputs)
        keep = chosen.usable()
        scores = np.full(len(features), np.nan)
        scores[keep] = self.classifier.score(self.preprocessing.transform(chosen[keep]))
        return scores

    def save(self, folder: Path) -> None:
        """Write into a new folder: beside it first, then renamed.

        Raises:
            OutputExistsError: the folder is already there.
            NotFittedError: there is nothing to save yet.
        """
        content = {"discriminator": self.settings.to_dict(), "preprocessing": self.preprocessing.to_dict()}
        with new_folder(folder) as making:
            self.classifier.save(making / "classifier")
            write_manifest(making, _MANIFEST, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved discriminator; loading never runs code.

        Raises:
            ModelFileError: a file is missing, damaged or changed, or holds types that are not allowed.
        """
        saved = read_manifest(folder, _MANIFEST, ("discriminator", "preprocessing"))
        try:
            made = cls(DiscriminatorSettings.parse(saved["discriminator"], where=str(folder / _MANIFEST)))
        except ConfigError as error:
            raise ModelFileError(f"saved discriminator is damaged: {error}") from None
        made.preprocessing = Preprocessing.from_dict(saved["preprocessing"])
        made.classifier = load_classifier(folder / "classifier")
        if made.classifier.kind != made.settings.kind or made.classifier.n_inputs != len(made.inputs):
            raise ModelFileError(f"{folder}: the classifier does not belong to this discriminator")
        return made
