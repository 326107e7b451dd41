"""The contract of generators: learn events, then make new ones.

What all share is here: which events are learned from, multiplicities and conditions, the storing rule by exact
rejection at fixed multiplicities, origin and provenance, saving and loading. A family fills in how objects are drawn.
Every random number follows from the seed and the number of the event, so that events do not depend on how many are
asked for at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from anomalon.errors import (
    ConfigError,
    InvalidEventsError,
    ModelFileError,
    NotFittedError,
    SimulationError,
    TrainingError,
)
from anomalon.events import Events, Sample
from anomalon.generation.condition import Condition, FittedSample, Known, Plan
from anomalon.generation.flatten import EventArrays, Ints, flatten, unweighted
from anomalon.generation.layout import Acceptance, Numbering, get_slots, to_events
from anomalon.generation.multiplicities import seen
from anomalon.generation.records import Asked, FitReport, Generated, GeneratorSettings, Learned
from anomalon.generation.refine import Refinement, RefinementSettings
from anomalon.hashing import Hashes, splitmix64, text_hash, uniforms
from anomalon.models.storage import read_manifest, write_manifest

if TYPE_CHECKING:
    from anomalon.training import TrainingRecord, TrainingRun

_REFINEMENT = "refinement"
MOST_ATTEMPTS = 1000
"""Times that an event is drawn anew before a condition is called impossible."""


class Generator(ABC):
    """Learns the events of one or more processes and makes new ones.

    Subclasses name themselves with ``kind``, own a ``Settings``, and fill in ``_fit``, ``_draw``, ``_save``, ``_load``.
    """

    Settings: ClassVar[type[GeneratorSettings]] = GeneratorSettings
    kind: ClassVar[str]
    """Name in the registry."""
    minimum_events: ClassVar[int] = 100
    """Fewer training events than this teach nothing."""
    _manifest: ClassVar[str] = "generator.json"

    def __init__(self, settings: GeneratorSettings | None = None) -> None:
        self.settings = settings or self.Settings()
        self.slots = get_slots(self.settings.slots)
        self.known: Known | None = None
        self.acceptance: Acceptance | None = None
        self.report: FitReport | None = None
        self.record: TrainingRecord | None = None
        self.refinement: Refinement | None = None
        self.trained_on: tuple[str, ...] = ()

    def fit(
        self,
        events: Events,
        validation: Events | None = None,
        *,
        parameters: Mapping[str, Mapping[str, float]] | None = None,
        run: TrainingRun | None = None,
    ) -> Self:
        """Learn from events; weights are removed first, by keeping each event in proportion to its weight.

        Args:
            events: of one or more samples; their processes can be asked for afterwards.
            validation: the same kind, for families that stop early.
            parameters: numbers such as masses by name of the sample, for samples of a signal at several points.
            run: progress and checkpoints, for families that train in epochs.

        Raises:
            TrainingError: too few events, or none that fits into the slots and the acceptance.
            InvalidEventsError: a value is NaN or infinite.
            ConfigError: parameters are missing for a sample, or differ in their names.
        """
        self._refuse_too_few(len(events))
        arrays, dataset, counted = self._usable(events)
        if self.acceptance is None:
            self.acceptance = self._acceptance(arrays)
        self.known = self._know(events.samples, arrays.counts, dataset, parameters or {})
        learned, counted = self._chosen(arrays, dataset, counted)
        self._refuse_too_few(len(learned))
        masks = sum(len(sample.masks) for sample in self.known.samples)
        values = {**counted, "learned": len(learned), "masks": masks, "total_variation": self.known.total_variation()}
        self.report = FitReport.parse(values)
        self.trained_on = tuple(sample.name for sample in events.samples)
        checked = None if validation is None else self._chosen(*self._usable(validation))[0]
        self._fit(learned, checked, run)
        self.refinement = None
        if self.settings.refinement is not None:
            self.refinement = self._refined(learned, self.settings.refinement)
        return self

    def sample(self, n: int, seed: int, condition: Condition | None = None) -> Events:
        """Make ``n`` events; see :meth:`generate`."""
        return self.generate(n, seed, condition).events

    def generate(
        self, n: int, seed: int, condition: Condition | None = None, *, start: int = 0, total: int | None = None
    ) -> Generated:
        """Make the events ``start`` to ``start + n`` of a seed: the same ones whatever the size of the batch.

        Args:
            n: number of events.
            seed: another one gives independent events.
            condition: which events are wanted.
            start: number of the first event.
            total: events of the whole sample, where this is a part of it; ``n`` by default.

        Raises:
            NotFittedError: the generator was not fitted.
            ConfigError, UnknownNameError, EmptySelectionError: the condition cannot be met.
            SimulationError: events of this kind never obey the storing rule.
        """
        known = self._require_fit()
        plan = known.plan(condition or Condition())
        number = np.arange(start, start + n, dtype=np.int64)
        rows = plan.rows(uniforms(_keys(seed, "multiplicities", number)))
        arrays, tried = self._accepted(plan.table.masks[rows], plan.context[rows], number, seed)
        samples = self._samples(plan, condition or Condition(), seed=seed, total=total or n)
        numbering = Numbering(number, plan.processes[rows].astype(np.int32), samples)
        return Generated(to_events(arrays, numbering), tried)

    def save(self, folder: Path) -> None:
        """Write the fitted generator into a folder; nothing in it can run code.

        Raises:
            NotFittedError: there is nothing to save yet.
        """
        known = self._require_fit()
        folder.mkdir(parents=True, exist_ok=True)
        state = self._save(folder)
        refinement = None if self.refinement is None else self.refinement.save(folder / _REFINEMENT)
        write_manifest(
            folder,
            self._manifest,
            {
                "kind": self.kind,
                "settings": self.settings.model_dump(mode="json"),
                "acceptance": self._accepting().model_dump(mode="json"),
                "samples": [_plain(sample) for sample in known.samples],
                "report": None if self.report is None else self.report.model_dump(mode="json"),
                "trained_on": self.trained_on,
                "refinement": refinement,
                "state": state,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a generator that :meth:`save` wrote; loading never runs code.

        Raises:
            ModelFileError: a file is damaged, changed, of another kind, or holds types that are not allowed.
        """
        keys = ("kind", "settings", "acceptance", "samples", "report", "trained_on", "refinement", "state")
        saved = read_manifest(folder, cls._manifest, keys)
        if saved["kind"] != cls.kind:
            raise ModelFileError(f"{folder}: holds a '{saved['kind']}', expected a '{cls.kind}'")
        try:
            made = cls(cls.Settings.parse(saved["settings"], where=str(folder / cls._manifest)))
            made._restore(saved)
            made._load(folder, saved["state"])
            if made.settings.refinement is not None and saved["refinement"] is not None:
                made.refinement = Refinement.load(folder / _REFINEMENT, made.settings.refinement, saved["refinement"])
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"{folder}: saved generator is damaged ({error})") from None
        return made

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.acceptance = Acceptance.parse(saved["acceptance"])
        samples = [_fitted(sample) for sample in saved["samples"]]
        self.known = Known(samples, self.settings.multiplicities, self.slots, self.acceptance)
        self.report = None if saved["report"] is None else FitReport.parse(saved["report"])
        self.trained_on = tuple(saved["trained_on"])

    def _acceptance(self, arrays: EventArrays) -> Acceptance:
        given = self.settings.acceptance
        if given is None:
            return Acceptance.observed(arrays)
        return Acceptance.of_detector(given) if isinstance(given, str) else given

    def _usable(self, events: Events) -> tuple[EventArrays, Ints, dict[str, int]]:
        """Events of weight one that fit into the slots, their samples, and what was left out."""
        drawn = unweighted(events, self.settings.seed)
        arrays = flatten(drawn, self.slots)
        _refuse_not_finite(arrays)
        fits = (arrays.counts <= [self.slots[kind] for kind in self.slots]).all(axis=1)
        counted = {"read": len(events), "unweighted": len(drawn), "beyond_slots": int((~fits).sum())}
        return arrays[fits], drawn.numbers("dataset")[fits].astype(np.int64), counted

    def _chosen(self, arrays: EventArrays, dataset: Ints, counted: dict[str, int]) -> tuple[Learned, dict[str, int]]:
        """Events within the acceptance whose mask is kept."""
        within = self._accepting().holds(arrays) & self._accepting().stores(arrays)
        kept = np.zeros(len(arrays), dtype=np.bool_)
        known = self._require_fit()
        for i in np.unique(dataset):
            own = np.flatnonzero(dataset == i)
            masks = np.concatenate([known.table(int(i)).masks, arrays.counts[own]])
            _, inverse = np.unique(masks, axis=0, return_inverse=True)
            inverse = inverse.ravel()
            kept[own] = np.isin(inverse[-len(own) :], inverse[: -len(own)])
        counted = {**counted, "out_of_reach": int((~within).sum()), "filtered": int((within & ~kept).sum())}
        rows = np.flatnonzero(within & kept)
        return Learned(arrays[rows], known.contexts()[dataset[rows]]), counted

    def _know(
        self,
        samples: tuple[Sample, ...],
        counts: Ints,
        dataset: Ints,
        parameters: Mapping[str, Mapping[str, float]],
    ) -> Known:
        names = {frozenset(parameters.get(sample.name, {})) for sample in samples}
        if len(names) > 1:
            raise ConfigError(f"parameters of {', '.join(s.name for s in samples)} have different names: give the same")
        fitted = []
        for i, sample in enumerate(samples):
            own = counts[dataset == i]
            if not len(own):
                raise TrainingError(f"{self.kind}: sample '{sample.name}' has no event that fits; leave it out")
            fitted.append(FittedSample(sample.process, dict(parameters.get(sample.name, {})), len(own), *seen(own)))
        return Known(fitted, self.settings.multiplicities, self.slots, self._accepting())

    def _refuse_too_few(self, n: int) -> None:
        if n < self.minimum_events:
            raise TrainingError(
                f"{self.kind}: {n} training events, at least {self.minimum_events} are needed; "
                "widen slots or acceptance, or simulate more events"
            )

    def _require_fit(self) -> Known:
        if self.known is None:
            raise NotFittedError(f"{self.kind}: not fitted yet; call fit(events) or load a saved generator")
        return self.known

    def _accepting(self) -> Acceptance:
        if self.acceptance is None:
            raise NotFittedError(f"{self.kind}: not fitted yet; call fit(events) or load a saved generator")
        return self.acceptance

    def _accepted(
        self, counts: Ints, context: npt.NDArray[np.float32], number: Ints, seed: int
    ) -> tuple[EventArrays, int]:
        """Draw every event until it obeys the storing rule, at the mask that it was given."""
        n, total = len(counts), sum(self.slots.values())
        made = EventArrays(np.zeros((n, 2)), counts, np.zeros((n, total, 4)), self.slots)
        todo, tried = np.arange(n), 0
        for attempt in range(MOST_ATTEMPTS):
            if not len(todo):
                return made, tried
            keys = _keys(seed, f"objects {attempt}", number[todo])
            drawn = self._draw(Asked(counts[todo], context[todo], keys))
            made.met[todo], made.objects[todo] = drawn.met, drawn.objects
            tried += len(todo)
            kept = self._accepting().stores(drawn) & self._works(drawn)
            kept[kept] = self._keeps(drawn[kept], keys[kept])
            todo = todo[~kept]
        raise SimulationError(
            f"{self.kind}: {len(todo)} of {n} events break the storing rule after {MOST_ATTEMPTS} attempts; "
            "ask for more objects in the condition, or for a generator with another acceptance"
        )

    def _samples(self, plan: Plan, condition: Condition, *, seed: int, total: int) -> tuple[Sample, ...]:
        known = self._require_fit()
        shares = np.bincount(plan.processes, plan.table.probabilities, len(known.processes))
        provenance = {
            "generator": self.kind,
            "trained_on": list(self.trained_on),
            **self._tuned_from(),
            "seed": seed,
            "condition": condition.model_dump(mode="json", exclude_defaults=True),
        }
        return tuple(
            Sample(
                name=f"{process}-generated-{seed}",
                process=process,
                origin="generated",
                cross_section_pb=self.settings.cross_section_pb,
                filter_efficiency=plan.share * float(share) if share else 1.0,
                sum_gen_weights=total * float(share),
                n_generated=total,
                provenance=provenance,
            )
            for process, share in zip(known.processes, shares, strict=True)
        )

    def _tuned_from(self) -> dict[str, Any]:
        started = None if self.report is None else self.report.tuned_from
        return {} if started is None else {"tuned_from": started.model_dump(mode="json")}

    def _refined(self, learned: Learned, settings: RefinementSettings) -> Refinement:
        """Learn to tell the training events from as many generated ones of the same masks."""
        number = np.arange(len(learned), dtype=np.int64)
        made, _ = self._accepted(learned.arrays.counts, learned.context, number, self.settings.seed)
        return Refinement(settings).fit(learned.arrays, made)

    def _works(self, drawn: EventArrays) -> npt.NDArray[np.bool_]:
        """Whether events could be drawn to the end, shape (event,): a hook for families that may fail."""
        return np.ones(len(drawn), dtype=np.bool_)

    def _keeps(self, drawn: EventArrays, keys: Hashes) -> npt.NDArray[np.bool_]:
        """Whether drawn events are kept, shape (event,)."""
        if self.refinement is None:
            return np.ones(len(drawn), dtype=np.bool_)
        return self.refinement.keeps(drawn, keys)

    @abstractmethod
    def _fit(self, learned: Learned, validation: Learned | None, run: TrainingRun | None) -> None:
        """Learn from at least ``minimum_events`` events."""

    @abstractmethod
    def _draw(self, asked: Asked) -> EventArrays:
        """Draw objects and missing momentum within the acceptance, by decreasing pT, for the numbers asked."""

    @abstractmethod
    def _save(self, folder: Path) -> dict[str, Any]:
        """Write what was learned; return what fits into JSON."""

    @abstractmethod
    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what :meth:`_save` wrote and returned."""


def _keys(seed: int, stream: str, number: Ints) -> Hashes:
    """64 random bits for every event of a seed."""
    return splitmix64(splitmix64(number.view(np.uint64)) ^ np.uint64(text_hash(f"generate {stream} {seed}")))


def _refuse_not_finite(arrays: EventArrays) -> None:
    good = np.asarray(np.isfinite(arrays.met).all(axis=1) & np.isfinite(arrays.objects).all(axis=(1, 2)))
    if not good.all():
        raise InvalidEventsError(
            f"{int((~good).sum())} of {len(good)} events have an object or MET that is NaN or infinite, the first is "
            f"number {int(np.argmin(good))}; leave them out before the fit"
        )


def _plain(sample: FittedSample) -> dict[str, Any]:
    return {
        "process": sample.process,
        "parameters": dict(sample.parameters),
        "events": sample.events,
        "masks": ["".join(f"{n:x}" for n in mask) for mask in sample.masks.tolist()],
        "frequencies": sample.frequencies.tolist(),
    }


def _fitted(saved: Mapping[str, Any]) -> FittedSample:
    masks = np.array([[int(n, 16) for n in mask] for mask in saved["masks"]], dtype=np.int64)
    frequencies = np.array(saved["frequencies"], dtype=np.int64)
    return FittedSample(saved["process"], saved["parameters"], saved["events"], masks, frequencies)
