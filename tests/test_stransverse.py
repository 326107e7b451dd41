"""m_T2 against a slow search for the minimum, its end point, and what it does not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from anomalon import kinematics as k

pt = st.floats(5.0, 500.0)
phi = st.floats(-math.pi, math.pi)
mass = st.sampled_from([0.0, k.M_MUON, 4.8, 40.0])


def obvious(
    a: tuple[float, float, float], b: tuple[float, float, float], met: tuple[float, float], unseen: float
) -> float:
    """The minimum that a search over momenta from several starts finds: an upper end of m_T2."""
    total = np.array([met[0] * math.cos(met[1]), met[0] * math.sin(met[1])])

    def larger(q: np.ndarray) -> float:
        found = []
        for (pt_, phi_, mass_), (x, y) in ((a, q), (b, total - q)):
            e, other = math.hypot(pt_, mass_), math.sqrt(x * x + y * y + unseen * unseen)
            along = pt_ * (math.cos(phi_) * x + math.sin(phi_) * y)
            found.append(mass_**2 + unseen**2 + 2 * (e * other - along))
        return max(found)

    axes = [np.array([p[0] * math.cos(p[1]), p[0] * math.sin(p[1])]) for p in (a, b)]
    starts = (np.zeros(2), total, total / 2, axes[0], total - axes[1])
    options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 5000, "maxfev": 10_000}
    best = min(minimize(larger, start, method="Nelder-Mead", options=options).fun for start in starts)
    return math.sqrt(max(best, 0.0))


@settings(max_examples=15, deadline=None)
@given(st.tuples(pt, phi, mass), st.tuples(pt, phi, mass), st.tuples(pt, phi), st.sampled_from([0.0, 100.0]))
def test_stransverse_mass_is_the_minimum_over_all_splittings(
    a: tuple[float, float, float], b: tuple[float, float, float], met: tuple[float, float], unseen: float
) -> None:
    found = float(k.stransverse_mass(a, b, met_pt=met[0], met_phi=met[1], unseen_mass=unseen))
    slow = obvious(a, b, met, unseen)
    scale = a[0] + b[0] + met[0]
    assert found <= math.sqrt(
        slow**2 + 1e-6 * scale**2
    )  # the search may stop early in a valley, never below the minimum
    assert found >= max(a[2], b[2]) + unseen - 1e-6 * scale


def test_stransverse_mass_agrees_with_the_search_where_that_is_smooth() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        a, b = ((float(rng.uniform(20, 100)), float(rng.uniform(-3, 3)), 10.0) for _ in range(2))
        met = float(rng.uniform(20, 100)), float(rng.uniform(-3, 3))
        fast = float(k.stransverse_mass(a, b, met_pt=met[0], met_phi=met[1], unseen_mass=50.0))
        assert fast == pytest.approx(obvious(a, b, met, 50.0), abs=1e-4)


def decays(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Transverse momenta (event, xy) of lepton and neutrino of W bosons, boosted along x."""
    cosine, angle, boost = rng.uniform(-1, 1, n), rng.uniform(-np.pi, np.pi, n), rng.uniform(-0.8, 0.8, n)
    half = 0.5 * k.M_W
    x, y = half * np.sqrt(1 - cosine**2) * np.cos(angle), half * np.sqrt(1 - cosine**2) * np.sin(angle)
    gamma = 1 / np.sqrt(1 - boost**2)
    moved = [np.stack([gamma * (sign * x + boost * half), sign * y], axis=1) for sign in (1, -1)]
    return moved[0], moved[1]


def test_two_w_bosons_never_exceed_their_mass() -> None:
    rng = np.random.default_rng(3)
    (l1, n1), (l2, n2) = (decays(2000, rng) for _ in range(2))
    met = n1 + n2
    leptons = [(np.hypot(*v.T), np.arctan2(v[:, 1], v[:, 0]), 0.0) for v in (l1, l2)]
    found = k.stransverse_mass(*leptons, met_pt=np.hypot(*met.T), met_phi=np.arctan2(met[:, 1], met[:, 0]))
    assert found.max() <= k.M_W * (1 + 1e-6)
    assert found.max() > 0.9 * k.M_W


def test_stransverse_mass_does_not_change_when_the_event_turns_or_its_sides_swap() -> None:
    a, b, met = (60.0, 0.3, 0.0), (40.0, 2.0, 4.0), (80.0, -1.0)
    first = k.stransverse_mass(a, b, met_pt=met[0], met_phi=met[1])
    turned = k.stransverse_mass((60.0, 1.3, 0.0), (40.0, 3.0, 4.0), met_pt=80.0, met_phi=0.0)
    swapped = k.stransverse_mass(b, a, met_pt=met[0], met_phi=met[1])
    assert first == pytest.approx(turned, abs=1e-6) == pytest.approx(swapped, abs=1e-6)


def test_arrays_broadcast_and_broken_numbers_stay_broken() -> None:
    pts = np.array([40.0, np.nan, 60.0])
    found = k.stransverse_mass((pts, 0.1, 0.0), (50.0, 2.0, 0.0), met_pt=70.0, met_phi=-2.0)
    assert np.isnan(found).tolist() == [False, True, False]
    assert k.stransverse_mass((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), met_pt=0.0, met_phi=0.0) == 0.0


def test_the_pairing_with_the_smaller_larger_mass_is_chosen() -> None:
    assert k.smaller_of_larger((100.0, 120.0), (90.0, 300.0)) == 120.0
    assert k.smaller_of_larger((np.array([1.0, 9.0]), 5.0), (7.0, 2.0)).tolist() == [5.0, 7.0]


def test_angles_along_the_beam_and_components_along_an_axis() -> None:
    assert k.helicity_cosine(1.0, -1.0) == pytest.approx(math.tanh(1.0))
    assert k.helicity_cosine(3.0, 3.0) == 0.0
    assert k.component_along(10.0, 0.5, 0.5) == pytest.approx(10.0)
    assert k.met_over_sqrt(60.0, 400.0) == 3.0
