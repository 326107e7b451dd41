"""Calibrations one after the other; each learns from what the earlier ones have left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from anomalon.errors import ConfigError
from anomalon.events import Events
from anomalon.style.contract import Calibrator, CalibratorSettings


class ChainSettings(CalibratorSettings):
    """Settings of a chain.

    Attributes:
        steps: settings of the calibrations, each with its ``kind``; one without a ``freedom`` has that of the chain.
    """

    steps: tuple[dict[str, Any], ...] = Field(default=({"kind": "response"}, {"kind": "efficiency"}), min_length=1)

    @field_validator("steps")
    @classmethod
    def _of_a_kind(cls, steps: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        if any("kind" not in step for step in steps):
            raise ValueError("each step needs a 'kind', such as response or efficiency")
        return steps


class Chain(Calibrator):
    """A response and then an efficiency, say."""

    Settings: ClassVar[type[CalibratorSettings]] = ChainSettings
    kind = "chain"
    settings: ChainSettings

    def __init__(self, settings: CalibratorSettings | None = None) -> None:
        super().__init__(settings)
        self.steps = [self._made(step, number) for number, step in enumerate(self.settings.steps, 1)]

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return frozenset(name for step in self.steps for name in step.requires)

    def summary(self) -> dict[str, Any]:
        """What each step has learned."""
        return {"steps": [{"kind": step.kind, **step.summary()} for step in self.steps]}

    def _made(self, values: dict[str, Any], number: int) -> Calibrator:
        from anomalon.style.registry import calibrator  # noqa: PLC0415 - the registry knows this class

        common = {"freedom": self.settings.freedom.model_dump(), "seed": self.settings.seed}
        if values["kind"] == self.kind:
            raise ConfigError(f"steps.{number}: a chain in a chain; list its steps themselves")
        return calibrator({**common, **values}, where=f"steps.{number}")

    def _fit(self, source: Events, target: Events) -> None:
        for step in self.steps:
            source = step.fit(source, target).transform(source)

    def _transform(self, events: Events) -> Events:
        moved = events
        for step in self.steps:
            moved = step.transform(moved)
        return Events(moved.array, events.samples)

    def _save(self, folder: Path) -> dict[str, Any]:
        for number, step in enumerate(self.steps, 1):
            step.save(folder / str(number))
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.steps = [type(step).load(folder / str(number)) for number, step in enumerate(self.steps, 1)]
