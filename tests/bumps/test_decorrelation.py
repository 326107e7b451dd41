"""Decorrelation: afterwards the pass rate does not depend on the mass, and the order of scores is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chi2

from anomalon.bumps.decorrelation import Decorrelation
from anomalon.bumps.sculpting import sculpting
from anomalon.errors import EmptySelectionError, InvalidEventsError


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masses, scores whose place and width depend on them, and weights of both signs."""
    random = np.random.default_rng(seed)
    m = 100 + random.exponential(80, n)
    score = 2 * np.log(m / 100) + random.gumbel(size=n) * (1 + m / 500)
    return m, score, random.uniform(0.5, 1.5, n) * np.where(random.random(n) < 0.1, -1, 1)


FITTED = events(100_000, 0)
FLAT = Decorrelation.fit(FITTED[0], FITTED[1], weight=FITTED[2])


def pulls(u: np.ndarray, m: np.ndarray, w: np.ndarray, cut: float) -> np.ndarray:
    """Pass rates in ten bins of mass beside the one that is due, in statistical errors of test and fit events."""
    place = np.clip(np.searchsorted(np.quantile(m, np.linspace(0, 1, 11)), m, side="right") - 1, 0, 9)
    total, squares, passed = (np.bincount(place, x) for x in (w, w * w, w * (u > cut)))
    error = np.sqrt(squares * cut * (1 - cut) * (1 + len(m) / len(FITTED[0]))) / total
    return (passed / total - (1 - cut)) / error


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_pass_rate_at_any_threshold_is_flat_in_the_mass(cut, seed):
    m, s, w = events(30_000, seed)
    z = pulls(FLAT.transform(m, s), m, w, cut)
    assert chi2.sf((z**2).sum(), len(z)) > 0.002
    plain = np.searchsorted(np.sort(s), s) / len(s)
    assert cut > 0.99 or chi2.sf((pulls(plain, m, w, cut) ** 2).sum(), len(z)) < 1e-6


def test_the_divergence_falls_to_its_floor():
    m, s, w = events(30_000, 3)
    cuts = np.array([0.5, 0.9, 0.99])
    before = sculpting(m, s, thresholds=np.quantile(s, cuts).tolist(), weight=w)
    after = sculpting(m, FLAT.transform(m, s), thresholds=cuts.tolist(), weight=w)
    assert before.is_sculpted
    assert not after.is_sculpted
    for point, cut in zip(after.points, cuts, strict=True):
        assert point.divergence == pytest.approx(point.floor, rel=0.8)
        assert point.rejection == pytest.approx(cut, abs=0.012)


@given(
    mass=st.one_of(st.floats(-1e4, 1e4), st.just(np.nan)),
    scores=st.lists(st.floats(-50, 60), min_size=2, max_size=30, unique=True),
)
@settings(deadline=None, max_examples=150)
def test_at_any_mass_the_order_of_scores_is_kept_and_quantiles_lie_between_0_and_1(mass, scores):
    s = np.sort(np.round(scores, 6))
    u = FLAT.transform(np.full(len(s), mass), s)
    assert ((u > 0) & (u < 1)).all()
    assert (np.diff(u) >= 0).all()
    inside = (np.diff(s) > 1e-4) & (s[1:] < 40) & (s[:-1] > -30)
    assert (np.diff(u)[inside] > 0).all()


@given(score=st.floats(-5, 15), mass=st.floats(50, 1500))
@settings(deadline=None, max_examples=100)
def test_the_quantile_changes_smoothly_with_the_mass(score, mass):
    u = FLAT.transform([mass, mass + 1e-6], [score, score])
    assert abs(u[1] - u[0]) < 1e-6


def test_masses_outside_have_the_fractions_of_the_nearest_node():
    far = FLAT.transform([-1e9, FLAT.nodes[0], 1e9, FLAT.nodes[-1], np.inf], np.full(5, 2.0))
    assert far[0] == far[1]
    assert far[2] == far[3] == far[4]


def test_events_without_a_mass_have_a_distribution_of_their_own():
    random = np.random.default_rng(4)
    m, s, _ = events(20_000, 5)
    lost = random.normal(10, 1, 3000)
    flat = Decorrelation.fit(np.r_[m, np.full(3000, np.nan)], np.r_[s, lost])
    u = flat.transform(np.full(3000, np.nan), random.normal(10, 1, 3000))
    assert np.mean(u > 0.9) == pytest.approx(0.1, abs=0.025)
    with_mass = flat.transform(m, s)
    assert np.mean(with_mass > 0.9) == pytest.approx(0.1, abs=0.01)


def test_where_no_event_lacked_a_mass_all_events_stand_in():
    m, s, _ = events(5000, 6)
    u = Decorrelation.fit(m, s, bins=5).transform(np.full(5000, np.nan), s)
    assert np.mean(u > 0.9) == pytest.approx(0.1, abs=0.01)


def test_an_event_without_a_score_has_no_quantile():
    assert np.isnan(FLAT.transform([150.0], [np.nan])).all()
    assert 0 < FLAT.transform([150.0], [-np.inf])[0] < FLAT.transform([150.0], [np.inf])[0] < 1


def test_it_is_kept_as_json():
    kept = Decorrelation.model_validate_json(FLAT.model_dump_json())
    m, s, _ = events(100, 7)
    assert (kept.transform(m, s) == FLAT.transform(m, s)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (1.0, 0.0)}, "expected 2 rows"),
        ({"scores": FLAT.scores[::-1]}, "nodes and scores must increase"),
        ({"below_missing": FLAT.below_missing[::-1]}, "fractions must increase with the score"),
        ({"below": tuple(tuple(2 * x for x in row) for row in FLAT.below)}, "within 0 ... 1"),
        ({"scale": 0.0}, "greater than 0"),
    ],
)
def test_a_tampered_file_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Decorrelation.model_validate({**FLAT.model_dump(), **change})


def test_given_nodes_are_kept():
    m, s, w = events(5000, 8)
    assert Decorrelation.fit(m, s, weight=w, bins=[100, 200, 400]).nodes == (100, 200, 400)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "few events": ({"bins": 100}, EmptySelectionError, "1000 background events with a mass for 100 bins"),
    "one mass": ({"mass": np.ones(1000)}, EmptySelectionError, "single mass 1"),
    "one score": ({"score": np.ones(1000)}, EmptySelectionError, "all background scores are 1"),
    "no score": ({"score": np.full(1000, np.nan)}, EmptySelectionError, "0 background events"),
    "shapes": ({"score": np.ones(3)}, InvalidEventsError, r"shapes \(1000,\), \(3,\)"),
    "weights": ({"weight": np.full(1000, np.nan)}, InvalidEventsError, "weight = nan of event 0"),
    "nodes": ({"bins": [3, 1]}, InvalidEventsError, "edges must increase"),
}


@pytest.mark.parametrize("case", BAD)
def test_it_refuses(case):
    changes, kind, message = BAD[case]
    m, s, _ = events(1000, 9)
    arguments = {"mass": m, "score": s, **changes}
    with pytest.raises(kind, match=message):
        Decorrelation.fit(arguments.pop("mass"), arguments.pop("score"), **arguments)
