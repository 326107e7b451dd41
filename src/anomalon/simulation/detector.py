"""Detector response: particles in, reconstructed electrons, muons, photons, jets and missing momentum out.

Everything works on flat arrays of many events at once and draws from its own random stream, so that it is tested
without an event generator. Random numbers of jets and missing momentum belong to the event, not to the order of work:
dropping events (``skim_leptons``) never changes those that stay.

What is seen: leptons and photons with acceptance, resolution, efficiency and isolation; jets clustered from everything
visible that is in no accepted lepton or photon (muons are never clustered); MET = -(accepted leptons, photons and
jets + muons in acceptance that failed + scaled and smeared soft momentum); a calorimeter's MET leaves muons out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import make_objects
from anomalon.simulation.jets import Jets, reconstruct_jets
from anomalon.simulation.neighbours import close_pairs
from anomalon.simulation.particles import Floats, HeavyHadrons, Ints, Mask, Particles
from anomalon.simulation.response import (
    DetectorSettings,
    LeptonResponse,
    calorimeter_resolution,
    efficiency,
    track_resolution,
)

_ELECTRON, _MUON, _PHOTON = 11, 13, 22


@dataclass(frozen=True)
class Objects:
    """Accepted electrons, muons or photons, sorted by event.

    Attributes:
        event: index of the event, shape (object,).
        columns: pt, eta, phi, mass, isolation and, for leptons, charge.
        truth_x, truth_y: true transverse momentum in GeV, bremsstrahlung included.
    """

    event: Ints
    columns: dict[str, npt.NDArray[np.generic]]
    truth_x: Floats
    truth_y: Floats

    def counts(self, n_events: int) -> Ints:
        """Number of objects per event, shape (event,)."""
        return np.bincount(self.event, minlength=n_events)

    def ragged(self, n_events: int) -> ak.Array:
        """One list of objects per event."""
        return ak.unflatten(make_objects(self.columns), self.counts(n_events))


@dataclass(frozen=True)
class Reconstructed:
    """What the detector makes of some events.

    Attributes:
        kept: indices of the generated events that have enough leptons, shape (event,).
        objects: awkward columns electrons, muons, photons, jets and met of those events.
    """

    kept: Ints
    objects: dict[str, ak.Array]


def reconstruct(
    particles: Particles,
    hadrons: HeavyHadrons,
    detector: DetectorSettings,
    *,
    rng: np.random.Generator,
    skim_leptons: int = 0,
) -> Reconstructed:
    """Simulate the detector for events with at least ``skim_leptons`` accepted electrons and muons.

    Args:
        particles: stable particles; invisible ones must not be among them.
        hadrons: hadrons with a b or c quark, for the b-tag.
        detector: acceptances, efficiencies and resolutions.
        rng: the stream of this block of events.
        skim_leptons: events with fewer leptons are dropped before the jets are built, which is most of the work.
    """
    streams = dict(zip(("leptons", "photons", "jets", "met"), rng.spawn(4), strict=True))
    seen = _merge_electrons(particles[_is_seen(particles, detector)], detector.merging_cone)
    found, used = _leptons_and_photons(seen, detector, streams)
    n_leptons = found["electrons"].counts(seen.n_events) + found["muons"].counts(seen.n_events)
    keep = n_leptons >= skim_leptons
    jets = reconstruct_jets(
        seen[~used & (np.abs(seen.pdg_id) != _MUON) & keep[seen.event]],
        hadrons,
        avoid=_directions(found),
        response=detector.jets,
        rng=streams["jets"],
    )
    met_x, met_y = _missing_momentum(seen, found, jets, detector, streams["met"])
    kept = np.flatnonzero(keep)
    objects = {name: value.ragged(seen.n_events)[kept] for name, value in found.items()}
    objects["jets"] = jets.ragged(seen.n_events)[kept]
    objects["met"] = met_objects(met_x[kept], met_y[kept])
    return Reconstructed(kept, objects)


def met_objects(met_x: Floats, met_y: Floats) -> ak.Array:
    """Missing transverse momentum as the ``met`` column of events."""
    columns = {"pt": np.hypot(met_x, met_y), "phi": np.arctan2(met_y, met_x)}
    return make_objects({name: values.astype(np.float32) for name, values in columns.items()})


def _is_seen(particles: Particles, detector: DetectorSettings) -> Mask:
    reach = np.where(np.abs(particles.pdg_id) == _MUON, detector.met.muon_eta_max, detector.met.eta_max)
    return np.asarray(np.abs(particles.eta) < reach)


def _merge_electrons(seen: Particles, cone: float) -> Particles:
    """Call an electron that is close to a harder one a photon: it is clustered, isolated and dressed like one."""
    electrons = np.flatnonzero(np.abs(seen.pdg_id) == _ELECTRON)
    i, j = close_pairs(_at(seen, electrons), _at(seen, electrons), cone)
    softer = electrons[i[seen.pt[electrons[i]] < seen.pt[electrons[j]]]]
    pdg_id = seen.pdg_id.copy()
    pdg_id[softer] = _PHOTON
    return replace(seen, pdg_id=pdg_id)


def _leptons_and_photons(
    seen: Particles, detector: DetectorSettings, streams: Mapping[str, np.random.Generator]
) -> tuple[dict[str, Objects], Mask]:
    """Accepted objects by name, and which particles they use up."""
    used = np.zeros(len(seen), dtype=np.bool_)
    electron_rng, muon_rng = streams["leptons"].spawn(2)
    found = {
        "electrons": _accept(seen, _ELECTRON, detector, rng=electron_rng, used=used),
        "muons": _accept(seen, _MUON, detector, rng=muon_rng, used=used),
        # Last: photons that belong to an electron are used up by now.
        "photons": _accept(seen, _PHOTON, detector, rng=streams["photons"], used=used),
    }
    return found, used


def _accept(seen: Particles, kind: int, detector: DetectorSettings, *, rng: np.random.Generator, used: Mask) -> Objects:
    """Accept candidates of one kind and mark in ``used`` the particles that they are made of."""
    response = {_ELECTRON: detector.electrons, _MUON: detector.muons, _PHOTON: detector.photons}[kind]
    # Resolution cannot lift a particle from below half the threshold.
    rows = np.flatnonzero((np.abs(seen.pdg_id) == kind) & ~used & (seen.pt > 0.5 * response.pt_min))
    px, py, energy, owner, photon = _dress(seen, rows, detector.dressing_cone if kind == _ELECTRON else 0.0)
    true_pt = np.hypot(px, py)
    smear = _smearing(kind, response, true_pt, seen.eta[rows], energy, rng.standard_normal(len(rows)))
    pt = true_pt * smear
    isolation = _isolation(seen, rows, detector, dressing=(owner, photon)) / np.maximum(pt, 1e-9)
    chance = efficiency(response.efficiency, pt, seen.eta[rows])
    chance *= np.where(seen.prompt[rows], 1.0, detector.nonprompt_efficiency)
    ok = (pt > response.pt_min) & (isolation < detector.isolation_max) & (rng.random(len(rows)) < chance)
    used[rows[ok]] = True
    used[photon[ok[owner]]] = True
    columns = _columns(seen, rows[ok], kind, pt[ok]) | {"isolation": isolation[ok].astype(np.float32)}
    return Objects(seen.event[rows[ok]], columns, px[ok], py[ok])


def _dress(seen: Particles, rows: Ints, cone: float) -> tuple[Floats, Floats, Floats, Ints, Ints]:
    """Momenta with the photons of the cone, and those photons: (px, py, energy, owner, photon)."""
    px, py, energy = seen.px[rows], seen.py[rows], seen.energy[rows]
    if not cone:
        return px, py, energy, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    photons = np.flatnonzero(seen.pdg_id == _PHOTON)
    owner, near = close_pairs(_at(seen, rows), _at(seen, photons), cone)
    # A photon between two electrons belongs to the first.
    photon, first = np.unique(photons[near], return_index=True)
    owner = owner[first]
    px, py, energy = (
        p + np.bincount(owner, weights=values[photon], minlength=len(rows))
        for p, values in ((px, seen.px), (py, seen.py), (energy, seen.energy))
    )
    return px, py, energy, owner, photon


def _smearing(kind: int, response: LeptonResponse, pt: Floats, eta: Floats, energy: Floats, gauss: Floats) -> Floats:
    if kind == _MUON:
        width = track_resolution(response.resolution, pt, eta)
    else:
        width = calorimeter_resolution(response.resolution, energy, eta)
    return np.asarray(np.maximum(1.0 + width * gauss, 0.0))


def _isolation(seen: Particles, rows: Ints, detector: DetectorSettings, *, dressing: tuple[Ints, Ints]) -> Floats:
    """Scalar sum of pT in GeV around each candidate: neither leptons, nor itself, nor its own photons."""
    counted = (seen.pt > detector.isolation_pt_min) & ~np.isin(np.abs(seen.pdg_id), (_ELECTRON, _MUON))
    others = np.flatnonzero(counted)
    i, j = close_pairs(_at(seen, rows), _at(seen, others), detector.isolation_cone)
    other = others[j]
    not_itself = other != rows[i]
    total = np.bincount(i[not_itself], weights=seen.pt[other[not_itself]], minlength=len(rows))
    owner, photon = dressing
    own = photon[np.isin(photon, others)], owner[np.isin(photon, others)]
    own_pt = np.bincount(own[1], weights=seen.pt[own[0]], minlength=len(rows))
    return np.asarray(np.maximum(total - own_pt, 0.0))


def _columns(seen: Particles, rows: Ints, kind: int, pt: Floats) -> dict[str, npt.NDArray[np.generic]]:
    mass = {_ELECTRON: M_ELECTRON, _MUON: M_MUON, _PHOTON: 0.0}[kind]
    columns: dict[str, npt.NDArray[np.generic]] = {
        "pt": pt.astype(np.float32),
        "eta": seen.eta[rows].astype(np.float32),
        "phi": seen.phi[rows].astype(np.float32),
        "mass": np.full(len(rows), mass, dtype=np.float32),
    }
    if kind != _PHOTON:
        columns["charge"] = -np.sign(seen.pdg_id[rows]).astype(np.int32)
    return columns


def _at(seen: Particles, rows: Ints) -> tuple[Ints, Floats, Floats]:
    return seen.event[rows], seen.eta[rows], seen.phi[rows]


def _directions(found: Mapping[str, Objects]) -> tuple[Ints, Floats, Floats]:
    event = np.concatenate([o.event for o in found.values()])
    order = np.argsort(event, kind="stable")
    eta, phi = (np.concatenate([o.columns[k] for o in found.values()])[order] for k in ("eta", "phi"))
    return event[order], np.asarray(eta, dtype=np.float64), np.asarray(phi, dtype=np.float64)


def _missing_momentum(
    seen: Particles, found: Mapping[str, Objects], jets: Jets, detector: DetectorSettings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Components of MET in GeV, shape (event,)."""
    n = seen.n_events
    if not detector.met.muons:
        seen, found = seen[np.abs(seen.pdg_id) != _MUON], dict(found) | {"muons": _nothing()}
    muon = np.abs(seen.pdg_id) == _MUON
    total = [_sum(seen.event, p, n) for p in (seen.px, seen.py)]
    muons = [_sum(seen.event[muon], p[muon], n) for p in (seen.px, seen.py)]
    scalar = _sum(seen.event[~muon], seen.pt[~muon], n) - _sum(jets.event, jets.truth_pt, n)
    reco, hard, hard_muons = _hard_sums(found, jets, n)
    scalar -= _sum_of([(o.event, np.hypot(o.truth_x, o.truth_y)) for k, o in found.items() if k != "muons"], n)
    width = detector.met.soft_resolution * np.sqrt(np.maximum(scalar, 0.0))
    met = []
    for axis, gauss in enumerate(rng.standard_normal((2, n))):
        missed_muons = muons[axis] - hard_muons[axis]
        soft = total[axis] - hard[axis] - missed_muons
        met.append(-(reco[axis] + missed_muons + detector.met.soft_scale * soft + width * gauss))
    return met[0], met[1]


def _nothing() -> Objects:
    none = np.zeros(0)
    return Objects(np.zeros(0, dtype=np.int64), {"pt": none, "phi": none}, none, none)


def _hard_sums(found: Mapping[str, Objects], jets: Jets, n: int) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Sums over accepted objects by axis: reconstructed, true, and true of muons alone."""
    reco, hard, muons = [], [], []
    for axis, turn in enumerate((np.cos, np.sin)):
        seen = [(o.event, o.columns["pt"] * turn(o.columns["phi"])) for o in found.values()]
        true = {name: (o.event, (o.truth_x, o.truth_y)[axis]) for name, o in found.items()}
        reco.append(_sum_of([*seen, (jets.event, jets.columns["pt"] * turn(jets.columns["phi"]))], n))
        hard.append(_sum_of([*true.values(), (jets.event, jets.truth_pt * turn(jets.columns["phi"]))], n))
        muons.append(_sum_of([true["muons"]], n))
    return reco, hard, muons


def _sum_of(parts: list[tuple[Ints, Floats]], n: int) -> Floats:
    return np.asarray(np.sum([_sum(event, values, n) for event, values in parts], axis=0))


def _sum(event: Ints, values: Floats, n: int) -> Floats:
    return np.bincount(event, weights=values, minlength=n).astype(np.float64)
