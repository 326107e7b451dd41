"""Which objects a distortion is about."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.distortions.flat import Columns, Draws, Mask, Objects, order_by_pt, runs
from anomalon.events import Events


class Which(Settings):
    """The objects for which all of this holds.

    Attributes:
        collection: where they are; ``leptons`` are electrons and muons together.
        btag: only b-jets (true) or only the other jets (false).
        pt_min, pt_max: GeV, the lower end included and the upper one not.
        eta_min, eta_max: the same of the absolute value of eta.
        rank: only the object at this place, from 1, by decreasing pT among those of its event that pass the other cuts.
    """

    collection: Literal["electrons", "muons", "photons", "jets", "fatjets", "leptons"]
    btag: bool | None = None
    pt_min: float = Field(default=0.0, ge=0)
    pt_max: float | None = None
    eta_min: float = Field(default=0.0, ge=0)
    eta_max: float | None = None
    rank: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.btag is not None and self.collection != "jets":
            raise ValueError(f"'btag' is a property of jets, {self.collection} have none; leave it out")
        for name, low, high in (("pt", self.pt_min, self.pt_max), ("eta", self.eta_min, self.eta_max)):
            if high is not None and high <= low:
                raise ValueError(f"{name}_max = {high:g} must be above {name}_min = {low:g}")
        return self

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections of the events that are meant."""
        return ("electrons", "muons") if self.collection == "leptons" else (self.collection,)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read."""
        columns = ("pt", "eta", "phi", *(("btag",) if self.btag is not None else ()))
        return frozenset(f"{name}.{column}" for name in self.collections for column in columns)

    def find(self, events: Events, draws: Draws, probability: float = 1.0) -> dict[str, tuple[Objects, Mask]]:
        """By collection all objects, and a mask of those that are meant and that chance picks, shape (object,)."""
        objects = {name: Objects.read(events, name) for name in self.collections}
        masks = {name: self._passes(found.columns) for name, found in objects.items()}
        if self.rank is not None:
            masks = _of_rank(self.rank, objects, masks)
        if probability < 1.0:
            masks = {n: _picked(n, objects[n], mask, draws=draws, probability=probability) for n, mask in masks.items()}
        return {name: (objects[name], masks[name]) for name in objects}

    def _passes(self, columns: Columns) -> Mask:
        pt, eta = columns["pt"], np.abs(columns["eta"])
        mask = np.ones(len(pt), dtype=bool) if self.btag is None else columns["btag"].astype(bool) == self.btag
        for values, low, high in ((pt, self.pt_min, self.pt_max), (eta, self.eta_min, self.eta_max)):
            mask &= values >= low
            if high is not None:
                mask &= values < high
        return mask


def _of_rank(rank: int, objects: dict[str, Objects], masks: dict[str, Mask]) -> dict[str, Mask]:
    """Of the objects of all collections together, the one at a rank in each event."""
    owner = np.concatenate([found.owner[masks[name]] for name, found in objects.items()])
    order = order_by_pt(owner, np.concatenate([f.columns["pt"][masks[name]] for name, f in objects.items()]))
    chosen = np.zeros(len(owner), dtype=bool)
    chosen[order] = runs(owner[order])[1] == rank - 1
    parts = np.split(chosen, np.cumsum([np.count_nonzero(mask) for mask in masks.values()])[:-1])
    return {name: _spread(mask, part) for (name, mask), part in zip(masks.items(), parts, strict=True)}


def _picked(name: str, objects: Objects, mask: Mask, *, draws: Draws, probability: float) -> Mask:
    """Of the objects of a mask, those that chance picks."""
    numbers = draws.uniform(f"{name}/picked", objects.owner[mask], objects.place[mask])
    return _spread(mask, numbers < probability)


def _spread(mask: Mask, part: Mask) -> Mask:
    """A mask over the true entries of another one, as a mask over all entries."""
    spread = np.zeros_like(mask)
    spread[mask] = part
    return spread
