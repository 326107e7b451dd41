from __future__ import annotations

import math

import numpy as np
import pytest
import vector
from hypothesis import given
from hypothesis import strategies as st

from anomalon import kinematics as k

angle = st.floats(-20, 20)
pt = st.floats(1.0, 2000.0)
eta = st.floats(-4.0, 4.0)
phi = st.floats(-math.pi, math.pi)
mass = st.floats(0.0, 200.0)
particle = st.tuples(pt, eta, phi, mass)


@given(angle)
def test_wrapped_angles_lie_in_the_half_open_interval_and_keep_their_direction(x: float) -> None:
    wrapped = k.wrap_phi(x)
    assert -math.pi < wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(x), abs=1e-9)
    assert math.sin(wrapped) == pytest.approx(math.sin(x), abs=1e-9)


@given(angle, angle)
def test_delta_phi_changes_sign_when_its_arguments_swap(a: float, b: float) -> None:
    d = k.delta_phi(a, b)
    assert abs(d) == pytest.approx(abs(k.delta_phi(b, a)), abs=1e-9)


@given(st.lists(particle, min_size=1, max_size=4))
def test_quantities_agree_with_the_vector_library(particles: list[tuple[float, float, float, float]]) -> None:
    vectors = [vector.obj(pt=a, eta=b, phi=c, mass=d) for a, b, c, d in particles]
    total = vectors[0]
    for v in vectors[1:]:
        total = total + v
    assert k.invariant_mass(particles) == pytest.approx(total.mass, rel=1e-6, abs=1e-3 * total.E**0.5 + 1e-3)
    assert k.transverse_momentum_of_sum([(p[0], p[2]) for p in particles]) == pytest.approx(total.pt, abs=1e-6)
    assert k.energy(particles[0][0], particles[0][1], particles[0][3]) == pytest.approx(vectors[0].E)
    assert k.delta_r(*particles[0][1:3], *particles[-1][1:3]) == pytest.approx(vectors[0].deltaR(vectors[-1]), abs=1e-9)


@given(particle, particle, st.floats(-0.9, 0.9))
def test_invariant_mass_does_not_change_under_a_boost(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float], beta: float
) -> None:
    boosted = [vector.obj(pt=p[0], eta=p[1], phi=p[2], mass=p[3]).boostX(beta) for p in (a, b)]
    moved = [(v.pt, v.eta, v.phi, max(v.mass, 0.0)) for v in boosted]
    energy = sum(v.E for v in boosted)
    assert k.invariant_mass(moved) == pytest.approx(k.invariant_mass([a, b]), rel=1e-4, abs=1e-5 * energy)


@given(particle, st.floats(0.0, 1000.0), phi)
def test_transverse_mass_follows_its_definition(
    p: tuple[float, float, float, float], met: float, met_phi: float
) -> None:
    e_t = math.sqrt(p[3] ** 2 + p[0] ** 2)
    x = p[0] * math.cos(p[2]) + met * math.cos(met_phi)
    y = p[0] * math.sin(p[2]) + met * math.sin(met_phi)
    squared = (e_t + met) ** 2 - x * x - y * y
    assert k.transverse_mass(p[0], p[2], p[3], met, met_phi) ** 2 == pytest.approx(squared, rel=1e-9, abs=1e-5 * e_t)


def test_transverse_mass_of_a_w_never_exceeds_its_mass() -> None:
    rng = np.random.default_rng(1)
    costh, phi_ = rng.uniform(-1, 1, 1000), rng.uniform(-math.pi, math.pi, 1000)
    pt_ = 0.5 * k.M_W * np.sqrt(1 - costh**2)
    m_t = k.transverse_mass(pt_, phi_, 0.0, pt_, k.wrap_phi(phi_ + math.pi))
    assert m_t.max() <= k.M_W * (1 + 1e-12)


@given(st.floats(0.01, math.pi - 0.01))
def test_pseudorapidity_is_the_rapidity_of_a_massless_particle(theta: float) -> None:
    expected = 0.5 * math.log((1 + math.cos(theta)) / (1 - math.cos(theta)))
    assert k.pseudorapidity(theta) == pytest.approx(expected, abs=1e-9)


@given(particle)
def test_rapidity_and_transverse_energy_agree_with_the_vector_library(p: tuple[float, float, float, float]) -> None:
    v = vector.obj(pt=p[0], eta=p[1], phi=p[2], mass=p[3])
    assert k.rapidity(p[0], p[1], p[3]) == pytest.approx(v.rapidity, rel=1e-6, abs=1e-9)
    assert k.transverse_energy(p[0], p[1], p[3]) == pytest.approx(v.E * v.pt / v.p)


@given(particle, particle)
def test_the_mass_of_a_pair_is_the_invariant_mass(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> None:
    total = k.energy(a[0], a[1], a[3]) + k.energy(b[0], b[1], b[3])
    assert k.pair_mass(a, b) == pytest.approx(k.invariant_mass([a, b]), rel=1e-6, abs=1e-7 * total)


@given(pt, pt, eta, st.floats(1e-6, 1.0))
def test_the_mass_of_a_light_close_pair_keeps_its_digits(pt1: float, pt2: float, eta_: float, opening: float) -> None:
    """Massless, of equal phi: m = 2 sqrt(pT1 pT2) sinh(deta / 2), lost in E^2 - p^2 for a TeV and small angles."""
    other = eta_ + opening
    expected = 2 * math.sqrt(pt1 * pt2) * math.sinh((other - eta_) / 2)
    assert k.pair_mass((pt1, eta_, 0.3, 0.0), (pt2, other, 0.3, 0.0)) == pytest.approx(expected, rel=1e-8)
