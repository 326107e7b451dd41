"""The contract of calibrations: learn from two unpaired samples what turns the one's detector into the other's.

``fit(source, target)``, then ``transform(events)``: events of the same number and order, in which a named degree of
freedom has moved and everything that depends on it is rebuilt, or which carry a weight. Source and target are different
events of the same process. What a calibration did stands in the provenance of the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, InvalidEventsError, ModelFileError, NotFittedError
from anomalon.events import Events, fill_factors
from anomalon.models.storage import read_manifest, write_manifest
from anomalon.style.objects import Chosen, Freedom, Values, require_objects

RECORD = "calibrations"
"""Key of the samples' provenance: what was done, in order."""
FACTOR = "style"
"""Named per-event factor of the weight that calibrations multiply."""
MINIMUM_OBJECTS = 200
"""Fewer objects than this in either sample teach nothing."""


class CalibratorSettings(Settings):
    """Settings that every calibration has.

    Attributes:
        freedom: what is moved, and the cuts of the target.
        seed: of everything random.
    """

    freedom: Freedom = Freedom()
    seed: int = Field(default=0, ge=0)


class Calibrator(ABC):
    """Learns from unpaired samples; subclasses have a ``kind``, a ``Settings``, and fill in four methods."""

    Settings: ClassVar[type[CalibratorSettings]] = CalibratorSettings
    kind: ClassVar[str]
    """Name in the registry."""
    _manifest: ClassVar[str] = "calibrator.json"

    def __init__(self, settings: CalibratorSettings | None = None) -> None:
        self.settings = settings or self.Settings()
        self.fitted = False

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return self.settings.freedom.requires

    def fit(self, source: Events, target: Events) -> Self:
        """Learn what turns the source into the target.

        Args:
            source: simulated events, behind no tighter cuts than the target's.
            target: other events of the same process, as the other detector sees them, behind its cuts.

        Raises:
            MissingFieldError: one of them lacks a collection or column that is read.
            EmptySelectionError: one of them has too few objects of the type.
        """
        for name, events in (("source", source), ("target", target)):
            events.require(sorted(self.requires), f"{self.kind}, {name}")
        found = [Chosen.read(events, self.settings.freedom.objects) for events in (source, target)]
        require_objects(found[0], found[1], self.settings.freedom.objects, MINIMUM_OBJECTS)
        self._fit(source, target)
        self.fitted = True
        return self

    def transform(self, events: Events) -> Events:
        """Events as the target's detector would see them; the cuts of the target are still to be applied.

        Raises:
            NotFittedError: nothing was learned yet.
            MissingFieldError: the events lack a collection or column.
        """
        if not self.fitted:
            raise NotFittedError(f"{self.kind}: not fitted yet; call fit(source, target) or load a saved calibration")
        events.require(sorted(self.requires), self.kind)
        return self._recorded(self._transform(events)) if len(events) else events

    def save(self, folder: Path) -> None:
        """Write the fitted calibration into a folder.

        Raises:
            NotFittedError: there is nothing to save yet.
        """
        if not self.fitted:
            raise NotFittedError(f"{self.kind}: not fitted yet; call fit(source, target) before saving")
        folder.mkdir(parents=True, exist_ok=True)
        state = self._save(folder)
        content = {"kind": self.kind, "settings": self.settings.model_dump(mode="json"), "state": state}
        write_manifest(folder, self._manifest, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a calibration that :meth:`save` wrote; loading never runs code.

        Raises:
            ModelFileError: a file is damaged, changed, or of another kind.
        """
        manifest = read_manifest(folder, cls._manifest, ("kind", "settings", "state"))
        if manifest["kind"] != cls.kind:
            raise ModelFileError(f"{folder}: holds a '{manifest['kind']}', expected a '{cls.kind}'")
        try:
            calibrator = cls(cls.Settings.parse(manifest["settings"], where=f"{folder / cls._manifest}"))
            calibrator._load(folder, manifest["state"])
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"{folder}: saved calibration is damaged ({error})") from None
        calibrator.fitted = True
        return calibrator

    def summary(self) -> dict[str, Any]:
        """What was learned, as plain data; empty where it has no short form."""
        return {}

    def _recorded(self, events: Events) -> Events:
        step = {"kind": self.kind, "settings": self.settings.model_dump(mode="json"), **self.summary()}
        samples = [
            s.model_copy(update={"provenance": {**s.provenance, RECORD: [*s.provenance.get(RECORD, ()), step]}})
            for s in events.samples
        ]
        return Events(events.array, samples)

    @abstractmethod
    def _fit(self, source: Events, target: Events) -> None:
        """Learn from samples that have enough objects."""

    @abstractmethod
    def _transform(self, events: Events) -> Events:
        """Change at least one event."""

    @abstractmethod
    def _save(self, folder: Path) -> dict[str, Any]:
        """Write what was learned; return what fits into JSON."""

    @abstractmethod
    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what :meth:`_save` wrote and returned."""


def with_factor(events: Events, factor: Values) -> Events:
    """Events whose weight is multiplied by a factor, shape (event,); it is the named factor ``style``.

    Raises:
        InvalidEventsError: some of the events are collision data, whose weight is always 1.
    """
    if events.is_data().any():
        raise InvalidEventsError(
            "collision data cannot be weighted, its weight is 1; calibrate the simulation towards the data instead"
        )
    names = events.array.factors.fields if "factors" in events.fields else []
    array = fill_factors(events.array, [*names, *([] if FACTOR in names else [FACTOR])])
    columns = {name: ak.to_numpy(array.factors[name]) for name in array.factors.fields}
    columns[FACTOR] = columns[FACTOR] * factor
    return Events(ak.with_field(array, ak.zip(columns), "factors"), events.samples)
