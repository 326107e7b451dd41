"""Pseudo-events: the leptons of a real event, its host, with the momenta of a decay that fills phase space evenly.

A heavy X of no particular theory decays to the host's leptons, often two of them through a Z, and to particles that
nobody sees. Everything else is the host's: flavours, charges, jets, what is soft. So a classifier of hosts against
pseudo-events learns what heavy decays have in common, and hardly how events are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.distortions.flat import Floats, Ints, Mask, Objects, rebuilt
from anomalon.distortions.phase_space import boosted, decay, isotropic, log_uniform
from anomalon.events import Events
from anomalon.kinematics import M_Z, delta_r, pair_mass

WIDTH_Z = 2.4955
"""Width of the Z boson in GeV."""
_WINDOW_Z = 15.0
"""GeV around the Z mass outside of which none is made."""
_LEPTONS = ("electrons", "muons")
_OVERLAP = 0.4
"""Jets closer than this to a lepton of the host are that lepton: they go with it."""


class PseudoEvents(Settings):
    """How pseudo-events are made.

    Attributes:
        leptons: number of leading leptons of the host that X decays to; hosts with fewer make no pseudo-event.
        jets: number of leading jets that X decays to as well, or as many as the host has.
        invisibles: smallest and largest number of particles in the decay that nobody sees.
        mass_gev: smallest and largest mass of X; its logarithm is uniform.
        through_z: fraction in which the opposite-sign same-flavour pair closest to the Z mass comes from a Z.
        rapidity: width of X's Gaussian rapidity.
    """

    leptons: int = Field(default=3, ge=1, le=6)
    jets: int = Field(default=0, ge=0, le=6)
    invisibles: tuple[int, int] = (1, 3)
    mass_gev: tuple[float, float] = (200.0, 3000.0)
    through_z: float = Field(default=0.5, ge=0, le=1)
    rapidity: float = Field(default=0.8, ge=0)

    @model_validator(mode="after")
    def _ranges(self) -> PseudoEvents:
        fewest, most = self.invisibles
        if not 0 <= fewest <= most:
            raise ValueError(f"invisibles = {fewest} to {most}: expected two numbers, not negative, the smaller first")
        if self.leptons + fewest < 3:
            raise ValueError(f"{self.leptons} leptons and {fewest} invisibles: X needs at least three of them together")
        if not M_Z + 2 * _WINDOW_Z < self.mass_gev[0] <= self.mass_gev[1]:
            raise ValueError(f"mass_gev = {self.mass_gev}: expected two masses above {M_Z + 2 * _WINDOW_Z:.0f} GeV")
        return self

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        four = {f"{name}.{column}" for name in (*_LEPTONS, "jets") for column in ("pt", "eta", "phi")}
        return frozenset({*four, "jets.btag", "electrons.charge", "muons.charge", "met.pt", "met.phi"})

    def make(self, hosts: Events, rng: np.random.Generator) -> tuple[Events, Mask]:
        """Pseudo-events of the hosts that have enough leptons, and which hosts these are, shape (host,).

        Raises:
            MissingFieldError: the hosts lack a field.
        """
        hosts.require(sorted(self.requires), "pseudo-events")
        able = _count(hosts) >= self.leptons
        events = hosts[able]
        if not len(events):
            return events, able
        objects = {name: Objects.read(events, name) for name in (*_LEPTONS, "jets")}
        visible = _Visible.leading(objects, self.leptons)
        objects["jets"] = objects["jets"].taken(~visible.overlap(objects["jets"]))
        jets = _leading_jets(objects["jets"], self.jets)
        momenta = self._decayed(events, visible, jets, objects["jets"], rng)
        return _with_momenta(events, objects, [*visible.places, jets], momenta), able

    def _decayed(
        self, events: Events, visible: _Visible, jets: Ints, of_jets: Objects, rng: np.random.Generator
    ) -> Floats:
        """New four-vectors (event, lepton or jet, 4), NaN where there is no such jet."""
        pair, has_pair = visible.z_pair()
        through_z = has_pair & (rng.random(len(pair)) < self.through_z)
        unseen = rng.integers(self.invisibles[0], self.invisibles[1] + 1, len(pair))
        n_jets = (jets >= 0).sum(axis=1)
        x = self._mothers(events, visible, jets, of_jets, rng)
        momenta = np.full((len(pair), self.leptons + self.jets, 4), np.nan)
        kinds = np.stack([through_z, unseen, n_jets], axis=1)
        for kind in np.unique(kinds, axis=0):
            here = np.flatnonzero((kinds == kind).all(axis=1))
            momenta[here, : self.leptons + kind[2]] = self._alike(x[here], pair[here], kind, rng)
        return momenta

    def _mothers(
        self, events: Events, visible: _Visible, jets: Ints, of_jets: Objects, rng: np.random.Generator
    ) -> Floats:
        """Four-vectors of X: what recoils against the host's other objects has its transverse momentum."""
        n = len(events)
        met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
        px, py = met * np.cos(phi), met * np.sin(phi)
        px += (visible.pt * np.cos(visible.phi)).sum(axis=1)
        py += (visible.pt * np.sin(visible.phi)).sum(axis=1)
        extra = of_jets.momentum(jets[jets >= 0])
        px, py = px + extra[0], py + extra[1]
        mass = log_uniform(self.mass_gev, n, rng)
        m_t, y = np.sqrt(mass**2 + px**2 + py**2), rng.normal(0.0, self.rapidity, n)
        return np.stack([m_t * np.cosh(y), px, py, m_t * np.sinh(y)], axis=1)

    def _alike(self, x: Floats, pair: Ints, kind: Ints, rng: np.random.Generator) -> Floats:
        """Leptons and jets (event, k, 4) of decays of one kind: through a Z or not, so many invisibles and jets."""
        through_z, unseen, n_jets = bool(kind[0]), int(kind[1]), int(kind[2])
        direct = self.leptons - 2 * through_z
        masses = np.zeros((len(x), through_z + direct + n_jets + unseen))
        if through_z:
            masses[:, 0] = _z_masses(len(x), rng)
        mother = np.sqrt(np.maximum(x[:, 0] ** 2 - (x[:, 1:] ** 2).sum(axis=1), 0.0))
        p = boosted(decay(mother, masses, rng), x[:, None])
        if not through_z:
            return p[:, : direct + n_jets]
        rows, half = np.arange(len(x))[:, None], isotropic(0.5 * masses[:, 0], rng)
        of_z = np.stack([half, half * np.array([1.0, -1.0, -1.0, -1.0])], axis=1)
        visible = np.empty((len(x), self.leptons + n_jets, 4))
        visible[rows, pair] = boosted(of_z, p[:, :1])
        visible[rows, _others(pair, self.leptons)] = p[:, 1 : 1 + direct]
        visible[:, self.leptons :] = p[:, 1 + direct : 1 + direct + n_jets]
        return visible


@dataclass(frozen=True)
class _Visible:
    """The leading leptons of each event, shape (event, lepton).

    ``places`` are, per collection, their positions in it or -1.
    """

    pt: Floats
    eta: Floats
    phi: Floats
    charge: Floats
    is_muon: Mask
    places: tuple[Ints, Ints]

    @classmethod
    def leading(cls, objects: dict[str, Objects], number: int) -> _Visible:
        """Find them; every event has at least so many."""
        both = [objects[name] for name in _LEPTONS]
        owner, pt = (
            np.concatenate([o.owner for o in both]),
            np.concatenate([o.columns["pt"] for o in both]),
        )
        order = np.lexsort((-pt, owner))
        first = np.searchsorted(owner[order], np.arange(both[0].n_events))
        chosen = order[first[:, None] + np.arange(number)]
        pt, eta, phi, charge = (
            np.concatenate([o.columns[c] for o in both]).astype(np.float64)[chosen] for c in _COLUMNS
        )
        is_muon = chosen >= len(both[0])
        places = (np.where(is_muon, -1, chosen), np.where(is_muon, chosen - len(both[0]), -1))
        return cls(pt, eta, phi, charge, is_muon, places)

    def z_pair(self) -> tuple[Ints, Mask]:
        """The opposite-sign same-flavour pair closest to the Z mass (event, 2), and whether there is one (event,)."""
        pairs = np.array([*combinations(range(self.pt.shape[1]), 2)] or [(0, 0)])
        first, second = (self._four(pairs[:, side]) for side in (0, 1))
        a, b = pairs.T
        fits = (self.is_muon[:, a] == self.is_muon[:, b]) & (self.charge[:, a] * self.charge[:, b] < 0)
        distance = np.where(fits, np.abs(pair_mass(first, second) - M_Z), np.inf)
        return pairs[distance.argmin(axis=1)], fits.any(axis=1)

    def _four(self, which: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        pt = self.pt[:, which]
        return pt, self.eta[:, which], self.phi[:, which], np.zeros_like(pt)

    def overlap(self, jets: Objects) -> Mask:
        """Which jets are one of the leptons, shape (jet,)."""
        eta, phi = (jets.columns[name].astype(np.float64)[:, None] for name in ("eta", "phi"))
        close = delta_r(eta, phi, self.eta[jets.owner], self.phi[jets.owner]) < _OVERLAP
        return np.asarray(close.any(axis=1))


_COLUMNS = ("pt", "eta", "phi", "charge")


def _count(events: Events) -> Ints:
    return np.asarray(sum(events.lists(name, ("pt",)).counts for name in _LEPTONS))


def _others(pair: Ints, number: int) -> Ints:
    """Positions that are not of the pair, shape (event, number - 2)."""
    left = np.ones((len(pair), number), dtype=bool)
    left[np.arange(len(pair))[:, None], pair] = False
    return np.nonzero(left)[1].reshape(len(pair), number - 2)


def _leading_jets(jets: Objects, number: int) -> Ints:
    """Positions of the leading jets (event, number), -1 where there are fewer; jets are sorted by pT."""
    starts = np.searchsorted(jets.owner, np.arange(jets.n_events + 1))
    places = starts[:-1, None] + np.arange(number)
    return np.where(places < starts[1:, None], places, -1)


def _z_masses(n: int, rng: np.random.Generator) -> Floats:
    """Breit-Wigner masses within a window, by the inverse of their distribution."""
    edge = np.arctan(2.0 * _WINDOW_Z / WIDTH_Z)
    return np.asarray(M_Z + 0.5 * WIDTH_Z * np.tan(rng.uniform(-edge, edge, n)))


def _with_momenta(events: Events, objects: dict[str, Objects], places: list[Ints], momenta: Floats) -> Events:
    """Events in which objects at some places have other momenta; missing transverse momentum answers."""
    n_leptons = places[0].shape[1]
    parts = (momenta[:, :n_leptons], momenta[:, :n_leptons], momenta[:, n_leptons:])
    recoil, replaced = np.zeros((2, len(events))), {}
    for (name, before), place, p in zip(objects.items(), places, parts, strict=True):
        at = place[place >= 0]
        pt, eta, phi = _polar(p[place >= 0])
        after = before.with_values(at, {"pt": pt, "eta": eta, "phi": phi})
        recoil += before.momentum(at) - after.momentum(at)
        replaced[name] = after.by_pt()
    return rebuilt(events, replaced, recoil)


def _polar(p: Floats) -> tuple[npt.NDArray[np.float32], ...]:
    pt = np.maximum(np.hypot(p[:, 1], p[:, 2]), 1e-6)
    columns = (pt, np.arcsinh(p[:, 3] / pt), np.arctan2(p[:, 2], p[:, 1]))
    return tuple(column.astype(np.float32) for column in columns)
