"""Which events no detector could have written: off the mass shell, out of order, out of acceptance, not stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Floats, Mask
from anomalon.generation.validation import Rate, Spread, Verdict
from anomalon.kinematics import M_ELECTRON, M_MUON, momentum
from anomalon.metrics import clopper_pearson
from anomalon.simulation.presets import get_detector
from anomalon.simulation.response import DetectorSettings, StoredIf

RULES: Mapping[str, str] = {
    "not_finite": "a number that is not finite",
    "negative": "pT or MET below zero",
    "below_shell": "energy below momentum (E < p)",
    "off_shell": "lepton or photon off its mass",
    "order": "pT out of order",
    "azimuth": "phi outside (-pi, pi]",
    "acceptance": "object outside the acceptance",
    "not_stored": "fails the storing rule (Garcia Ruiz 2024: invalid)",
    "duplicate": "copy of another event of the sample",
    "any": "any of these",
}
"""Names and titles of the rules."""

ROUNDING = 1e-5
"""Relative: a text form with six digits and float32 round E and p by less."""
_COLLECTION = {"b": "jets", "j": "jets", "e-": "electrons", "e+": "electrons", "m-": "muons", "m+": "muons"}
_MASS = {"e-": M_ELECTRON, "e+": M_ELECTRON, "m-": M_MUON, "m+": M_MUON, "g": 0.0}


def broken_rules(arrays: EventArrays, detector: str | None = None) -> dict[str, Mask]:
    """Which events break each of :data:`RULES`, shape (event,) each; those of a detector only where one is named."""
    objects, there = arrays.objects, arrays.present
    finite = np.isfinite(objects).all(axis=2)
    found: dict[str, Mask] = {
        "not_finite": np.asarray(~(np.isfinite(arrays.met).all(axis=1) & (finite | ~there).all(axis=1))),
        "negative": (arrays.met[:, 0] < 0) | (there & (objects[..., PT] < 0)).any(axis=1),
        "below_shell": np.asarray((there & _below_shell(objects)).any(axis=1)),
        "off_shell": _off_shell(arrays),
        "order": _out_of_order(arrays),
        "azimuth": _outside(arrays.met[:, 1]) | (there & _outside(objects[..., PHI])).any(axis=1),
    }
    if detector is not None:
        chosen = get_detector(detector)
        found |= {"acceptance": _outside_acceptance(arrays, chosen), "not_stored": ~stored(arrays, chosen.stored_if)}
    found["duplicate"] = duplicates(arrays)
    found["any"] = np.asarray(np.any([*found.values()], axis=0))
    return found


def rates(real: EventArrays, generated: EventArrays, detector: str | None = None) -> tuple[Rate, ...]:
    """Fraction of events that break each rule, real events beside generated ones."""
    a, b = broken_rules(real, detector), broken_rules(generated, detector)
    return tuple(rate_of(name, RULES[name], a[name], b[name]) for name in b)


def rate_of(name: str, title: str, real: Mask, generated: Mask) -> Rate:
    """One rule: which real and which generated events break it, shape (event,) each."""
    a, b = (_fraction(int(mask.sum()), len(mask)) for mask in (real, generated))
    verdict: Verdict = "floor" if b.low <= a.high else "near" if b.value <= 0.01 else "off"
    return Rate(
        name=name,
        title=title,
        generated=b,
        real=a,
        generated_events=int(generated.sum()),
        real_events=int(real.sum()),
        verdict=verdict,
    )


def stored(arrays: EventArrays, rule: tuple[StoredIf, ...]) -> Mask:
    """Whether each event has an object for which it is stored, shape (event,); all events where there is no rule."""
    keep = np.full(len(arrays), not rule)
    for way in rule:
        kinds = [k for k in KINDS if _COLLECTION.get(k, "photons") == way.collection]
        objects, there = arrays.of(*kinds)
        eta = np.abs(objects[..., ETA])
        good = there & (objects[..., PT] > way.pt_min) & (eta < way.eta_max)
        if way.gap is not None:
            good &= (eta < way.gap[0]) | (eta > way.gap[1])
        keep |= good.any(axis=1)
    return keep


def fingerprints(arrays: EventArrays) -> list[bytes]:
    """A hash of everything in each event, as float32."""
    width = arrays.counts.shape[1] + 2 + arrays.objects.shape[1] * 4
    table = np.empty((len(arrays), width), dtype=np.float32)
    table[:, :7], table[:, 7:9] = arrays.counts, arrays.met
    table[:, 9:] = arrays.objects.reshape(len(arrays), -1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]


def duplicates(arrays: EventArrays) -> Mask:
    """Whether an event is the copy of an earlier one, bit by bit, shape (event,); without objects it is none."""
    seen: set[bytes] = set()
    copies = np.zeros(len(arrays), dtype=np.bool_)
    for i, key in enumerate(fingerprints(arrays)):
        copies[i] = key in seen
        seen.add(key)
    return np.asarray(copies & (arrays.counts.sum(axis=1) > 0), dtype=np.bool_)


def copies_of(arrays: EventArrays, others: EventArrays) -> Mask:
    """Whether an event is also among others, bit by bit, shape (event,); without objects it is not."""
    known = set(fingerprints(others))
    found = np.fromiter((key in known for key in fingerprints(arrays)), dtype=np.bool_, count=len(arrays))
    return np.asarray(found & (arrays.counts.sum(axis=1) > 0), dtype=np.bool_)


def _fraction(passed: int, total: int) -> Spread:
    low, high = clopper_pearson(passed, total)
    return Spread(value=passed / total if total else 0.0, low=low, high=high)


def _below_shell(objects: Floats) -> Mask:
    """E < p beyond rounding: p^2 - E^2 is the square of the negative mass."""
    p = momentum(objects[..., PT], objects[..., ETA])
    return np.asarray((objects[..., MASS] < 0) & (objects[..., MASS] ** 2 > 4 * ROUNDING * p * p))


def _off_shell(arrays: EventArrays) -> Mask:
    broken = np.zeros(len(arrays), dtype=np.bool_)
    for kind, mass in _MASS.items():
        objects, there = arrays.of(kind)
        p = momentum(objects[..., PT], objects[..., ETA])
        off = np.abs(objects[..., MASS] * np.abs(objects[..., MASS]) - mass**2) > 4 * ROUNDING * p * p
        broken |= (there & off).any(axis=1)
    return broken


def _out_of_order(arrays: EventArrays) -> Mask:
    broken = np.zeros(len(arrays), dtype=np.bool_)
    for kind in KINDS:
        objects, there = arrays.of(kind)
        broken |= (there[:, 1:] & (objects[:, 1:, PT] > objects[:, :-1, PT])).any(axis=1)
    return broken


def _outside(phi: Floats) -> Mask:
    return np.asarray((phi > np.pi * (1 + ROUNDING)) | (phi < -np.pi * (1 + ROUNDING)))


def _outside_acceptance(arrays: EventArrays, detector: DetectorSettings) -> Mask:
    broken = np.zeros(len(arrays), dtype=np.bool_)
    for kind in KINDS:
        objects, there = arrays.of(kind)
        pt_min, eta_max = acceptance(kind, detector)
        outside = (objects[..., PT] < pt_min * (1 - ROUNDING)) | (np.abs(objects[..., ETA]) > eta_max * (1 + ROUNDING))
        broken |= (there & outside).any(axis=1)
    return broken


def acceptance(kind: str, detector: DetectorSettings) -> tuple[float, float]:
    """Smallest pT in GeV and largest |eta| of a kind of object.

    >>> acceptance("m-", get_detector("darkmachines"))
    (15.0, 2.7)
    """
    if kind in ("b", "j"):
        return detector.jets.pt_min, detector.jets.eta_max
    response = {"e": detector.electrons, "m": detector.muons, "g": detector.photons}[kind[0]]
    return response.pt_min, response.efficiency[-1][0]
