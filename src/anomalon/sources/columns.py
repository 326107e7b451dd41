"""Which branches fill which event fields: the machinery that every format with a tree shares.

A format is a list of :class:`Column` candidates. Where several can fill a field, the first whose branches are all there
is taken. Only the branches of the fields asked for are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import MissingFieldError, suggest
from anomalon.events import COLLECTIONS

CORE = dict.fromkeys(COLLECTIONS, ("pt", "eta", "phi")) | {"met": ("pt", "phi")}
"""Columns without which a collection is of no use."""


@dataclass(frozen=True)
class Column:
    """How to fill one event field: the branches it needs and what to do with them."""

    field: str
    branches: tuple[str, ...]
    compute: Callable[..., Any]


@dataclass(frozen=True)
class ColumnTable:
    """The columns of a format.

    Attributes:
        title: the format in messages, such as ``an ATLAS mini-ntuple``.
        candidates: columns, the preferred one first.
        always: fields read whatever was asked for: the event's ids and everything that its weight is made of.
        on_request: fields read only when they are named one by one.
    """

    title: str
    candidates: tuple[Column, ...]
    always: tuple[str, ...] = ("run", "lumi", "event", "gen_weight")
    on_request: frozenset[str] = field(default_factory=frozenset)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that the format can have, in order."""
        return tuple(dict.fromkeys(column.field for column in self.candidates))

    def available(self, branches: Collection[str]) -> dict[str, Column]:
        """Event fields that these branches can fill, each with its first complete candidate."""
        have = set(branches)
        found: dict[str, Column] = {}
        for column in self.candidates:
            if have.issuperset(column.branches):
                found.setdefault(column.field, column)
        return found

    def looked_for(self, name: str) -> str:
        """Branches that could fill a field, for messages."""
        return " or ".join(" + ".join(dict.fromkeys(c.branches)) for c in self.candidates if c.field == name)

    def missing(self, branches: Collection[str], skip: Collection[str] = ()) -> dict[str, str]:
        """Fields that these branches cannot fill, and the branches looked for; those in ``skip`` are not missed."""
        have = self.available(branches)
        heads = {name.partition(".")[0] for name in have}
        lost: dict[str, str] = {}
        for name in self.fields:
            head = name.partition(".")[0]
            if name not in have and name not in skip:
                whole = head in CORE and head not in heads
                lost.setdefault(head if whole else name, self.looked_for(f"{head}.pt" if whole else name))
        return lost

    def resolve(
        self, fields: Iterable[str] | None, branches: Collection[str], *, where: str, skip: Collection[str] = ()
    ) -> tuple[Column, ...]:
        """Columns to read for the fields asked for; ids, weights and each collection's pT come with them.

        Args:
            fields: dotted names or collections; None for all that the branches can fill.
            branches: names in the file.
            where: the file, for messages.
            skip: fields that this kind of sample does not have, such as the generator weight of collision data.

        Raises:
            MissingFieldError: names the branches that are needed and not there, and near names that are.
        """
        have = self.available(branches)
        names = [f for f in have if f not in self.on_request] if fields is None else fields
        wanted = self._wanted(names, have) - set(skip) - {"dataset"}
        lost = sorted(wanted - set(have))
        if lost:
            raise MissingFieldError(self._complaint(lost, branches, where))
        return tuple(column for name, column in have.items() if name in wanted)

    def _wanted(self, fields: Iterable[str], have: Collection[str]) -> set[str]:
        wanted = set(self.always)
        heads = {name.partition(".")[0] for name in self.fields if "." in name}
        for name in fields:
            head, _, tail = name.partition(".")
            if head in CORE:
                wanted |= {f"{head}.pt"}
            if tail or head not in heads:
                wanted.add(name)
            else:
                parts = {f for f in have if f.startswith(f"{name}.") and f not in self.on_request}
                wanted |= parts | {f"{name}.{c}" for c in CORE.get(name, ())} or {name}
        return wanted

    def _complaint(self, lost: Sequence[str], branches: Collection[str], where: str) -> str:
        known = self.fields
        unknown = [name for name in lost if name not in known]
        if unknown:
            return f"{where}: no field '{unknown[0]}' in {self.title}; {suggest(unknown[0], [*known, *CORE])}"
        needs = ", ".join(f"{name} needs {self.looked_for(name)}" for name in lost)
        near = suggest(self.looked_for(lost[0]).split(" ")[0], branches)
        found = f"; {near}" if near.startswith("did you mean") else f"; the file has {_some_of(branches)}"
        return f"{where}: missing branch: {needs}{found}"


def branches_of(columns: Sequence[Column]) -> list[str]:
    """Every branch that these columns need, once."""
    return list(dict.fromkeys(branch for column in columns for branch in column.branches))


def as_type(dtype: Any) -> Callable[[Any], Any]:
    """Convert the numbers of a branch."""
    return lambda values: ak.values_astype(values, dtype)


def constant(value: float, dtype: Any) -> Callable[[Any], Any]:
    """One value for every entry of a branch."""
    return lambda values: ak.values_astype(ak.full_like(values, value, dtype=np.float64), dtype)


def ratio(numerator: Any, denominator: Any) -> Any:
    """Quotient in single precision; NaN, never 0, where the denominator is not positive."""
    good = denominator > 0
    return ak.values_astype(ak.where(good, numerator / ak.where(good, denominator, 1), np.nan), np.float32)


def _some_of(branches: Collection[str], n: int = 5) -> str:
    names = sorted(branches)
    return ", ".join(names[:n]) + (f", ... ({len(names)} in all)" if len(names) > n else "")
