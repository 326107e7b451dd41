"""Any set of variables drawn for any set of samples: one call behind ``anomalon compare``."""

from __future__ import annotations

import csv
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

import anomalon
from anomalon.errors import EmptySelectionError, InvalidEventsError, OutputExistsError, UnknownNameError, suggest
from anomalon.events import DEFAULT_LUMINOSITY, Events, Sample
from anomalon.pipeline.comparison import fill
from anomalon.pipeline.table import luminosity_for
from anomalon.pipeline.variables import Entries, Floats, Variables
from anomalon.report import Group, Heading
from anomalon.report.binning import feature_bins
from anomalon.report.figures_compare import Comparison, Filled, comparison_figure, variable_label
from anomalon.report.style import to_pdf, to_png
from anomalon.search.results import Role
from anomalon.selection import Selection, apply
from anomalon.sources import CHUNK, Source, expand, open_source

ROLE_NAMES: tuple[Role, ...] = ("background", "signal", "data")
RESULT = "comparison.json"


@dataclass(frozen=True)
class Part:
    """Some events of one process, ready to fill histograms.

    Attributes:
        process: its name in the legend.
        role: how it is drawn.
        entries: values and weights by variable.
        weights: of the events, shape (event,).
    """

    process: str
    role: Role
    entries: Mapping[str, Entries]
    weights: Floats


@dataclass(frozen=True)
class Yield:
    """Events of one process: raw, weighted, and the statistical error sqrt(sum w^2)."""

    process: str
    role: Role
    raw: int
    events: float
    error: float


@dataclass(frozen=True)
class CompareOptions:
    """How samples are compared.

    Attributes:
        luminosity_fb: of the simulated yields, in fb^-1; relative weights where a sample has no normalisation.
        selection: events that fail it are left out; None takes all.
        variation: a varied weight, such as ``fakeUp``, in place of its nominal one.
        signal_scale: factor on the drawn signals; the yields stay as they are.
        bins: most bins of a variable.
        experiment: label of the figures; none by default.
    """

    luminosity_fb: float = DEFAULT_LUMINOSITY
    selection: Selection | None = None
    variation: str | None = None
    signal_scale: float = 1.0
    bins: int = 40
    experiment: str = ""


@dataclass(frozen=True)
class Compared:
    """The outcome: filled histograms by variable, yields by process, and whether the weights are only relative."""

    comparisons: tuple[Comparison, ...]
    yields: tuple[Yield, ...]
    heading: Heading
    relative: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; outer bins hold under- and overflow."""
        return {
            "anomalon": anomalon.__version__,
            "luminosity_fb": self.heading.luminosity_fb,
            "relative_weights": self.relative,
            "yields": [vars(y) for y in self.yields],
            "variables": {c.name: _comparison_as_dict(c) for c in self.comparisons},
        }


def compare_stores(
    paths: Sequence[str | Path],
    variables: Variables,
    roles: Mapping[str, Role] | None = None,
    options: CompareOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Compared:
    """Compare the samples of stores and files; bounded in memory.

    Args:
        paths: stores, files, patterns.
        variables: what to draw.
        roles: of processes or samples; those not named are data by their origin, otherwise background.
        options: how.
        on_progress: called with (events read, events in all).

    Raises:
        UnknownNameError: a role is given to a process that is not there.
        InvalidEventsError: some samples have a normalisation and others have none.
        MissingFieldError: a file lacks a field.
    """
    chosen = options or CompareOptions()
    sources = tuple(open_source(path) for path in expand(paths))
    stores = _Stores(sources, variables, roles or {}, chosen, on_progress)
    luminosity = None if stores.relative else chosen.luminosity_fb
    heading = heading_of(chosen, [stores.role_of(s) for s in stores.samples], luminosity)
    return fill_all(stores, variables.names, chosen, heading)


class Samples(Protocol):
    """Where the parts of a comparison come from."""

    @property
    def relative(self) -> bool:
        """Whether the weights are only relative within a sample."""
        ...

    def parts(self, *, all_events: bool) -> Iterator[Part]:
        """Yield the events; without ``all_events`` only some of every process, enough to choose bins."""
        ...


@dataclass(frozen=True)
class _Stores:
    """Samples of stores and files."""

    sources: tuple[Source, ...]
    variables: Variables
    roles: Mapping[str, Role]
    options: CompareOptions
    on_progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        known = {name for s in self.samples for name in (s.name, s.process)}
        for name in self.roles:
            if name not in known:
                raise UnknownNameError(f"no process or sample '{name}' in the stores; {suggest(name, known)}")
        self._check_variation()
        bare = [s.name for s in self.samples if luminosity_for([s], 1.0) is None]
        if bare and len(bare) < sum(not s.is_data for s in self.samples):
            raise InvalidEventsError(
                f"sample '{bare[0]}' has no cross section or sum of weights, others have: their yields cannot be "
                "compared; read it again with --cross-section"
            )

    def _check_variation(self) -> None:
        fields = {field for source in self.sources for field in source.info().fields}
        known = {field.removeprefix("factors.") for field in fields if field.startswith("factors.")}
        if self.options.variation is not None and self.options.variation not in known:
            raise UnknownNameError(
                f"no weight variation '{self.options.variation}'; {suggest(self.options.variation, known)}"
            )

    @property
    def samples(self) -> list[Sample]:
        return [sample for source in self.sources for sample in source.info().samples]

    @property
    def relative(self) -> bool:
        return any(luminosity_for([sample], 1.0) is None for sample in self.samples)

    def role_of(self, sample: Sample) -> Role:
        return self.roles.get(sample.name, self.roles.get(sample.process, "data" if sample.is_data else "background"))

    def parts(self, *, all_events: bool) -> Iterator[Part]:
        done, total = 0, sum(source.n_events for source in self.sources)
        selection = self.options.selection
        fields = self.variables.requires | (selection.requires if selection else frozenset())
        for source in self.sources:
            missing = {sample.name for sample in source.info().samples}
            for events in source.iterate(fields, CHUNK):
                found = list(self._by_sample(events))
                yield from (part for _, part in found)
                done += len(events)
                if all_events and self.on_progress is not None:
                    self.on_progress(done, total)
                missing -= {name for name, _ in found}
                if not all_events and not missing:
                    break

    def _by_sample(self, events: Events) -> Iterator[tuple[str, Part]]:
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


def fill_all(samples: Samples, names: Sequence[str], options: CompareOptions, heading: Heading) -> Compared:
    """Choose bins on some of the events, then fill histograms with all of them.

    Raises:
        EmptySelectionError: no event is left.
    """
    edges = _choose_bins(samples, names, options)
    filled: dict[tuple[str, str, Role], Filled] = {}
    yields: dict[tuple[str, Role], Yield] = {}
    for part in samples.parts(all_events=True):
        who = (part.process, part.role)
        before = yields.get(who, Yield(*who, 0, 0.0, 0.0))
        squared = before.error**2 + float((part.weights**2).sum())
        total = before.events + float(part.weights.sum())
        yields[who] = Yield(*who, before.raw + len(part.weights), total, float(np.sqrt(squared)))
        for name in names:
            entries = part.entries[name]
            new = fill(name, Group(part.process, part.role, entries.values, entries.weights), edges[name])
            old = filled.get((name, *who))
            filled[name, *who] = new if old is None else old.plus(new)
    if not any(y.raw for y in yields.values()):
        raise EmptySelectionError("no event is left to compare; choose other files, or leave out --selected")
    order = sorted(yields, key=lambda who: ROLE_NAMES.index(who[1]))
    comparisons = [Comparison(name, tuple(filled[name, *who] for who in order)) for name in names]
    return Compared(tuple(comparisons), tuple(yields[who] for who in order), heading, samples.relative)


def heading_of(options: CompareOptions, roles: Sequence[Role], luminosity: float | None) -> Heading:
    """The line above the figures."""
    kinds = {role == "data" for role in roles}
    status = {(True,): "Data", (False, True): "Data and simulation"}.get(tuple(sorted(kinds)), "Simulation")
    return Heading(luminosity, experiment=options.experiment, status=status)


def write_comparison(compared: Compared, output: Path, options: CompareOptions, *, overwrite: bool = False) -> Path:
    """Write figures (PNG, PDF), ``yields.csv`` and ``comparison.json`` into a folder, which appears when complete.

    Raises:
        OutputExistsError: the folder is there and ``overwrite`` is off, or it is no comparison.
    """
    with new_folder(output, overwrite=overwrite) as partial:
        for comparison in compared.comparisons:
            figure = comparison_figure(_for_eyes(comparison, options), compared.heading)
            write_figure(partial / file_name(comparison.name), figure)
        with (partial / "yields.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["process", "role", "raw", "events", "error"])
            table.writerows([y.process, y.role, y.raw, repr(y.events), repr(y.error)] for y in compared.yields)
        text = json.dumps(compared.to_dict(), indent=1, allow_nan=False)
        (partial / RESULT).write_text(text + "\n", encoding="utf-8")
    return output


@contextmanager
def new_folder(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder that gets its name when it is complete, and is removed otherwise.

    Raises:
        OutputExistsError: as :func:`check_free`.
    """
    check_free(output, overwrite=overwrite)
    partial = output.with_name(f".{output.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        if output.exists():
            shutil.rmtree(output)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_figure(path: Path, figure: Figure) -> None:
    """Write ``path.png`` and ``path.pdf``."""
    path.with_name(f"{path.name}.png").write_bytes(to_png(figure))
    path.with_name(f"{path.name}.pdf").write_bytes(to_pdf(figure))


def check_free(output: Path, *, overwrite: bool) -> None:
    """Refuse to write over what is there; see :func:`write_comparison`."""
    if not output.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{output}: already there; choose another name or overwrite it (--overwrite)")
    if not (output / RESULT).is_file():
        raise OutputExistsError(f"{output}: already there and not a comparison: not overwritten; choose another name")


def file_name(variable: str) -> str:
    """A variable's name as a file name.

    >>> file_name("jets.pt[0]")
    'jets_pt_0'
    """
    return re.sub(r"\W+", "_", variable).strip("_")


def _for_eyes(comparison: Comparison, options: CompareOptions) -> Comparison:
    """Signals enlarged as asked, and bins that a logarithmic axis cannot show named."""
    processes = tuple(
        replace(p.scaled(options.signal_scale), label=rf"{p.label} ($\times${options.signal_scale:g})")
        if p.role == "signal" and options.signal_scale != 1.0
        else p
        for p in comparison.processes
    )
    negative = comparison.negative_bins()
    note = f"negative: {', '.join(negative[:2])}{' ...' if len(negative) > 2 else ''}" if negative else comparison.note
    return replace(comparison, processes=processes, note=note)


def _choose_bins(samples: Samples, names: Sequence[str], options: CompareOptions) -> dict[str, Floats]:
    """Edges for each variable from some events of every process."""
    groups: dict[str, list[Group]] = {name: [] for name in names}
    for part in samples.parts(all_events=False):
        for name in names:
            entries = part.entries[name]
            groups[name].append(Group(part.process, part.role, entries.values, entries.weights))
    return {
        name: np.asarray(feature_bins(found, variable_label(name).kind, options.bins).edges, dtype=np.float64)
        for name, found in groups.items()
    }


def _comparison_as_dict(comparison: Comparison) -> dict[str, Any]:
    bins = comparison.bins
    return {
        "edges": comparison.edges.tolist(),
        "overflow_in_last_bin": bins.overflow,
        "underflow_in_first_bin": bins.underflow,
        "negative_bins": comparison.negative_bins(),
        "processes": [
            {
                "process": p.label,
                "role": p.role,
                "entries": p.raw,
                "not_finite": p.not_finite,
                "values": p.values.tolist(),
                "variances": p.variances.tolist(),
            }
            for p in comparison.processes
        ],
    }
