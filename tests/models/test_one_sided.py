"""Upper tails, their calibration, outlier exposure, and combinations of detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.batches import EventIds, mix
from anomalon.errors import ConfigError, TrainingError
from anomalon.events import Events
from anomalon.features import Features, get
from anomalon.models.calibration import Calibration
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.models.input_sum import InputSum
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.models.presets import ONE_SIDED, RISING
from anomalon.models.upper_tails import UpperTails, UpperTailsSettings
from anomalon.store import Store, StoreWriter
from anomalon.streaming import EventBlocks
from tests.models.examples import trilepton
from tests.random_events import random_rows

pytestmark = pytest.mark.usefixtures("one_thread")
FROM_EVENTS = [name for name in ONE_SIDED if DetectorSettings.parse(name).needs_events]
FEW = {"trees": 20, "events_per_leaf": 5}


@pytest.fixture(scope="module")
def events() -> Events:
    rows = Events.from_dicts(random_rows(900, seed=3, leptons=4.0))
    seen = get("trilepton").transform(rows)
    return rows[seen.select(RISING).mask.all(axis=1)]


def quick(name: str, **changes: Any) -> DetectorSettings:
    if "members" not in ONE_SIDED[name]:
        return DetectorSettings.parse({"kind": name, **FEW, **changes})
    members = [{"kind": m, **(FEW if m.startswith("exposed") else {})} for m in ONE_SIDED[name]["members"]]
    return DetectorSettings.parse({"kind": name, "members": members, "folds": 2, **changes})


def blocks_of(events: Events, kind: DetectorSettings, size: int = 150) -> EventBlocks:
    return EventBlocks(events, kind.feature_set(), np.linspace(0.5, 1.5, len(events)), size=size)


# ------------------------------------------------------------------------------------------- calibration


def test_a_calibrated_background_is_uniform_on_events_that_nobody_saw() -> None:
    rng = np.random.default_rng(1)
    made = Calibration.of(rng.exponential(5, 20_000), np.ones(20_000))
    fresh = rng.exponential(5, 200_000)
    for level in (0.5, 0.1, 0.01, 1e-3):
        assert (made.minus_log_p_of(fresh) > -np.log(level)).mean() == pytest.approx(level, rel=0.25)


@pytest.mark.parametrize("shape", [0.0, 0.3])
def test_the_tail_goes_on_as_it_began(shape: float) -> None:
    p = (np.arange(200_000) + 0.5) / 200_000
    scores = -np.log(p) if shape == 0 else (p**-shape - 1) / shape
    made = Calibration.of(scores, np.ones(len(p)))
    wanted = np.array([5.0, 9.0, 13.0])
    at = wanted if shape == 0 else (np.exp(shape * wanted) - 1) / shape
    np.testing.assert_allclose(made.minus_log_p_of(at), wanted, rtol=0.06)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200), st.integers(0, 1000))
def test_minus_log_p_never_falls_and_is_finite(scores: list[float], seed: int) -> None:
    made = Calibration.of(scores, np.random.default_rng(seed).uniform(0.1, 2, len(scores)))
    at = np.sort(np.r_[scores, np.linspace(-1e7, 1e7, 50)])
    levels = made.minus_log_p_of(at)
    assert np.isfinite(levels).all()
    assert (np.diff(levels) >= 0).all()
    assert levels[0] >= 0
    assert Calibration.parse(made.to_dict()) == made


def test_small_scores_are_calibrated_like_large_ones() -> None:
    scores = np.random.default_rng(1).exponential(1.0, 2000)
    first, second = (Calibration.of(unit * scores, np.ones(2000)) for unit in (1.0, 1e-20))
    at = np.linspace(0, 20, 50)
    np.testing.assert_allclose(first.minus_log_p_of(at), second.minus_log_p_of(1e-20 * at), rtol=1e-6)


def test_weights_are_the_background() -> None:
    scores = np.r_[np.zeros(100), np.ones(100)]
    made = Calibration.of(scores, np.r_[np.full(100, 3.0), np.full(100, -1.0)])
    assert np.exp(-made.minus_log_p_of([0.999])[0]) == pytest.approx(0.25, abs=0.02)


# ------------------------------------------------------------------------------------------- upper tails


@pytest.mark.parametrize("combine", ["fisher", "brown", "decorrelated", "joint"])
def test_scores_rise_with_every_input(combine: str) -> None:
    values = np.random.default_rng(0).exponential(50, (500, 3))
    scorer = UpperTails(UpperTailsSettings.parse({"combine": combine})).fit(values)
    for k in range(3):
        rising = np.full((30, 3), 80.0)
        rising[:, k] = np.linspace(1, 2000, 30)
        scores = scorer.score(rising)
        assert (np.diff(scores) >= 0).all()
        assert scores[-1] > scores[0]


def test_independent_inputs_multiply_and_equal_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.exponential(1.0, 20_000)
    at = [[3.0, 3.0]]
    joint = UpperTailsSettings(combine="joint", events=20_000, width=0.1)
    apart = UpperTails(joint).fit(np.c_[x, rng.exponential(1.0, 20_000)]).score(at)[0]
    together = UpperTails(joint).fit(np.c_[x, x]).score(at)[0]
    assert apart == pytest.approx(6.0, abs=0.4)
    assert together == pytest.approx(3.0, abs=0.2)


def test_brown_knows_that_equal_inputs_are_one() -> None:
    x = np.random.default_rng(0).exponential(1.0, 20_000)
    values = np.c_[x, x, x]
    levels = {name: UpperTails(UpperTailsSettings.parse({"combine": name})).fit(values) for name in ("fisher", "brown")}
    assert levels["fisher"].score([[4.0, 4.0, 4.0]])[0] == pytest.approx(12.0, abs=0.3)
    assert levels["brown"].score([[4.0, 4.0, 4.0]])[0] == pytest.approx(4.0, abs=0.3)
    order = [np.argsort(one.score(values[:500])) for one in levels.values()]
    np.testing.assert_array_equal(*order)


def test_decorrelated_inputs_that_say_the_same_share_their_weight() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.exponential(1.0, (2, 5000))
    near = x + 0.01 * rng.exponential(1.0, 5000)
    scorer = UpperTails(UpperTailsSettings(combine="decorrelated")).fit(np.c_[x, near, y])
    weights = scorer._weights
    assert weights.sum() == pytest.approx(1)
    assert weights[2] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("combine", ["fisher", "decorrelated"])
def test_levels_of_the_inputs_add_up_to_the_score(combine: str) -> None:
    values = np.random.default_rng(0).exponential(50, (500, 3))
    scorer = UpperTails(UpperTailsSettings.parse({"combine": combine})).fit(values)
    explained = scorer.explain(values)
    assert explained is not None
    np.testing.assert_allclose(explained.sum(axis=1), scorer.score(values))


def test_a_sum_of_inputs_is_their_sum() -> None:
    scorer = InputSum().fit(np.ones((30, 2)))
    assert scorer.score([[3.0, 4.0]]).tolist() == [7.0]
    assert DetectorSettings.parse("lt-plus-met").preprocessing.inputs == ("LT", "MET_pt")


# --------------------------------------------------------------------------------------- outlier exposure


@pytest.mark.parametrize("name", FROM_EVENTS)
def test_detectors_that_learn_from_events_flag_harder_ones(name: str, events: Events, tmp_path: Path) -> None:
    kind = quick(name)
    detector = Detector(kind).fit_blocks(blocks_of(events, kind))
    features = get("trilepton").transform(events)
    harder = Features(features.values * 4, features.mask, features.names)
    assert (detector.score_features(harder) > np.quantile(detector.score_features(features), 0.9)).mean() > 0.8
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_features(features), detector.score_features(features))
    assert loaded.settings == kind


@pytest.mark.parametrize("name", FROM_EVENTS)
def test_features_are_not_enough_where_events_are_learned_from(name: str) -> None:
    with pytest.raises(TrainingError, match=r"learns from events and was given features: fit it with fit_blocks"):
        Detector(quick(name)).fit(trilepton(1000))


@pytest.mark.parametrize("against", ["pseudo-events", "exaggerated"])
def test_a_monotone_score_never_falls_with_a_feature(against: str, events: Events) -> None:
    kind = quick("outlier-exposure", against=against)
    detector = Detector(kind).fit_blocks(blocks_of(events, kind))
    features = get("trilepton").transform(events[:50])
    before = detector.score_features(features)
    for name in detector.inputs:
        values = features.values.copy()
        values[:, features.index(name)] *= 1.7
        assert (detector.score_features(Features(values, features.mask, features.names)) >= before).all()


def test_outliers_pass_the_selection_of_their_channel(events: Events) -> None:
    hard = {"selection": {"pt_min": [90, 15, 10]}}
    kind = quick("outlier-exposure", feature_settings=hard, inputs=["MET_pt", "lep1_pt"])
    hosts = events[kind.feature_set().selection.steps(events)[-1][1]]  # type: ignore[attr-defined]
    scorer: Any = Detector(kind).scorer
    scorer.n_inputs, scorer.names = 2, ("MET_pt", "lep1_pt")
    whole = KeptBlocks.of(blocks_of(hosts, kind))
    chosen = KeptBlocks(whole, [np.ones(n, dtype=bool) for n in whole.sizes], scorer.names)
    outliers = scorer._outliers(chosen, chosen.gathered()[0])
    assert 20 < len(outliers) < 4 * len(hosts)
    assert outliers[:, 1].min() > 90


@pytest.mark.parametrize("features", ["leptons", "objects"])
def test_other_channels_have_outliers_of_their_own(features: str, events: Events) -> None:
    kind = quick("exposed-to-pseudo-events", features=features)
    detector = Detector(kind).fit_blocks(blocks_of(events, kind))
    values = kind.feature_set().transform(events)
    harder = Features(values.values * 4, values.mask, values.names)
    assert (detector.score_features(harder) > np.nanquantile(detector.score_features(values), 0.9)).mean() > 0.6


def test_a_store_and_events_in_memory_teach_the_same(events: Events, tmp_path: Path) -> None:
    order = events[mix(EventIds.of(events), 0)]
    with StoreWriter(tmp_path / "store", events_per_shard=100) as writer:
        writer.append(order)
        writer.finish()
    kind = quick("outlier-exposure")
    first, second = (
        Detector(kind).fit_blocks(blocks_of(source, kind)) for source in (order, Store(tmp_path / "store").load())
    )
    streamed = EventBlocks(Store(tmp_path / "store"), kind.feature_set(), np.linspace(0.5, 1.5, len(order)), size=150)
    third = Detector(kind).fit_blocks(streamed)
    scores = [one.score(order) for one in (first, second, third)]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_an_explanation_names_what_is_unusual(events: Events) -> None:
    kind = quick("outlier-exposure", against="exaggerated")
    detector = Detector(kind).fit_blocks(blocks_of(events, kind))
    features = get("trilepton").transform(events[:40])
    features.values[:, features.index("MET_pt")] = 900
    explained = detector.explain(features)
    assert explained is not None
    assert explained.shape == (40, len(detector.inputs))
    assert explained.mean(axis=0).argmax() == detector.inputs.index("MET_pt")


def test_hosts_that_make_no_pseudo_events_are_told(events: Events) -> None:
    kind = quick("outlier-exposure", pseudo_events={"leptons": 0, "jets": 2})
    few = events[(ak.num(events.array.jets) < 2).to_numpy()]
    with pytest.raises(TrainingError, match=r"0 of the pseudo-events have the features of their hosts"):
        Detector(kind).fit_blocks(blocks_of(few, kind))


# ------------------------------------------------------------------------------------------- combinations


def combined(how: str, **more: Any) -> DetectorSettings:
    members = [{"kind": "met"}, {"kind": "single-variable", "inputs": ["HT"]}]
    return DetectorSettings.parse({"kind": "combination", "members": members, "how": how, **more})


@pytest.mark.parametrize("folds", [1, 3])
def test_and_or_product_and_average_are_what_their_names_say(folds: int) -> None:
    values, fresh = trilepton(900, seed=1), trilepton(60, seed=2)
    p = {}
    for how in ("and", "or", "product", "average"):
        made = Detector(combined(how, folds=folds)).fit(values)
        p[how] = np.exp(-made.score_features(fresh))
        alone: Any = made.scorer
        levels = np.exp(
            -np.mean(
                [[c.minus_log_p_of(d.score_features(fresh)) for d, c in copies] for copies in alone.members], axis=0
            )
        )
        if folds == 1:
            wanted = {"and": levels.max(0), "or": levels.min(0), "product": levels.prod(0), "average": levels.mean(0)}
            np.testing.assert_allclose(p[how], wanted[how])
    assert (p["product"] <= p["or"] * (1 + 1e-9)).all()
    assert (p["or"] <= p["average"] * (1 + 1e-9)).all()
    assert (p["average"] <= p["and"] * (1 + 1e-9)).all()


def test_a_combination_sees_the_inputs_of_its_members_and_no_more() -> None:
    made = Detector(combined("and")).fit(trilepton(200))
    assert made.inputs == ("MET_pt", "HT")


def test_validation_background_calibrates() -> None:
    values, checked = trilepton(300, seed=1), trilepton(300, scale=2.0, seed=2)
    made = Detector(combined("product")).fit(values, validation=checked)
    alone: Any = made.scorer
    detector, calibration = alone.members[0][0]
    assert calibration == Calibration.of(detector.score_features(checked), np.ones(300))


def test_members_have_seeds_of_their_own_and_follow_that_of_the_combination() -> None:
    members = [{"kind": "kmeans"}, {"kind": "kmeans", "seed": 5}]
    kind = DetectorSettings.parse({"kind": "combination", "members": members}).seeded(10)
    scorer: Any = kind.scorer
    assert [one.scorer.seed for one in scorer.detectors] == [10, 15]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "give at least one"),
        ([{"kind": "kmeens"}], "did you mean 'kmeans'"),
        ([{"kind": "kmeans", "clustres": 2}], "unknown key 'clustres'"),
    ],
)
def test_impossible_members_are_refused(members: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DetectorSettings.parse({"kind": "combination", "members": members})
