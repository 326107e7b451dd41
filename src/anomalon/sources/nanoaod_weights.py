"""Weights of simulated NanoAOD beside the generator's: named factors with their variations, read when asked for.

A factor is read only by name: the nominal pile-up and prefiring weights change the yields, so whoever wants them says
so, and the lists of weights are larger than many a collection. All are ratios to the generator weight:

- ``pileup`` and ``prefiring``: nominal, up and down as they are in the file.
- ``scale``, ``muR``, ``muF``: 1, with the renormalisation and factorisation scales times 2 (Up) and 1/2 (Down): both
  together, or one alone. The list is sorted by muR, then muF; with eight entries the nominal one is left out.
- ``isr``, ``fsr``: 1, with the scale of the parton shower times 2 (Up) and 1/2 (Down), as the title of the branch
  says. Up to version 8 it puts 0.5 first, later 2 first; without a title the later order holds. Of generators that
  call their variations Hi and Lo, half the scale is titled 2.
- ``pdf_17``: 1, and Up is entry 17 of the list of parton densities; the title of the branch names the set.

Ref: cmssw, PhysicsTools/NanoAOD/plugins/GenWeightsTableProducer.cc (order and titles of the lists);
https://cms-nanoaod-integration.web.cern.ch/autoDoc (branches by version).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError, MissingFieldError, suggest
from anomalon.sources import nanoaod_columns
from anomalon.sources.baskets import Flat
from anomalon.sources.nanoaod_columns import Column

HEAD = "factors"
PER_EVENT: Mapping[str, tuple[str, str, str]] = {
    "pileup": ("puWeight", "puWeightUp", "puWeightDown"),
    "prefiring": ("L1PreFiringWeight_Nom", "L1PreFiringWeight_Up", "L1PreFiringWeight_Dn"),
}
"""Branches with the nominal, the upper and the lower weight of each event."""
_SCALES, _SHOWER, _DENSITIES = "LHEScaleWeight", "PSWeight", "LHEPdfWeight"
Place = Callable[[int], int | None]
"""Which entry of a list it is, by the number of its entries; None where that is not known."""
LISTS: Mapping[str, tuple[str, Mapping[int, int], Mapping[int, int]]] = {
    "scale": (_SCALES, {9: 8, 8: 7}, {9: 0, 8: 0}),
    "muR": (_SCALES, {9: 7, 8: 6}, {9: 1, 8: 1}),
    "muF": (_SCALES, {9: 5, 8: 4}, {9: 3, 8: 3}),
    "isr": (_SHOWER, {4: 0}, {4: 2}),
    "fsr": (_SHOWER, {4: 1}, {4: 3}),
}
"""Branch with a list of weights per event, and the entries that are Up and Down, by the number of entries."""
_OLD_SHOWER = re.compile(r"\[0\] is ISR=0\.5")
_MEMBER = re.compile(r"pdf_(\d+)")


def split(fields: Iterable[str] | None, branches: Collection[str]) -> tuple[list[str] | None, list[str]]:
    """Fields of :mod:`nanoaod_columns`, and the factors of this module among those asked for.

    Args:
        fields: dotted names or collections; None for all but these factors.
        branches: names in the file; factors that ``anomalon export`` wrote are no matter of this module.
    """
    if fields is None:
        return None, []
    asked = list(fields)
    exported = nanoaod_columns.available(branches)
    ours = [f for f in asked if f.partition(".")[0] == HEAD and f not in exported]
    return [f for f in asked if f not in ours], ours


def available(branches: Collection[str]) -> tuple[str, ...]:
    """Factors that these branches can fill, without the members of the parton densities."""
    have = set(branches)
    needed = {name: nominal for name, (nominal, _, _) in PER_EVENT.items()}
    needed |= {name: branch for name, (branch, _, _) in LISTS.items()}
    return tuple(name for name, branch in needed.items() if branch in have)


def resolve(
    asked: Sequence[str], branches: Collection[str], *, title: Callable[[str], str], where: str
) -> tuple[Column, ...]:
    """Columns of the factors asked for, each with its variations; none for collision data, which has no weight.

    Args:
        asked: such as ``factors.scale`` or ``factors.scaleUp``; ``factors`` stands for all that there are.
        branches: names in the file.
        title: the title of a branch.
        where: the file, for messages.

    Raises:
        MissingFieldError: the file lacks the branch of a factor, or there is no such factor.
    """
    if nanoaod_columns.is_collision_data(branches):
        return ()
    names = [name for field in asked for name in ([_base(field)] if field != HEAD else available(branches))]
    if asked and not names:
        raise MissingFieldError(f"{where}: no weight factors; they need {', '.join(sorted(_every_branch()))}")
    return tuple(column for name in dict.fromkeys(names) for column in _columns(name, branches, title, where))


def _base(field: str) -> str:
    return re.sub(r"(Up|Down)$", "", field.partition(".")[2])


def _every_branch() -> set[str]:
    return {branch for branch, _, _ in (*PER_EVENT.values(), *LISTS.values())}


def _columns(name: str, branches: Collection[str], title: Callable[[str], str], where: str) -> list[Column]:
    branch, varied = _varied(name, title, where)
    if branch not in branches:
        have = ", ".join(available(branches)) or "none"
        raise MissingFieldError(
            f"{where}: missing branch: {HEAD}.{name} needs {branch}; factors that the file has: {have}"
        )
    if name in PER_EVENT:
        ends = zip(("", "Up", "Down"), PER_EVENT[name], strict=True)
        return [_column(name + end, b, _plain(b, where)) for end, b in ends if b in branches]
    nominal = _column(name, branch, lambda weights: np.ones(weights.n_events))
    return [nominal, *(_column(full, branch, _entry(place, full, branch, where)) for full, place in varied.items())]


def _varied(name: str, title: Callable[[str], str], where: str) -> tuple[str, dict[str, Place]]:
    """The branch of a factor, and where in its lists the variations are."""
    if name in PER_EVENT:
        return PER_EVENT[name][0], {}
    if name in LISTS:
        branch, up, down = LISTS[name]
        if branch == _SHOWER and _OLD_SHOWER.search(title(branch)):
            up, down = down, up
        return branch, {f"{name}Up": up.get, f"{name}Down": down.get}
    member = _MEMBER.fullmatch(name)
    if member is None:
        known = [*PER_EVENT, *LISTS, "pdf_0"]
        raise MissingFieldError(f"{where}: no weight factor '{name}' in NanoAOD; {suggest(name, known)}")
    place = int(member[1])
    return _DENSITIES, {f"{name}Up": lambda n: place if place < n else None}


def _column(name: str, branch: str, compute: Callable[[Flat], Any]) -> Column:
    return Column(f"{HEAD}.{name}", (branch,), compute, whole=True)


def _plain(branch: str, where: str) -> Callable[[Flat], npt.NDArray[np.float64]]:
    return lambda weights: _finite(weights.values.astype(np.float64), branch, where)


def _entry(place: Place, name: str, branch: str, where: str) -> Callable[[Flat], npt.NDArray[np.float64]]:
    """One entry of each event's list; 1 where the list is empty or has a single entry, which stands for none."""

    def pick(weights: Flat) -> npt.NDArray[np.float64]:
        if weights.offsets is None:
            raise InputFileError(f"{where}: {branch} has one number per event; NanoAOD has a list of weights")
        counts = np.diff(weights.offsets)
        result = np.ones(len(counts))
        for n in np.unique(counts[counts > 1]).tolist():
            at = place(n)
            if at is None:
                raise InputFileError(f"{where}: {branch} has {n} entries in an event, of which none is known as {name}")
            own = counts == n
            result[own] = weights.values[weights.offsets[:-1][own] + at]
        return _finite(result, branch, where)

    return pick


def _finite(values: npt.NDArray[np.float64], branch: str, where: str) -> npt.NDArray[np.float64]:
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputFileError(
            f"{where}: {int(bad.sum())} of {len(values)} values of {branch} are not finite; do not ask for this factor"
        )
    return values
