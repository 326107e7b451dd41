"""Fine-tuning: a generator that knows one process learns another from few events.

What the processes share (jets, resolution, balance, angles of neighbours) is in the weights; training goes on from
there, slowly, until held-out events get no more likely. Bins keep their meaning, the ends of the distributions and the
numbers of objects are those of the new events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError
from anomalon.events import Events
from anomalon.generation.autoregressive import Autoregressive
from anomalon.generation.contract import Generator
from anomalon.generation.layout import Acceptance, get_slots
from anomalon.generation.multiplicities import MultiplicitySettings
from anomalon.generation.records import TunedFrom
from anomalon.hashing import hash_events, uniforms
from anomalon.training import TrainingRun, TrainingSettings

_CHOSEN = ("training", "multiplicities", "cross_section_pb", "seed")
"""Settings of a generator that the tuning chooses; all others stay those of the source."""


class TuningSettings(Settings):
    """How a generator is fine-tuned.

    Attributes:
        training: slower than from scratch, in small batches.
        multiplicities: of the new events; smoothed by default, for few events show few of their masks.
        validation_share: of the events, held out for stopping early where no validation events are given.
        cross_section_pb: of the new events as they are stored; unknown by default.
        seed: of everything random.
    """

    training: TrainingSettings = TrainingSettings(
        epochs=100, batch_size=64, learning_rate=5e-4, weight_decay=1e-3, schedule="plateau", patience=10,
        gradient_clip=5.0,
    )  # fmt: skip
    multiplicities: MultiplicitySettings = MultiplicitySettings(model="smoothed")
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    cross_section_pb: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)


DEFAULT = TuningSettings()


@dataclass(frozen=True)
class FineTuning:
    """A fitted generator and how to go on from there; it stays as it is.

    Attributes:
        source: fitted; of the kind ``autoregressive``.
        settings: of the tuning.
        name: of the source, for the records.
    """

    source: Generator
    settings: TuningSettings = DEFAULT
    name: str = ""

    @classmethod
    def of(cls, source: Generator, values: Mapping[str, Any], *, name: str = "", where: str = "tuning") -> Self:
        """From settings in which ``kind``, ``slots`` and ``acceptance`` may repeat what the source has.

        Raises:
            ConfigError: one of them is another one, or a setting is wrong.
        """
        own = dict(values)
        kind, slots, acceptance = (own.pop(key, None) for key in ("kind", "slots", "acceptance"))
        made = cls(source, TuningSettings.parse(own, where=where), name)
        if kind is not None and kind != source.kind:
            raise ConfigError(f"{where}: kind = {kind}, but {made._called} is of the kind {source.kind}: leave it out")
        if slots is not None and get_slots(slots) != source.slots:
            raise ConfigError(
                f"{where}: slots = {slots}, but {made._called} has {_text(source.slots)}: fine-tuning keeps them; "
                "leave slots out, or train from scratch"
            )
        if acceptance is not None and _acceptance(acceptance) != source.acceptance:
            raise ConfigError(
                f"{where}: acceptance = {acceptance}, but {made._called} was trained with another one: fine-tuning "
                "keeps it; leave it out, or train from scratch"
            )
        return made

    @property
    def kind(self) -> str:
        """Kind of the generator that is made."""
        return self.source.kind

    def fit(
        self,
        events: Events,
        validation: Events | None = None,
        *,
        parameters: Mapping[str, Mapping[str, float]] | None = None,
        run: TrainingRun | None = None,
    ) -> Autoregressive:
        """A new generator of these events, with the slots, the acceptance and the network of the source.

        Args:
            events: of one or more samples; the processes of the source can no longer be asked for.
            validation: the same kind, for stopping early; a share of the events by default.
            parameters: numbers such as masses by name of the sample.
            run: progress and checkpoints.

        Raises:
            ConfigError: the source is of another kind.
            NotFittedError: the source is not fitted.
            TrainingError: too few events that fit into the slots and the acceptance of the source.
        """
        source = self._fitted_source()
        if validation is None:
            events, validation = hold_out(events, self.settings.validation_share)
        chosen = {name: getattr(self.settings, name) for name in _CHOSEN}
        made = Autoregressive(source.settings.model_copy(update={**chosen, "refinement": None}))
        made.acceptance, made.start = source.acceptance, source
        made.fit(events, validation, parameters=parameters, run=run)
        made.start = None
        if made.report is not None:
            made.report = made.report.model_copy(update={"tuned_from": self._record(source)})
        return made

    @property
    def _called(self) -> str:
        return self.name or "the generator"

    def _fitted_source(self) -> Autoregressive:
        if not isinstance(self.source, Autoregressive):
            raise ConfigError(
                f"{self._called} is of the kind {self.source.kind}: only {Autoregressive.kind} can be fine-tuned; "
                "train from scratch"
            )
        self.source._require_fit()
        return self.source

    def _record(self, source: Autoregressive) -> TunedFrom:
        report = source.report
        return TunedFrom(
            name=self.name,
            trained_on=source.trained_on,
            learned=0 if report is None else report.learned,
            sha256=_sha256(source),
            tuned_from=None if report is None else report.tuned_from,
        )


def hold_out(events: Events, share: float) -> tuple[Events, Events | None]:
    """Events to learn from and to check on, by a hash of their identity: all versions of an event are on one side.

    Raises:
        ConfigError: the share is not from 0 to below 1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"validation share = {share:g}: expected a number from 0 to below 1")
    if share == 0:
        return events, None
    samples = [sample.name for sample in events.samples]
    ids = [events.numbers("lumi"), events.numbers("event")]
    held = uniforms(hash_events("generator validation", samples, events.numbers("dataset"), ids)) < share
    return events[~held], events[held]


def _acceptance(given: Any) -> Acceptance:
    return Acceptance.of_detector(given) if isinstance(given, str) else Acceptance.parse(given)


def _text(slots: Mapping[str, int]) -> str:
    return ", ".join(f"{kind}: {number}" for kind, number in slots.items())


def _sha256(source: Autoregressive) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(source.encoder.tables, dtype=np.float32).tobytes())
    for _, tensor in sorted(source.network.state_dict().items()):
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
