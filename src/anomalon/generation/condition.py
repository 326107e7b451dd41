"""What is asked of generated events: a process, parameters such as masses, and numbers of objects.

A condition restricts the table of masks before anything is generated: no event is made and thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError, EmptySelectionError, UnknownNameError, suggest
from anomalon.generation.flatten import KINDS, Floats, Ints
from anomalon.generation.layout import Acceptance
from anomalon.generation.multiplicities import Alias, MaskTable, MultiplicitySettings, mask_table

GROUPS: Mapping[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "electrons": ("e-", "e+"),
    "muons": ("m-", "m+"),
    "leptons": ("e-", "e+", "m-", "m+"),
    "all-jets": ("b", "j"),
    "photons": ("g",),
}
"""What can be counted: kinds, and kinds together."""


class Condition(Settings):
    """Which events are wanted.

    Attributes:
        process: one of those that the generator was fitted to; otherwise they come in the proportions of the fit.
        parameters: numbers such as masses, for generators fitted at several points; between them, not beyond.
        at_least, at_most, exactly: numbers of objects by kind (``b``, ``j``, ``e-``, ...) or group (``leptons``,
            ``electrons``, ``muons``, ``all-jets``, ``photons``), within the acceptance of the generator.

    >>> Condition(at_least={"leptons": 3}).allows(np.array([[0, 0, 1, 1, 1, 0, 0], [2, 4, 1, 0, 0, 1, 0]])).tolist()
    [True, False]
    """

    process: str | None = None
    parameters: dict[str, float] = Field(default_factory=dict)
    at_least: dict[str, int] = Field(default_factory=dict)
    at_most: dict[str, int] = Field(default_factory=dict)
    exactly: dict[str, int] = Field(default_factory=dict)

    @field_validator("at_least", "at_most", "exactly")
    @classmethod
    def _known_groups(cls, numbers: dict[str, int]) -> dict[str, int]:
        for name in numbers:
            if name not in GROUPS:
                raise UnknownNameError(f"no kind of objects '{name}'; {suggest(name, GROUPS)}")
        return numbers

    def allows(self, masks: Ints) -> npt.NDArray[np.bool_]:
        """Whether masks (mask, kind) have the numbers of objects that are wanted."""
        allowed = np.ones(len(masks), dtype=np.bool_)
        for name, number in self.at_least.items():
            allowed &= _number(masks, name) >= number
        for name, number in self.at_most.items():
            allowed &= _number(masks, name) <= number
        for name, number in self.exactly.items():
            allowed &= _number(masks, name) == number
        return allowed

    def text(self) -> str:
        """The condition in words, for messages."""
        parts = [f"{name} {sign} {n}" for key, sign in _SIGNS.items() for name, n in getattr(self, key).items()]
        return ", ".join(parts) or "any number of objects"


_SIGNS = {"at_least": ">=", "at_most": "<=", "exactly": "="}


def _number(masks: Ints, group: str) -> Ints:
    return np.asarray(masks[:, [KINDS.index(kind) for kind in GROUPS[group]]].sum(axis=1))


@dataclass(frozen=True)
class FittedSample:
    """What is known of one sample of the fit.

    Attributes:
        process: its process.
        parameters: numbers such as masses.
        events: how many it had.
        masks, frequencies: masks seen and how often, shapes (mask, kind) and (mask,).
    """

    process: str
    parameters: Mapping[str, float]
    events: int
    masks: Ints
    frequencies: Ints


@dataclass(frozen=True)
class Plan:
    """How to draw what a condition asks for.

    Attributes:
        processes: index of the process of each row, shape (row,).
        table: masks with their probabilities; a row per mask of each process.
        context: inputs of networks for each row, shape (row, input).
        share: probability of the condition among all events.
    """

    processes: Ints
    table: MaskTable
    context: npt.NDArray[np.float32]
    share: float

    @cached_property
    def _alias(self) -> Alias:
        return Alias(self.table.probabilities)

    def rows(self, uniform: Floats) -> Ints:
        """Rows drawn with uniform numbers, shape (event,)."""
        return self._alias.draw(uniform)


class Known:
    """The samples that a generator was fitted to, and what can be asked of it.

    Args:
        samples: in the order of the fit.
        settings: how multiplicities are modelled.
        slots: by kind.
        acceptance: masks that its storing rule always refuses are left out, such as no object at all.
    """

    def __init__(
        self,
        samples: Sequence[FittedSample],
        settings: MultiplicitySettings,
        slots: Mapping[str, int],
        acceptance: Acceptance | None = None,
    ) -> None:
        self.samples = tuple(samples)
        self.settings, self.slots, self.acceptance = settings, dict(slots), acceptance
        self.processes = tuple(dict.fromkeys(sample.process for sample in samples))
        self.parameters = tuple(sorted({name for sample in samples for name in sample.parameters}))
        points = np.array([[s.parameters.get(p, 0.0) for p in self.parameters] for s in samples]).reshape(
            len(self.samples), len(self.parameters)
        )
        self.centre, self.width = points.mean(axis=0), np.maximum(points.std(axis=0), 1e-6)
        self.points = (points - self.centre) / self.width
        self._tables: dict[int, MaskTable] = {}
        self._plans: dict[str, Plan] = {}

    @property
    def n_context(self) -> int:
        """Number of inputs that tell processes and parameters apart; 0 for a single point of a single process."""
        return (len(self.processes) if len(self.processes) > 1 else 0) + len(self.parameters)

    def context(self, process: str, point: Floats) -> npt.NDArray[np.float32]:
        """One-hot process and standardised parameters, shape (input,)."""
        one_hot = [float(process == name) for name in self.processes] if len(self.processes) > 1 else []
        return np.array([*one_hot, *point], dtype=np.float32)

    def contexts(self) -> npt.NDArray[np.float32]:
        """Context of every sample of the fit, shape (sample, input)."""
        rows = [self.context(s.process, p) for s, p in zip(self.samples, self.points, strict=True)]
        return np.stack(rows).reshape(len(rows), self.n_context)

    def table(self, index: int) -> MaskTable:
        """Masks of a sample of the fit."""
        if index not in self._tables:
            sample = self.samples[index]
            every = mask_table(sample.masks, sample.frequencies, self.settings, self.slots)
            accepted = self.acceptance
            self._tables[index] = every if accepted is None else every.where(accepted.may_store(every.masks))[0]
        return self._tables[index]

    def total_variation(self) -> float:
        """Of the table of all samples together and what was seen, before anything is filtered."""
        seen = np.concatenate([s.masks for s in self.samples]), np.concatenate([s.frequencies for s in self.samples])
        return mask_table(*seen, self.settings, self.slots).total_variation(
            mask_table(*seen, MultiplicitySettings(), self.slots)
        )

    def plan(self, condition: Condition) -> Plan:
        """How to draw what is asked for.

        Raises:
            UnknownNameError: the process or a parameter is not known.
            ConfigError: a parameter is missing or beyond the samples of the fit.
            EmptySelectionError: no mask that the generator knows has these numbers of objects.
        """
        name = condition.model_dump_json()
        if name not in self._plans:
            self._plans = {name: self._planned(condition)}  # one is kept: events are asked for in batches
        return self._plans[name]

    def _planned(self, condition: Condition) -> Plan:
        parts = [part for name in self._asked(condition) for part in self._of_process(name, condition)]
        total = sum(weight for weight, *_ in parts)
        rows = [(w / total * t.probabilities, t.masks, i, c) for w, t, i, c in parts]
        every = MaskTable(np.concatenate([m for _, m, *_ in rows]), np.concatenate([p for p, *_ in rows]))
        allowed = condition.allows(every.masks)
        table, share = every.where(allowed)
        if not share > 0:
            raise EmptySelectionError(
                f"no event with {condition.text()} was seen in the {sum(s.events for s in self.samples):,} events of "
                "the fit; ask for less, fit to more events, or fit with multiplicities.model: smoothed"
            )
        process = np.concatenate([np.full(len(m), i) for _, m, i, _ in rows])
        context = np.concatenate([np.tile(c, (len(m), 1)) for _, m, _, c in rows])
        return Plan(process[allowed], table, context[allowed].astype(np.float32), share)

    def _asked(self, condition: Condition) -> tuple[str, ...]:
        if condition.process is None:
            return self.processes
        if condition.process not in self.processes:
            raise UnknownNameError(
                f"no process '{condition.process}' in the fit; {suggest(condition.process, self.processes)}"
            )
        return (condition.process,)

    def _of_process(self, process: str, condition: Condition) -> list[tuple[float, MaskTable, int, Any]]:
        """Weight, masks, process and context of each sample of a process, or of the point between them."""
        index = [i for i, sample in enumerate(self.samples) if sample.process == process]
        place = self.processes.index(process)
        if not condition.parameters:
            return [
                (self.samples[i].events, self.table(i), place, self.context(process, self.points[i])) for i in index
            ]
        point = self._point(condition.parameters)
        weights = _between(self.points[index], point, process)
        events = sum(self.samples[i].events for i in index)
        context = self.context(process, point)
        return [(events * w, self.table(i), place, context) for w, i in zip(weights, index, strict=True) if w > 0]

    def _point(self, parameters: Mapping[str, float]) -> Floats:
        for name in parameters:
            if name not in self.parameters:
                known = self.parameters or ("none",)
                raise UnknownNameError(f"no parameter '{name}' in the fit; {suggest(name, known)}")
        missing = [name for name in self.parameters if name not in parameters]
        if missing:
            raise ConfigError(f"parameter '{missing[0]}' is missing: give {', '.join(self.parameters)}")
        values = np.array([parameters[name] for name in self.parameters])
        return np.asarray((values - self.centre) / self.width)


def _between(points: Floats, point: Floats, process: str) -> Floats:
    """Weights of the points of the fit for a point between them: linear along one axis, inverse squares of distance."""
    if (point < points.min(axis=0) - 1e-9).any() or (point > points.max(axis=0) + 1e-9).any():
        raise ConfigError(f"{process}: the parameters are beyond those of the fit; between them is fine, beyond is not")
    if points.shape[1] == 1:
        order = np.argsort(points[:, 0])
        return np.array([np.interp(point[0], points[order, 0], (order == i).astype(float)) for i in range(len(points))])
    d2 = ((points - point) ** 2).sum(axis=1)
    if d2.min() < 1e-12:
        return np.asarray((d2 < 1e-12) / (d2 < 1e-12).sum())
    return np.asarray(1 / d2 / (1 / d2).sum())
