from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from anomalon.generation.two_sample import LEARNERS
from anomalon.metrics.two_sample import held_out_auc

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("judge", ["boosting", "mlp"])
def test_two_samples_of_the_same_events_cannot_be_told_apart(judge):
    real, generated = RNG.normal(size=(2, 2000, 6))
    assert held_out_auc(real, generated, learner=LEARNERS[judge], folds=2) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("judge", ["boosting", "mlp"])
def test_a_shift_is_seen_as_well_as_it_can_be(judge):
    real, generated = RNG.normal(size=(2, 4000, 4))
    generated[:, 1] += 1.0
    assert held_out_auc(real, generated, learner=LEARNERS[judge], folds=2) == pytest.approx(
        norm.cdf(1 / np.sqrt(2)), abs=0.02
    )


@pytest.mark.parametrize("judge", ["boosting", "mlp"])
def test_what_is_missing_tells_as_much_as_what_is_there(judge):
    real, generated = RNG.normal(size=(2, 1000, 3))
    generated[:, 2] = np.nan
    assert held_out_auc(real, generated, learner=LEARNERS[judge], folds=2) > 0.99


@pytest.mark.parametrize("judge", ["boosting", "mlp"])
def test_columns_that_no_event_fills_do_no_harm(judge):
    real, generated = RNG.normal(size=(2, 400, 3))
    real[:, 0] = generated[:, 0] = np.nan
    real[:, 1] = generated[:, 1] = 7.0
    assert 0.4 < held_out_auc(real, generated, learner=LEARNERS[judge], folds=2) < 0.6


def test_the_same_seed_gives_the_same_area():
    real, generated = RNG.normal(size=(2, 500, 3))
    first, again = (held_out_auc(real, generated, learner=LEARNERS["mlp"], seed=3) for _ in range(2))
    assert first == again
