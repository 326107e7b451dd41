"""Objects taken for something else: their momentum stays, their type changes."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.distortions.flat import Columns, Draws, Mask, Objects, rebuilt
from anomalon.distortions.which import Which
from anomalon.events import Events
from anomalon.kinematics import M_ELECTRON, M_MUON

_MASSES = {"electrons": M_ELECTRON, "muons": M_MUON, "photons": 0.0}
_OF_A_GOOD_ONE = {"mass": 0.0, "isolation": 0.0, "d0_significance": 0.0, "id": 4.0}


class Swap(Settings):
    """Take objects for something else: a jet for an electron, an electron for a photon, a jet for a b-jet.

    The momentum and every column that both collections have travel with the object, so missing transverse momentum
    stays. Electrons, muons and photons get the mass of the particle. Columns that only the target has are those of a
    good object: isolation 0, d0_significance 0, id 4 (tight), a charge of either sign with equal chance; numbers that
    nobody measured are NaN. A jet is b-tagged as ``to`` says, and its ``btag_score`` is NaN where the tag is new.

    Attributes:
        which: the objects; not fat jets, whose momentum is that of jets already.
        to: what they become; ``jets`` are without a b-tag, ``bjets`` are jets with one.
        probability: of each object to be swapped.
    """

    kind: Literal["swap"] = "swap"
    which: Which
    to: Literal["electrons", "muons", "photons", "jets", "bjets"]
    probability: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.which.collection == "fatjets":
            raise ValueError("fatjets cannot be swapped, the jets have their momentum already; swap jets")
        return self

    @property
    def target(self) -> str:
        """The collection that the objects end in."""
        return "jets" if self.to == "bjets" else self.to

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        columns = ("pt", "eta", "phi", *(("btag",) if self.target == "jets" else ()))
        return self.which.requires | {f"{self.target}.{column}" for column in columns}

    def apply(self, events: Events, draws: Draws) -> Events:
        """Distort events."""
        found = self.which.find(events, draws, self.probability)
        if self.target in found and self.target == "jets":
            return rebuilt(events, {"jets": self._tagged(*found["jets"])})
        moving = {name: pair for name, pair in found.items() if name != self.target and pair[1].any()}
        target = found[self.target][0] if self.target in found else Objects.read(events, self.target)
        replaced = {}
        for name, (objects, mask) in moving.items():
            replaced[name] = objects.taken(~mask)
            target = self._joined(target, name, objects.taken(mask), draws)
        return rebuilt(events, replaced | {self.target: target.by_pt()} if replaced else {})

    def _tagged(self, jets: Objects, mask: Mask) -> Objects:
        tag = self.to == "bjets"
        at = np.flatnonzero(mask & (jets.columns["btag"].astype(bool) != tag))
        return jets.with_values(at, {"btag": tag, "btag_score": np.nan})

    def _joined(self, target: Objects, name: str, objects: Objects, draws: Draws) -> Objects:
        new = dict(objects.columns) | {"btag": np.full(len(objects), self.to == "bjets")}
        if self.target in _MASSES:
            new["mass"] = np.full(len(objects), _MASSES[self.target])
        if "charge" in target.columns and "charge" not in new:
            numbers = draws.uniform(f"{name}/charge", objects.owner, objects.place)
            new["charge"] = np.where(numbers < 0.5, -1, 1)
        columns = {c: _column(c, values.dtype, new, len(objects)) for c, values in target.columns.items()}
        return target.joined(objects.owner, columns)


def _column(name: str, dtype: np.dtype[Any], columns: Columns, n: int) -> npt.NDArray[Any]:
    """A column as the target has it: the object's own, or that of a good object, or that of no measurement."""
    if name in columns:
        return columns[name].astype(dtype)
    unknown = np.nan if np.issubdtype(dtype, np.floating) else 0
    return np.full(n, _OF_A_GOOD_ONE.get(name, unknown), dtype=dtype)
