"""The particle cloud: every object of an event with its kind, pT, eta, phi and energy, and how many there are.

A slot such as ``jet2`` is the second hardest jet; an event with fewer objects than slots has no value there, and the
counts tell of objects beyond the last slot. Azimuths are those from the missing momentum, in (-pi, pi]: an event that
is turned around the beam stays the same. The representation of the Dark Machines challenge, arXiv:2105.14027, with
fixed slots per kind in place of one list.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.errors import suggest
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.kinematics import delta_phi, delta_r, energy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COLLECTIONS = {"e": "electrons", "mu": "muons", "photon": "photons", "bjet": "jets", "jet": "jets"}
"""Kind of an object -> the collection that it is in."""
OF_AN_OBJECT = ("pt", "eta", "phi", "energy")


class ParticleCloud(Settings):
    """Objects as features.

    Attributes:
        slots: number of hardest objects of each kind; a b-tagged jet is a ``bjet`` only. A kind without is not read.
        pt_min: in GeV, of each kind.
        eta_max: of every object.
        overlap_dr: jets closer than this to an electron or muon of the cloud are that lepton, and do not count.

    >>> cloud = ParticleCloud(slots={"mu": 1})
    >>> cloud.names
    ('MET_pt', 'n_mu', 'mu1_pt', 'mu1_eta', 'mu1_phi', 'mu1_energy')
    >>> muon = {"pt": 30.0, "eta": 0.0, "phi": 2.0}
    >>> seen = cloud.transform(Events.from_dicts([{"muons": [muon], "met": {"pt": 9.0, "phi": 1.0}}, {}]))
    >>> seen.values[0].round(3).tolist(), seen.mask[1].tolist()
    ([9.0, 1.0, 30.0, 0.0, 1.0, 30.0], [True, True, False, False, False, False])
    """

    slots: dict[str, int] = Field(default={"e": 3, "mu": 3, "photon": 1, "bjet": 2, "jet": 5})
    pt_min: dict[str, float] = Field(default={"e": 10.0, "mu": 10.0, "photon": 20.0, "bjet": 30.0, "jet": 30.0})
    eta_max: float = Field(default=2.5, gt=0)
    overlap_dr: float = Field(default=0.4, ge=0)

    @model_validator(mode="after")
    def _known(self) -> ParticleCloud:
        for key, values in (("slots", self.slots), ("pt_min", self.pt_min)):
            for kind, value in values.items():
                if kind not in COLLECTIONS:
                    raise ValueError(f"{key}: no kind of object '{kind}'; {suggest(kind, COLLECTIONS)}")
                if value < 0:
                    raise ValueError(f"{key}.{kind} = {value:g}: must not be negative")
        if not self.kinds:
            raise ValueError(f"slots = {self.slots}: the cloud is empty; give a kind at least one slot")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of objects that are read, in the order of the columns."""
        return tuple(kind for kind in COLLECTIONS if self.slots.get(kind, 0) > 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        objects = (
            f"{kind}{k + 1}_{column}"
            for kind in self.kinds for k in range(self.slots[kind]) for column in OF_AN_OBJECT
        )  # fmt: skip
        return ("MET_pt", *(f"n_{kind}" for kind in self.kinds), *objects)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        found = {f"{COLLECTIONS[kind]}.{column}" for kind in self.kinds for column in ("pt", "eta", "phi")}
        jets = {"jets.mass", "jets.btag"} if {"jet", "bjet"} & {*self.kinds} else set()
        return frozenset({"met.pt", "met.phi", *found, *jets})

    def transform(self, events: Events) -> Features:
        """Compute the features, float32 (event, feature).

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "feature set 'cloud'")
        n, met_phi = len(events), events.numbers("met.phi").astype(np.float64)
        columns: list[Floats] = []
        counts: list[Floats] = []
        leptons: list[tuple[Ints, Floats, Floats]] = []
        for kind in self.kinds:
            owner, objects = self._objects(events, kind, leptons)
            if kind in ("e", "mu"):
                leptons.append((owner, objects["eta"], objects["phi"]))
            objects["phi"] = delta_phi(objects["phi"], met_phi[owner])
            counts.append(np.bincount(owner, minlength=n).astype(np.float64))
            columns += _slots(owner, objects, n, self.slots[kind])
        met = events.numbers("met.pt").astype(np.float64)
        values = np.stack([met, *counts, *columns], axis=1).astype(np.float32)
        return Features(values, ~np.isnan(values) | self._scalars, self.names)

    @property
    def _scalars(self) -> npt.NDArray[np.bool_]:
        """Columns that every event has: NaN there is a broken file."""
        return np.arange(len(self.names)) <= len(self.kinds)

    def _objects(
        self, events: Events, kind: str, leptons: list[tuple[Ints, Floats, Floats]]
    ) -> tuple[Ints, dict[str, Floats]]:
        """Event of each object of a kind, hardest first in each, and its columns."""
        of_jets = ("mass", "btag") if COLLECTIONS[kind] == "jets" else ()
        lists = events.lists(COLLECTIONS[kind], ("pt", "eta", "phi", *of_jets))
        owner, place = lists.objects_of(np.arange(len(events)))
        objects = {name: column[place].astype(np.float64) for name, column in lists.columns.items()}
        keep = (objects["pt"] > self.pt_min.get(kind, 0.0)) & (abs(objects["eta"]) < self.eta_max)
        if of_jets:
            keep &= (objects["btag"] > 0) == (kind == "bjet")
            keep &= ~self._overlap(owner, objects, leptons, len(events))
        owner, objects = owner[keep], {name: column[keep] for name, column in objects.items()}
        objects["energy"] = energy(objects["pt"], objects["eta"], objects.get("mass", 0.0))
        return owner, objects

    def _overlap(
        self, owner: Ints, jets: dict[str, Floats], leptons: list[tuple[Ints, Floats, Floats]], n: int
    ) -> npt.NDArray[np.bool_]:
        """Which jets are a lepton of the cloud."""
        close = np.zeros(len(owner), dtype=np.bool_)
        for of_lepton, eta, phi in leptons:
            for eta_k, phi_k in _ranks(of_lepton, eta, phi, n):
                close |= delta_r(jets["eta"], jets["phi"], eta_k[owner], phi_k[owner]) <= self.overlap_dr
        return close


def _ranks(owner: Ints, eta: Floats, phi: Floats, n: int) -> Iterator[tuple[Floats, Floats]]:
    """Directions of the first lepton of every event, of the second and so on; NaN where there is none."""
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    for k in range(int(rank.max(initial=-1)) + 1):
        found = np.full((2, n), np.nan)
        found[:, owner[rank == k]] = eta[rank == k], phi[rank == k]
        yield found[0], found[1]


def _slots(owner: Ints, objects: dict[str, Floats], n: int, number: int) -> list[Floats]:
    """Columns of the first objects of every event, NaN where there are fewer."""
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    columns = []
    for k in range(number):
        for name in OF_AN_OBJECT:
            column = np.full(n, np.nan)
            column[owner[rank == k]] = objects[name][rank == k]
            columns.append(column)
    return columns
