from __future__ import annotations

import json

import numpy as np
import pytest

from anomalon.errors import ConfigError, EmptySelectionError
from anomalon.events import Events
from anomalon.generation.flatten import flatten
from anomalon.generation.validate import validate
from anomalon.generation.validation import Validation, ValidationSettings
from tests.generation.toys import GENERATED, independent_marginals, to_events, top_pairs

QUICK = ValidationSettings(
    splits=3, events=750, precision=0.015, neighbour_events=1000, judges=("boosting",), detector=None
)  # the precision needs 741 events


@pytest.fixture(scope="module")
def real() -> Events:
    return top_pairs(6000, seed=1)


@pytest.fixture(scope="module")
def same(real) -> Validation:
    return validate(real, top_pairs(3000, seed=2, sample=GENERATED), settings=QUICK)


@pytest.fixture(scope="module")
def marginals(real) -> Validation:
    """Independent marginals of other events: what one-dimensional distances call perfect."""
    made = to_events(independent_marginals(flatten(top_pairs(3000, seed=3))))
    return validate(real, made, settings=QUICK)


def test_real_events_sit_at_the_floor(same):
    off = {metric.name for metric in same.metrics if metric.verdict != "floor"}
    assert len(off) <= 2, off  # of some forty, each with one chance in a hundred
    for name in ("ws", "js", "kl", "correlations", "coverage", "frechet_corrected", "auc_boosting"):
        assert same.metric(name).verdict == "floor", name
    assert not [rate.name for rate in same.rates if rate.generated_events]


def test_ratios_of_real_events_hold_one(same):
    for name in ("ws", "js", "kl", "w1_derived", "multiplicity"):
        ratio = same.metric(name).ratio
        assert abs(ratio.value - 1) < 1.5 * (ratio.high - ratio.low), name  # three standard deviations


def test_independent_marginals_ace_the_distances_and_nothing_else(marginals):
    assert {marginals.metric(name).verdict for name in ("ws", "js", "js_distance", "kl")} == {"floor"}
    assert marginals.rate("below_shell").generated.value > 0.8
    assert marginals.metric("auc_boosting").generated.value > 0.98
    for name in ("auc_boosting", "correlations", "frechet_corrected", "w1_m_W_peak", "w1_balance_calo", "w1_derived"):
        assert marginals.metric(name).verdict == "off", name


def test_a_shifted_w_peak_is_seen_and_the_rest_is_not_blamed(real):
    settings = QUICK.model_copy(update={"judges": (), "events": None})
    found = validate(real, top_pairs(3000, seed=4, m_w=85.0, sample=GENERATED), settings=settings)
    assert found.metric("w1_m_W_peak").verdict == "off"
    assert found.metric("w1_m_W_peak").ratio.value > 2
    assert found.metric("w1_MET").verdict == "floor"
    assert not any(metric.group == "judges" for metric in found.metrics)


def test_memorised_and_amplified_events_are_told(real):
    settings = QUICK.model_copy(update={"judges": ()})
    train = top_pairs(1500, seed=5)
    found = validate(real, train, train=train, truth=top_pairs(15_000, seed=6), settings=settings)
    assert found.memorisation.memorised
    assert found.memorisation.copies == 1500
    assert found.amplification.factor.value == pytest.approx(found.amplification.training_factor.value)


def test_too_few_events_are_refused_with_the_number_needed(real):
    with pytest.raises(EmptySelectionError, match="1500 real and 750 generated events are needed"):
        validate(real, top_pairs(700), settings=QUICK)
    with pytest.raises(EmptySelectionError, match="10000, are needed"):
        validate(real, top_pairs(1000), train=top_pairs(1000, 8), truth=top_pairs(900, 9), settings=QUICK)


def test_truth_without_training_events_is_refused(real):
    with pytest.raises(EmptySelectionError, match="truth without training events"):
        validate(real, top_pairs(1000), truth=top_pairs(1000, 9), settings=QUICK.model_copy(update={"judges": ()}))


def test_the_same_events_twice_are_warned_about(real):
    found = validate(real, real[:2000], settings=QUICK.model_copy(update={"judges": ()}))
    assert any("100% of the generated events are real events, bit by bit" in text for text in found.warnings)
    assert any("flagged as simulation" in text for text in found.warnings)


def test_generated_events_as_the_real_ones_are_warned_about(same):
    assert not any("flagged" in text for text in same.warnings)
    made = top_pairs(2000, sample=GENERATED)
    found = validate(made, made[:1000], settings=QUICK.model_copy(update={"judges": ()}))
    assert any("floors of generated events say nothing" in text for text in found.warnings)


def test_events_that_are_not_finite_are_counted_and_left_out(real):
    arrays = flatten(top_pairs(1500, seed=2))
    arrays.objects[:10, 0, 1] = np.nan
    arrays.met[10] = np.inf
    found = validate(real, to_events(arrays), settings=QUICK.model_copy(update={"judges": ()}))
    assert 1 <= found.rate("not_finite").generated_events <= 11
    assert any("not finite" in text for text in found.warnings)


def test_the_record_is_json_without_nan(same):
    text = same.model_dump_json()
    json.loads(text, parse_constant=pytest.fail)
    assert Validation.model_validate_json(text) == same


def test_the_same_seed_gives_the_same_record(real):
    settings = QUICK.model_copy(update={"splits": 2})
    made = top_pairs(1000, seed=2)
    assert validate(real, made, settings=settings) == validate(real, made, settings=settings)


def test_rare_multiplicities_can_be_left_out_but_are_counted(real):
    settings = QUICK.model_copy(update={"mask_share": 0.8, "judges": ()})
    found = validate(real, top_pairs(3000, seed=2, sample=GENERATED), settings=settings)
    whole = validate(real, top_pairs(3000, seed=2, sample=GENERATED), settings=QUICK.model_copy(update={"judges": ()}))
    assert found.sample("generated").outside_masks == pytest.approx(0.2, abs=0.03)
    assert found.metric("multiplicity").generated.value > 0.9 * whole.metric("multiplicity").generated.value


def test_progress_ends_at_its_end(real):
    seen = []
    validate(
        real, top_pairs(1000), settings=QUICK.model_copy(update={"judges": ()}), progress=lambda *x: seen.append(x)
    )
    assert seen[-1][0] == seen[-1][1] == len(seen)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slots": "garcia"}, "no slots 'garcia'; did you mean 'garcia2024'"),
        ({"slots": {"mu": 1}}, "no kind 'mu'"),
        ({"detector": "darkmachine"}, "no detector 'darkmachine'; did you mean 'darkmachines'"),
        ({"judges": ["forest"]}, "judges"),
        ({"splits": 1}, "splits"),
        ({"mask_share": 0}, "mask_share"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ValidationSettings.parse(values)


@pytest.mark.slow
def test_real_events_sit_at_the_floor_of_both_judges():
    settings = ValidationSettings(splits=3, precision=0.01, detector=None)
    found = validate(top_pairs(12_000, seed=1), top_pairs(6000, seed=2), settings=settings)
    for judge in ("auc_boosting", "auc_mlp"):
        assert found.metric(judge).verdict == "floor"
        assert found.metric(judge).generated.value == pytest.approx(0.5, abs=0.02)
