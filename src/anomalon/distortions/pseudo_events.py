"""Pseudo-events: the leptons of a real event, its host, with the momenta of a decay that fills phase space evenly.

A heavy X of no particular theory decays to the host's leptons, often two of them through a Z, perhaps to jets, and to
particles that nobody sees. Everything else is the host's: flavours, charges, other jets, what is soft. So a classifier
of hosts against pseudo-events learns what heavy decays have in common, and hardly how events are simulated.
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
from anomalon.kinematics import M_W, M_Z, delta_r, pair_mass


@dataclass(frozen=True)
class Boson:
    """Mass and width in GeV, and how far from the mass one is made."""

    mass: float
    width: float
    window: float


Z, W = Boson(M_Z, 2.4955, 15.0), Boson(M_W, 2.085, 10.0)
_LEPTONS = ("electrons", "muons")
_OVERLAP = 0.4
"""Jets closer than this to a lepton of the host are that lepton: they go with it."""
_VISIBLE = 2
"""X decays to at least so many leptons and jets."""
_SOFTEST = 1e-6
"""GeV: no transverse momentum is zero."""


class PseudoEvents(Settings):
    """How pseudo-events are made.

    Attributes:
        leptons: X decays to so many of the host's leading leptons, or to as many as it has.
        jets: to so many of its leading jets as well, or to as many as it has. A host with fewer than two leptons and
            jets for X makes no pseudo-event.
        invisibles: smallest and largest number of particles in the decay that nobody sees.
        mass_gev: smallest and largest mass of X; its logarithm is uniform.
        through_z: fraction in which the opposite-sign same-flavour pair closest to the Z mass comes from a Z.
        through_w: fraction in which the leading lepton that is not of that pair comes from a W, with one of the
            invisible particles.
        rapidity: width of X's Gaussian rapidity.
    """

    leptons: int = Field(default=3, ge=0, le=6)
    jets: int = Field(default=0, ge=0, le=6)
    invisibles: tuple[int, int] = (1, 3)
    mass_gev: tuple[float, float] = (200.0, 3000.0)
    through_z: float = Field(default=0.5, ge=0, le=1)
    through_w: float = Field(default=0.0, ge=0, le=1)
    rapidity: float = Field(default=0.8, ge=0)

    @model_validator(mode="after")
    def _ranges(self) -> PseudoEvents:
        fewest, most = self.invisibles
        if not 1 <= fewest <= most:
            raise ValueError(f"invisibles = {fewest} to {most}: expected two numbers from 1 on, the smaller first")
        if self.leptons + self.jets < _VISIBLE:
            raise ValueError(f"{self.leptons} leptons and {self.jets} jets: X needs at least two of them together")
        if not self._lightest < self.mass_gev[0] <= self.mass_gev[1]:
            raise ValueError(f"mass_gev = {self.mass_gev}: expected two masses above {self._lightest:.0f} GeV")
        return self

    @property
    def _lightest(self) -> float:
        """GeV: what X weighs more than, for its bosons to fit in."""
        return sum(b.mass + b.window for b in (Z, W)) if self.through_w else Z.mass + 2 * Z.window

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        four = {f"{name}.{column}" for name in (*_LEPTONS, "jets") for column in ("pt", "eta", "phi")}
        return frozenset({*four, "jets.btag", "electrons.charge", "muons.charge", "met.pt", "met.phi"})

    def make(self, hosts: Events, rng: np.random.Generator) -> tuple[Events, Mask]:
        """Pseudo-events of the hosts that have enough leptons and jets, and which hosts these are, shape (host,).

        Raises:
            MissingFieldError: the hosts lack a field.
        """
        hosts.require(sorted(self.requires), "pseudo-events")
        able = _Host.of(hosts, self).visible.sum(axis=1) >= _VISIBLE
        events = hosts[able]
        if not len(events):
            return events, able
        host = _Host.of(events, self)
        return _with_momenta(events, host, self._decayed(events, host, rng)), able

    def _decayed(self, events: Events, host: _Host, rng: np.random.Generator) -> Floats:
        """New four-vectors (event, lepton or jet, 4), NaN where there is no such object."""
        pair, has_pair = host.z_pair()
        single, has_single = host.single(pair, has_pair)
        through_z, through_w = (
            there & (rng.random(len(there)) < fraction)
            for there, fraction in ((has_pair, self.through_z), (has_single, self.through_w))
        )
        unseen = rng.integers(self.invisibles[0], self.invisibles[1] + 1, len(pair))
        x = self._mothers(events, host, rng)
        momenta = np.full((*host.visible.shape, 4), np.nan)
        kinds = np.column_stack([through_z, through_w, unseen, host.visible])
        for kind in np.unique(kinds, axis=0):
            here = np.flatnonzero((kinds == kind).all(axis=1))
            at = np.ix_(here, np.flatnonzero(kind[3:]))
            visible = int(kind[3:].sum())
            neutrino = np.full(len(here), visible)
            bosons = [(Z, pair[here])] * int(kind[0]) + [(W, np.column_stack([single[here], neutrino]))] * int(kind[1])
            momenta[at] = _alike(x[here], bosons, visible, int(kind[2]) - int(kind[1]), rng)
        return momenta

    def _mothers(self, events: Events, host: _Host, rng: np.random.Generator) -> Floats:
        """Four-vectors of X: what recoils against the host's other objects has its transverse momentum."""
        met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
        px = met * np.cos(phi) + (host.pt * np.cos(host.phi)).sum(axis=1)
        py = met * np.sin(phi) + (host.pt * np.sin(host.phi)).sum(axis=1)
        mass = log_uniform(self.mass_gev, len(events), rng)
        m_t, y = np.sqrt(mass**2 + px**2 + py**2), rng.normal(0.0, self.rapidity, len(events))
        return np.stack([m_t * np.cosh(y), px, py, m_t * np.sinh(y)], axis=1)


def _alike(x: Floats, bosons: list[tuple[Boson, Ints]], visible: int, unseen: int, rng: np.random.Generator) -> Floats:
    """Leptons and jets (event, object, 4) of decays of one kind.

    Args:
        x: four-vectors of the mothers, (event, 4).
        bosons: those that X decays to, and to which two objects each of them does, (event, 2); ``visible`` is the
            position of a neutrino.
        visible: number of leptons and jets.
        unseen: number of invisible particles of X.
        rng: random numbers.
    """
    rows, momenta = np.arange(len(x))[:, None], np.empty((len(x), visible + 1, 4))
    masses = [_masses(boson, len(x), rng) for boson, _ in bosons]
    alone = _others([places for _, places in bosons], len(x), visible)
    daughters = np.column_stack([*masses, np.zeros((len(x), alone.shape[1] + unseen))])
    mother = np.sqrt(np.maximum(x[:, 0] ** 2 - (x[:, 1:] ** 2).sum(axis=1), 0.0))
    p = boosted(decay(mother, daughters, rng), x[:, None])
    for k, (_, places) in enumerate(bosons):
        half = isotropic(0.5 * masses[k], rng)
        back_to_back = np.stack([half, half * np.array([1.0, -1.0, -1.0, -1.0])], axis=1)
        momenta[rows, places] = boosted(back_to_back, p[:, k : k + 1])
    momenta[rows, alone] = p[:, len(bosons) : len(bosons) + alone.shape[1]]
    return momenta[:, :visible]


@dataclass(frozen=True)
class _Host:
    """What of each event X decays to: its leading leptons, then its leading jets, (event, object).

    Attributes:
        objects: the collections, without jets that are one of the leptons.
        places: per collection, positions in it or -1.
        pt, eta, phi: of the objects; 0 where there is none.
        charge: of the leptons.
        n_leptons: number of columns of leptons.
    """

    objects: dict[str, Objects]
    places: dict[str, Ints]
    pt: Floats
    eta: Floats
    phi: Floats
    charge: Floats
    n_leptons: int

    @classmethod
    def of(cls, events: Events, settings: PseudoEvents) -> _Host:
        """Find them."""
        objects = {name: Objects.read(events, name) for name in (*_LEPTONS, "jets")}
        places = _leading_leptons([objects[name] for name in _LEPTONS], settings.leptons)
        e, mu = (_columns(objects[name], place) for name, place in zip(_LEPTONS, places, strict=True))
        leptons = {c: e[c] + mu[c] for c in ("pt", "eta", "phi", "charge")}
        found = np.maximum(*places) >= 0
        objects["jets"] = objects["jets"].taken(~_overlap(objects["jets"], leptons, found))
        jets = _leading(objects["jets"], settings.jets)
        of_jets = _columns(objects["jets"], jets)
        pt, eta, phi = (np.concatenate([leptons[c], of_jets[c]], axis=1) for c in ("pt", "eta", "phi"))
        named = dict(zip((*_LEPTONS, "jets"), (*places, jets), strict=True))
        return cls(objects, named, pt, eta, phi, leptons["charge"], settings.leptons)

    @property
    def visible(self) -> Mask:
        """Whether there is such an object, (event, object)."""
        leptons = np.maximum(*(self.places[name] for name in _LEPTONS))
        return np.concatenate([leptons, self.places["jets"]], axis=1) >= 0

    def z_pair(self) -> tuple[Ints, Mask]:
        """The opposite-sign same-flavour pair closest to the Z mass (event, 2), and whether there is one (event,)."""
        pairs = np.array([*combinations(range(self.n_leptons), 2)] or [(0, 0)])
        if not self.n_leptons:
            return np.zeros((len(self.pt), 2), dtype=np.int64), np.zeros(len(self.pt), dtype=np.bool_)
        a, b = pairs.T
        is_muon = self.places["muons"] >= 0
        fits = (is_muon[:, a] == is_muon[:, b]) & (self.charge[:, a] * self.charge[:, b] < 0)
        distance = np.where(fits, np.abs(pair_mass(self._four(a), self._four(b)) - M_Z), np.inf)
        return pairs[distance.argmin(axis=1)], fits.any(axis=1)

    def single(self, pair: Ints, has_pair: Mask) -> tuple[Ints, Mask]:
        """The leading lepton that is not of the pair (event,), and whether there is one."""
        free = self.visible[:, : self.n_leptons].copy()
        rows = np.flatnonzero(has_pair)
        free[rows[:, None], pair[rows]] = False
        if not self.n_leptons:
            return np.zeros(len(free), dtype=np.int64), np.zeros(len(free), dtype=np.bool_)
        return np.asarray(free.argmax(axis=1)), np.asarray(free.any(axis=1))

    def _four(self, which: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        pt = np.maximum(self.pt[:, which], _SOFTEST)
        return pt, self.eta[:, which], self.phi[:, which], np.zeros_like(pt)


def _leading_leptons(both: list[Objects], number: int) -> tuple[Ints, Ints]:
    """Positions among electrons and among muons of the leading leptons of each event (event, number), or -1."""
    owner, pt = (np.concatenate(x) for x in zip(*((o.owner, o.columns["pt"]) for o in both), strict=True))
    order = np.lexsort((-pt, owner))
    starts = np.searchsorted(owner[order], np.arange(both[0].n_events + 1))
    rank = starts[:-1, None] + np.arange(number)
    there = rank < starts[1:, None]
    chosen = np.where(there, order[np.minimum(rank, max(len(order) - 1, 0))] if len(order) else -1, -1)
    n = len(both[0])
    return np.where(chosen < n, chosen, -1), np.where(chosen >= n, chosen - n, -1)


def _leading(jets: Objects, number: int) -> Ints:
    """Positions of the leading jets (event, number), -1 where there are fewer; jets are sorted by pT."""
    starts = np.searchsorted(jets.owner, np.arange(jets.n_events + 1))
    places = starts[:-1, None] + np.arange(number)
    return np.where(places < starts[1:, None], places, -1)


def _columns(objects: Objects, places: Ints) -> dict[str, Floats]:
    """Columns of the objects at some places, 0 at -1."""
    there, columns = places >= 0, {}
    for name in ("pt", "eta", "phi", "charge"):
        found = np.zeros(places.shape)
        if name in objects.columns:
            found[there] = objects.columns[name][places[there]]
        columns[name] = found
    return columns


def _overlap(jets: Objects, leptons: dict[str, Floats], found: Mask) -> Mask:
    """Which jets are one of the leptons, shape (jet,)."""
    eta, phi = (jets.columns[name].astype(np.float64)[:, None] for name in ("eta", "phi"))
    close = delta_r(eta, phi, leptons["eta"][jets.owner], leptons["phi"][jets.owner]) < _OVERLAP
    return np.asarray((close & found[jets.owner]).any(axis=1))


def _others(taken: list[Ints], n: int, number: int) -> Ints:
    """Positions below ``number`` that are not taken, shape (event, so many as are left); the same number in each."""
    left = np.ones((n, number + 1), dtype=bool)
    left[:, number] = False
    for places in taken:
        left[np.arange(n)[:, None], places] = False
    return np.nonzero(left)[1].reshape(n, -1)


def _masses(boson: Boson, n: int, rng: np.random.Generator) -> Floats:
    """Breit-Wigner masses within the window, by the inverse of their distribution."""
    edge = np.arctan(2.0 * boson.window / boson.width)
    return np.asarray(boson.mass + 0.5 * boson.width * np.tan(rng.uniform(-edge, edge, n)))


def _with_momenta(events: Events, host: _Host, momenta: Floats) -> Events:
    """Events in which X's leptons and jets have other momenta; missing transverse momentum answers."""
    recoil, replaced = np.zeros((2, len(events))), {}
    of_leptons, of_jets = np.split(momenta, [host.n_leptons], axis=1)
    for name, before in host.objects.items():
        place, at = host.places[name], host.places[name][host.places[name] >= 0]
        pt, eta, phi = _polar((of_jets if name == "jets" else of_leptons)[place >= 0])
        after = before.with_values(at, {"pt": pt, "eta": eta, "phi": phi})
        recoil += before.momentum(at) - after.momentum(at)
        replaced[name] = after.by_pt()
    return rebuilt(events, replaced, recoil)


def _polar(p: Floats) -> tuple[npt.NDArray[np.float32], ...]:
    pt = np.maximum(np.hypot(p[:, 1], p[:, 2]), _SOFTEST)
    columns = (pt, np.arcsinh(p[:, 3] / pt), np.arctan2(p[:, 2], p[:, 1]))
    return tuple(column.astype(np.float32) for column in columns)
