"""Replicas of AUC and efficiencies that can be compared in pairs."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.metrics import EvaluationSettings, auc_difference, evaluate
from anomalon.metrics.replicated import background_left, replicated

RNG = np.random.default_rng(3)
B, S = RNG.normal(0, 1, 500), RNG.normal(1, 1, 200)
WB, WS = RNG.uniform(0.5, 2.0, 500), RNG.uniform(0.5, 2.0, 200)
SETTINGS = EvaluationSettings(replicas=50, seed=4)


def test_the_first_row_is_what_an_evaluation_says() -> None:
    drawn = replicated((B, WB), (S, WS), SETTINGS)
    said = evaluate(B, S, background_weights=WB, signal_weights=WS, settings=SETTINGS)
    assert drawn[0].tolist() == [said.auc.value, *(p.signal_efficiency.value for p in said.efficiencies)]
    assert background_left(B, WB, SETTINGS.background_efficiencies) == tuple(
        p.background_left for p in said.efficiencies
    )


def test_replicas_of_two_scores_are_paired() -> None:
    ours, other = (replicated((B, WB), (S + shift, WS), SETTINGS)[:, 0] for shift in (0.5, 0.0))
    difference = auc_difference((B, S + 0.5), (B, S), background_weights=WB, signal_weights=WS, settings=SETTINGS)
    assert ours[0] - other[0] == pytest.approx(difference.value)
    assert np.quantile((ours - other)[1:], 0.16) == pytest.approx(difference.low68)
    assert np.std(ours - other) < 0.7 * np.hypot(np.std(ours), np.std(other))
