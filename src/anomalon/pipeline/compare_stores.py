"""Stores and files compared, mapped over processes or a cluster: one call behind ``anomalon compare``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from anomalon import mapreduce
from anomalon.errors import InvalidEventsError, UnknownNameError, suggest
from anomalon.events import Events, Sample
from anomalon.pipeline.compare import Compared, CompareOptions, Part, Tally, choose_bins, compared_of, heading_of
from anomalon.pipeline.table import luminosity_for
from anomalon.pipeline.variables import Floats, Variables
from anomalon.processes import available_cores
from anomalon.search.results import Role
from anomalon.selection import apply
from anomalon.sources import CHUNK, Source, expand, open_source

EVENTS_PER_WORKER = 500_000
"""Where nobody says how many workers: a process takes seconds to start, which fewer events are not worth."""


@dataclass(frozen=True)
class Engine:
    """Where the work is done; the result is the same.

    Attributes:
        workers: processes of this machine; None takes at most one per core, and more than one for many events only.
        scheduler: address of a running dask.distributed scheduler, in place of processes here.
    """

    workers: int | None = None
    scheduler: str | None = None


def compare_stores(
    paths: Sequence[str | Path],
    variables: Variables,
    *,
    roles: Mapping[str, Role] | None = None,
    options: CompareOptions | None = None,
    engine: Engine | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Compared:
    """Compare the samples of stores and files; bounded in memory.

    Args:
        paths: stores, files, patterns.
        variables: what to draw.
        roles: of processes or samples; those not named are data by their origin, otherwise background. A process may
            be named without its parameters, ``wprime-wz`` for ``wprime-wz(mass=1500)``, where only one fits.
        options: how.
        engine: where.
        on_progress: called with (parts done, parts in all).

    Raises:
        UnknownNameError: a role is given to a process that is not there, or that could be several.
        InvalidEventsError: some samples have a normalisation and others have none.
        MissingFieldError: a file lacks a field.
        WorkerError: workers died again and again, or the scheduler cannot be reached.
        MissingExtraError: a scheduler is named and dask.distributed is not installed.
    """
    chosen, where = options or CompareOptions(), engine or Engine()
    files = [path.absolute() for path in expand(paths)]
    sources = [open_source(path) for path in files]
    samples = [sample for source in sources for sample in source.info().samples]
    _check_variation(chosen.variation, sources)
    preparation = _Preparation(variables, named_roles(roles or {}, samples), chosen, _is_relative(samples))
    luminosity = None if preparation.relative else chosen.luminosity_fb
    heading = heading_of(chosen, [preparation.role_of(s) for s in samples], luminosity)
    edges = choose_bins(preparation.some(sources), variables.names, chosen.bins)
    total = mapreduce.map_reduce(
        _Filling(preparation, edges),
        files,
        workers=where.workers or _worth(sum(source.n_events for source in sources)),
        scheduler=where.scheduler,
        progress=on_progress,
    )
    return compared_of(total, variables.names, heading, relative=preparation.relative)


def named_roles(roles: Mapping[str, Role], samples: Sequence[Sample]) -> dict[str, Role]:
    """Roles by the full name of a process or sample.

    Raises:
        UnknownNameError: a name fits none, or several processes that differ in their parameters.

    >>> named_roles({"wprime-wz": "signal"}, [Sample(name="a", process="wprime-wz(mass=1500)")])
    {'wprime-wz(mass=1500)': 'signal'}
    """
    known = {name for s in samples for name in (s.name, s.process)}
    found = {}
    for name, role in roles.items():
        fits = [name] if name in known else sorted({s.process for s in samples if s.process.startswith(f"{name}(")})
        if not fits:
            raise UnknownNameError(f"no process or sample '{name}' in the stores; {suggest(name, known)}")
        if len(fits) > 1:
            raise UnknownNameError(f"'{name}' could be {' or '.join(fits)}: name the process in full, in quotes")
        found[fits[0]] = role
    return found


def _check_variation(variation: str | None, sources: Sequence[Source]) -> None:
    fields = {field for source in sources for field in source.info().fields}
    known = {field.removeprefix("factors.") for field in fields if field.startswith("factors.")}
    if variation is not None and variation not in known:
        raise UnknownNameError(f"no weight variation '{variation}'; {suggest(variation, known)}")


def _is_relative(samples: Sequence[Sample]) -> bool:
    bare = [s.name for s in samples if luminosity_for([s], 1.0) is None]
    if bare and len(bare) < sum(not s.is_data for s in samples):
        raise InvalidEventsError(
            f"sample '{bare[0]}' has no cross section or sum of weights, others have: their yields cannot be "
            "compared; read it again with --cross-section"
        )
    return bool(bare)


def _worth(events: int) -> int:
    return max(1, min(available_cores(), events // EVENTS_PER_WORKER))


@dataclass(frozen=True)
class _Preparation:
    """How events become entries of histograms; small, so that it can be sent to workers."""

    variables: Variables
    roles: Mapping[str, Role]
    options: CompareOptions
    relative: bool

    @property
    def fields(self) -> frozenset[str]:
        selection = self.options.selection
        return self.variables.requires | (selection.requires if selection else frozenset())

    def role_of(self, sample: Sample) -> Role:
        return self.roles.get(sample.name, self.roles.get(sample.process, "data" if sample.is_data else "background"))

    def some(self, sources: Sequence[Source]) -> Iterator[Part]:
        """Events of every sample, enough to choose bins."""
        for source in sources:
            missing = {sample.name for sample in source.info().samples}
            for events in source.iterate(self.fields, CHUNK):
                found = list(self.by_sample(events))
                yield from (part for _, part in found)
                missing -= {name for name, _ in found}
                if not missing:
                    break

    def by_sample(self, events: Events) -> Iterator[tuple[str, Part]]:
        luminosity = None if self.relative else self.options.luminosity_fb
        if self.options.selection is not None:
            events = apply(self.options.selection, events).events
        weights = events.weights(luminosity, self._variation(events))
        dataset = np.asarray(events.array.dataset)
        for i in np.unique(dataset):
            own, sample = dataset == i, events.samples[i]
            entries = self.variables.evaluate(events[own], weights[own])
            yield sample.name, Part(sample.process, self.role_of(sample), entries, weights[own])

    def _variation(self, events: Events) -> str | None:
        """The variation where the events have it: samples without that factor do not vary."""
        have = events.array.factors.fields if events.has("factors") else []
        return self.options.variation if self.options.variation in have else None


@dataclass(frozen=True)
class _Filling:
    """What a worker does with a range of a file's events."""

    preparation: _Preparation
    edges: Mapping[str, Floats]

    def __call__(self, part: mapreduce.Part) -> Tally:
        prepared = (
            own for events in part.iterate(self.preparation.fields) for own in self.preparation.by_sample(events)
        )
        return reduce(add, (Tally.of(own, self.edges) for _, own in prepared), Tally())
