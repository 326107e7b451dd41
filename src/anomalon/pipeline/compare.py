"""Any set of variables drawn for any set of samples: what is filled, how it adds up, and what is written."""

from __future__ import annotations

import csv
import json
import math
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

import anomalon
from anomalon.errors import EmptySelectionError, OutputExistsError
from anomalon.events import DEFAULT_LUMINOSITY
from anomalon.pipeline.comparison import fill
from anomalon.pipeline.variables import Entries, Floats
from anomalon.report import Group, Heading
from anomalon.report.binning import feature_bins
from anomalon.report.figures_compare import Comparison, Filled, comparison_figure, variable_label
from anomalon.report.style import to_pdf, to_png
from anomalon.search.results import Role
from anomalon.selection import Selection

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

    def plus(self, other: Yield) -> Yield:
        """The events of both; process and role are equal."""
        error = math.hypot(self.error, other.error)
        return replace(self, raw=self.raw + other.raw, events=self.events + other.events, error=error)


@dataclass(frozen=True)
class Tally:
    """Yields and filled histograms of some events; tallies add up.

    Attributes:
        yields: by process and role.
        filled: by variable, process and role.
    """

    yields: Mapping[tuple[str, Role], Yield] = field(default_factory=dict)
    filled: Mapping[tuple[str, str, Role], Filled] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        yields, filled = dict(self.yields), dict(self.filled)
        for who, more in other.yields.items():
            yields[who] = yields[who].plus(more) if who in yields else more
        for key, entries in other.filled.items():
            filled[key] = filled[key].plus(entries) if key in filled else entries
        return Tally(yields, filled)

    @classmethod
    def of(cls, part: Part, edges: Mapping[str, Floats]) -> Tally:
        """Fill the histograms of one part.

        Args:
            part: some events of one process.
            edges: of the bins, by variable.
        """
        who = (part.process, part.role)
        error = float(np.sqrt((part.weights**2).sum()))
        filled = {
            (name, *who): fill(name, Group(*who, part.entries[name].values, part.entries[name].weights), own)
            for name, own in edges.items()
        }
        return cls({who: Yield(*who, len(part.weights), float(part.weights.sum()), error)}, filled)


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


class Samples(Protocol):
    """Where the parts of a comparison come from."""

    @property
    def relative(self) -> bool:
        """Whether the weights are only relative within a sample."""
        ...

    def parts(self, *, all_events: bool) -> Iterator[Part]:
        """Yield the events; without ``all_events`` only some of every process, enough to choose bins."""
        ...


def fill_all(samples: Samples, names: Sequence[str], options: CompareOptions, heading: Heading) -> Compared:
    """Choose bins on some of the events, then fill histograms with all of them.

    Raises:
        EmptySelectionError: no event is left.
    """
    edges = choose_bins(samples.parts(all_events=False), names, options.bins)
    total = sum((Tally.of(part, edges) for part in samples.parts(all_events=True)), Tally())
    return compared_of(total, names, heading, relative=samples.relative)


def compared_of(total: Tally, names: Sequence[str], heading: Heading, *, relative: bool) -> Compared:
    """The outcome of a tally, processes in the order of the legend.

    Raises:
        EmptySelectionError: no event is left.
    """
    if not any(y.raw for y in total.yields.values()):
        raise EmptySelectionError("no event is left to compare; choose other files, or leave out --selected")
    order = sorted(total.yields, key=lambda who: ROLE_NAMES.index(who[1]))
    comparisons = [Comparison(name, tuple(total.filled[name, *who] for who in order)) for name in names]
    return Compared(tuple(comparisons), tuple(total.yields[who] for who in order), heading, relative)


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


def choose_bins(parts: Iterable[Part], names: Sequence[str], most: int) -> dict[str, Floats]:
    """Edges for each variable from some events of every process.

    Args:
        parts: these events.
        names: of the variables.
        most: bins of a variable at most.
    """
    groups: dict[str, list[Group]] = {name: [] for name in names}
    for part in parts:
        for name in names:
            entries = part.entries[name]
            groups[name].append(Group(part.process, part.role, entries.values, entries.weights))
    return {
        name: np.asarray(feature_bins(found, variable_label(name).kind, most).edges, dtype=np.float64)
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
