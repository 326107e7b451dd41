"""Sculpting: what a cut does to a mass spectrum, beside what chance does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from anomalon.bumps.sculpting import Sculpting, SculptingSettings, jensen_shannon, sculpting
from anomalon.errors import EmptySelectionError, InvalidEventsError


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masses, scores that know nothing of them, and weights of both signs."""
    random = np.random.default_rng(seed)
    sign = np.where(random.random(n) < 0.15, -1.0, 1.0)
    return 100 + random.exponential(80, n), random.normal(size=n), sign * random.uniform(0.5, 1.5, n)


def cuts(score: np.ndarray) -> list[float]:
    return [float(x) for x in np.quantile(score, (0.5, 0.9, 0.99))]


def test_the_divergence_is_that_of_scipy_in_base_two():
    random = np.random.default_rng(0)
    for _ in range(20):
        p, q = random.exponential(size=(2, 15))
        assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, rel=1e-9)
        assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(7 * q, p))


def test_the_divergence_of_bins_that_are_empty_or_negative_is_a_number():
    assert jensen_shannon([1, 0, 2], [1, -3, 2]) == 0
    assert jensen_shannon([0, 0], [1, 2]) == pytest.approx(0.5)


def test_a_score_that_knows_nothing_of_the_mass_is_called_unsculpted_as_often_as_promised():
    told = []
    for seed in range(60):
        m, s, w = events(3000, seed)
        found = sculpting(m, s, thresholds=cuts(s)[:2], weight=w, settings=SculptingSettings(shuffles=100, seed=seed))
        told += [point.is_sculpted for point in found.points]
    assert 0.005 <= np.mean(told) <= 0.11


def test_the_floor_is_the_mean_divergence_of_scores_that_know_nothing():
    seen, floors = [], []
    for seed in range(60):
        m, s, w = events(3000, 100 + seed)
        point = sculpting(m, s, thresholds=cuts(s)[1:2], weight=w, settings=SculptingSettings(shuffles=40)).points[0]
        seen.append(point.divergence)
        floors.append(point.floor)
    assert np.mean(floors) == pytest.approx(np.mean(seen), rel=0.15)


def test_the_floor_falls_as_events_are_added():
    floors = []
    for n in (2000, 20_000):
        m, s, w = events(n, 7)
        floors.append(sculpting(m, s, thresholds=cuts(s)[1:2], weight=w).points[0].floor)
    assert floors[0] / floors[1] == pytest.approx(10, rel=0.4)


def test_a_score_that_carves_a_bump_is_found_and_its_place_is_named():
    m, s, w = events(20_000, 8)
    s += 2 * np.exp(-(((m - 200) / 10) ** 2) / 2)
    found = sculpting(m, s, thresholds=cuts(s), weight=w)
    assert found.is_sculpted
    low, high = found.points[1].strongest
    assert low < 210
    assert high > 190
    assert found.points[1].change > 2
    assert found.sentence.startswith("The score sculpts the mass: at ")
    assert found.points[1].p_value == 1 / 201


def test_rejection_is_weighted_and_counts_are_raw():
    m, s, w = events(5000, 9)
    point = sculpting(m, s, thresholds=[0.3], weight=w).points[0]
    assert point.passing == (s > 0.3).sum()
    assert point.rejection == pytest.approx(1 - w[s > 0.3].sum() / w.sum())


def test_bins_hold_equal_background_and_given_edges_are_kept():
    m, s, _ = events(5000, 10)
    found = sculpting(m, s, thresholds=[0.0], settings=SculptingSettings(bins=8))
    assert np.histogram(m, found.edges)[0] == pytest.approx(np.full(8, 625), abs=2)
    assert sculpting(m, s, thresholds=[0.0], edges=[0, 150, 300]).edges == (0, 150, 300)


def test_events_without_mass_or_score_are_counted_and_left_out():
    m, s, _ = events(2000, 11)
    broken = sculpting(np.r_[m, np.nan, 100.0], np.r_[s, 0.0, np.nan], thresholds=[0.0])
    assert (broken.events, broken.missing) == (2000, 2)
    assert broken.points == sculpting(m, s, thresholds=[0.0]).points


def test_too_few_passing_events_tell_nothing():
    m, s, _ = events(2000, 12)
    found = sculpting(m, s, thresholds=[float(np.sort(s)[-10])])
    assert (found.is_sculpted, found.points[0].divergence, found.points[0].passing) == (None, None, 9)
    assert found.sentence.startswith("Too few background events pass")


def test_the_record_survives_json():
    m, s, w = events(1000, 13)
    found = sculpting(m, s, thresholds=cuts(s), weight=w)
    assert Sculpting.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"mass": np.ones(10), "score": np.ones(10)}, EmptySelectionError, "10 background events with mass and score"),
        ({"mass": np.ones(30), "score": np.ones(30)}, EmptySelectionError, "all 30 background events have mass 1"),
        ({"mass": np.ones(30), "score": np.ones(20)}, InvalidEventsError, r"shapes \(30,\), \(20,\)"),
        ({"weight": np.r_[np.ones(29), np.inf]}, InvalidEventsError, "weight = inf of event 29"),
        ({"weight": -np.ones(30)}, EmptySelectionError, "weights summing to -30"),
        ({"thresholds": []}, InvalidEventsError, "expected at least one"),
        ({"thresholds": [np.nan]}, InvalidEventsError, "all finite"),
        ({"edges": [0, 0, 1]}, InvalidEventsError, "edges must increase"),
    ],
)
def test_it_refuses(arguments, kind, message):
    given = {"mass": np.arange(30.0), "score": np.arange(30.0), "thresholds": [0.5], **arguments}
    with pytest.raises(kind, match=message):
        sculpting(given.pop("mass"), given.pop("score"), **given)
