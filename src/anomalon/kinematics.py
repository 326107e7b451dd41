"""One pure function per physical quantity, each formula in one place.

Arguments are numbers, NumPy arrays or awkward arrays that broadcast together; energies, momenta and masses in GeV,
angles in rad. Functions never change their arguments and compute in float64.
Ref: PDG review "Kinematics" (2024), section 49.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

M_Z = 91.1876
"""Z boson mass in GeV."""
M_W = 80.377
"""W boson mass in GeV."""
M_ELECTRON = 0.000510999
"""Electron mass in GeV."""
M_MUON = 0.1056584
"""Muon mass in GeV."""

Number = Any
"""A number, a NumPy array or an awkward array."""


def wrap_phi(phi: Number) -> Number:
    """Wrap an angle to (-pi, pi].

    >>> float(wrap_phi(1.5 * np.pi)) == -0.5 * np.pi
    True
    """
    return -((-phi + np.pi) % (2.0 * np.pi) - np.pi)


def delta_phi(phi1: Number, phi2: Number) -> Number:
    """Signed azimuthal difference phi1 - phi2 in (-pi, pi]."""
    return wrap_phi(phi1 - phi2)


def delta_r(eta1: Number, phi1: Number, eta2: Number, phi2: Number) -> Number:
    """Angular distance sqrt(delta_eta^2 + delta_phi^2).

    >>> float(delta_r(0.0, 3.0, 0.0, -3.0)) < 0.3
    True
    """
    return np.hypot(eta1 - eta2, delta_phi(phi1, phi2))


def momentum(pt: Number, eta: Number) -> Number:
    """Magnitude of the momentum, p = pT cosh(eta), in GeV."""
    return pt * np.cosh(eta)


def energy(pt: Number, eta: Number, mass: Number) -> Number:
    """Energy sqrt(p^2 + m^2) in GeV."""
    return np.hypot(momentum(pt, eta), mass)


def pseudorapidity(theta: Number) -> Number:
    """Pseudorapidity, eta = -ln tan(theta / 2)."""
    return -np.log(np.tan(0.5 * theta))


def cartesian(pt: Number, eta: Number, phi: Number, mass: Number) -> tuple[Number, Number, Number, Number]:
    """Return (px, py, pz, E) in GeV."""
    return pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy(pt, eta, mass)


def invariant_mass(particles: Sequence[tuple[Number, Number, Number, Number]]) -> Number:
    """Invariant mass in GeV of the sum of four-vectors, each given as (pt, eta, phi, mass).

    m^2 = E^2 - p^2 of the sum; rounding below zero gives 0.

    >>> pair = [(45.0, 0.0, 0.0, 0.0), (45.0, 0.0, np.pi, 0.0)]
    >>> round(float(invariant_mass(pair)), 6)
    90.0
    """
    px, py, pz, e = (sum(parts) for parts in zip(*(cartesian(*p) for p in particles), strict=True))
    return np.sqrt(np.maximum(e * e - px * px - py * py - pz * pz, 0.0))


def transverse_momentum_of_sum(particles: Sequence[tuple[Number, Number]]) -> Number:
    """Transverse momentum in GeV of the vector sum of (pt, phi) pairs."""
    return np.hypot(*vector_sum_xy(particles))


def vector_sum_xy(particles: Sequence[tuple[Number, Number]]) -> tuple[Number, Number]:
    """Components (px, py) in GeV of the vector sum of (pt, phi) pairs."""
    px = sum(pt * np.cos(phi) for pt, phi in particles)
    py = sum(pt * np.sin(phi) for pt, phi in particles)
    return px, py


def transverse_mass(pt: Number, phi: Number, mass: Number, met_pt: Number, met_phi: Number) -> Number:
    """Transverse mass of an object and the missing transverse momentum, in GeV.

    m_T^2 = (e_T + MET)^2 - |pT + MET|^2 with e_T = sqrt(m^2 + pT^2): invariant under longitudinal boosts.
    Written as m^2 + 2 (e_T MET - pT MET cos dphi), which does not cancel for light objects.

    >>> round(float(transverse_mass(40.0, 0.0, 0.0, 40.0, np.pi)), 6)
    80.0
    """
    e_t = np.hypot(mass, pt)
    squared = mass * mass + 2.0 * met_pt * (e_t - pt * np.cos(phi - met_phi))
    return np.sqrt(np.maximum(squared, 0.0))


def rapidity(pt: Number, eta: Number, mass: Number) -> Number:
    """Rapidity y = ln((E + pz) / (E - pz)) / 2, written as asinh(pz / m_T), which does not cancel along the beam.

    >>> float(rapidity(30.0, 1.5, 0.0)), float(rapidity(30.0, 1.5, 10.0)) < 1.5
    (1.5, True)
    """
    return np.arcsinh(pt * np.sinh(eta) / np.hypot(pt, mass))


def transverse_energy(pt: Number, eta: Number, mass: Number) -> Number:
    """Transverse energy E pT / p = E / cosh(eta) in GeV, written as sqrt(pT^2 + (m / cosh eta)^2).

    Not the e_T of :func:`transverse_mass`, which does not change under boosts along the beam. Of the rapidity-mass
    matrix: Chekanov, arXiv:1805.11650.
    """
    return np.hypot(pt, mass / np.cosh(eta))


def pair_mass(first: tuple[Number, Number, Number, Number], second: tuple[Number, Number, Number, Number]) -> Number:
    """Invariant mass in GeV of two four-vectors (pt, eta, phi, mass), exact for light and close ones too.

    m^2 = m1^2 + m2^2 + 2 (m_T1 m_T2 cosh dy - pT1 pT2 cos dphi), as a sum in which no term is negative: with
    d = m_T - pT = m^2 / (m_T + pT) it is m1^2 + m2^2
    + 2 (pT1 d2 + d1 m_T2 + m_T1 m_T2 (cosh dy - 1) + pT1 pT2 (1 - cos dphi)). PDG "Kinematics", eq. 49.40 ff.

    >>> particle = (500.0, 2.0, 1.0, 0.0)
    >>> float(pair_mass(particle, particle))
    0.0
    """
    (pt1, eta1, phi1, mass1), (pt2, eta2, phi2, mass2) = first, second
    m_t1, m_t2 = np.hypot(pt1, mass1), np.hypot(pt2, mass2)
    light1, light2 = mass1 * mass1 / (m_t1 + pt1), mass2 * mass2 / (m_t2 + pt2)
    half_dy = 0.5 * (rapidity(pt1, eta1, mass1) - rapidity(pt2, eta2, mass2))
    along = m_t1 * m_t2 * 2.0 * np.sinh(half_dy) ** 2
    across = pt1 * pt2 * 2.0 * np.sin(0.5 * (phi1 - phi2)) ** 2
    return np.sqrt(mass1 * mass1 + mass2 * mass2 + 2.0 * (pt1 * light2 + light1 * m_t2 + along + across))


def stransverse_mass(
    first: tuple[Number, Number, Number],
    second: tuple[Number, Number, Number],
    *,
    met_pt: Number,
    met_phi: Number,
    unseen_mass: Number = 0.0,
) -> Number:
    """Stransverse mass m_T2 in GeV of two visible systems (pt, phi, mass), each with an unseen particle beside it.

    The minimum, over all splittings of the missing transverse momentum, of the larger of both transverse masses; not
    above the mass of the parents. Refs: Lester, Summers, arXiv:hep-ph/9906349; Cheng, Han, arXiv:0810.5178.

    >>> leptons = (40.0, 0.0, 0.0), (40.0, 0.0, 0.0)
    >>> [round(float(stransverse_mass(*leptons, met_pt=60.0, met_phi=phi)), 2) for phi in (0.0, np.pi)]
    [0.0, 69.28]
    """
    from anomalon.stransverse import smallest_parent_masses  # noqa: PLC0415 - compiles

    (pt1, phi1, mass1), (pt2, phi2, mass2) = first, second
    columns = [
        pt1 * np.cos(phi1), pt1 * np.sin(phi1), mass1, pt2 * np.cos(phi2), pt2 * np.sin(phi2), mass2,
        met_pt * np.cos(met_phi), met_pt * np.sin(met_phi), unseen_mass,
    ]  # fmt: skip
    rows = np.stack(np.broadcast_arrays(*columns), axis=-1).astype(np.float64)
    return smallest_parent_masses(np.ascontiguousarray(rows.reshape(-1, len(columns)))).reshape(rows.shape[:-1])


def smaller_of_larger(first: tuple[Number, Number], second: tuple[Number, Number]) -> Number:
    """The smaller, over two ways to pair, of the larger quantity of each pair.

    Of the masses of leptons and b-jets in top pairs: at most sqrt(m_t^2 - m_W^2) where the right pairing is among them.
    Ref: ATLAS, arXiv:1806.04667, m_bl^minimax.

    >>> float(smaller_of_larger((100.0, 120.0), (90.0, 300.0)))
    120.0
    """
    return np.minimum(np.maximum(*first), np.maximum(*second))


def met_over_sqrt(met_pt: Number, scalar_sum: Number) -> Number:
    """MET over the square root of a scalar sum of momenta, in sqrt(GeV): the significance of MET from mismeasured jets.

    >>> float(met_over_sqrt(60.0, 400.0))
    3.0
    """
    return met_pt / np.sqrt(scalar_sum)


def component_along(pt: Number, phi: Number, axis_phi: Number) -> Number:
    """Component in GeV of a transverse momentum along an axis, pT cos(dphi); the recoil's balance is made of them.

    >>> round(float(component_along(50.0, 0.0, np.pi)), 6)
    -50.0
    """
    return pt * np.cos(phi - axis_phi)


def helicity_cosine(eta1: Number, eta2: Number) -> Number:
    """Cosine tanh(delta_eta / 2) of the polar angle of two particles where their rapidities balance, between 0 and 1.

    Invariant under boosts along the beam; it tells the spin of their parents. Ref: Barr, arXiv:hep-ph/0511115, eq. 3.
    """
    return np.abs(np.tanh(0.5 * (eta1 - eta2)))
