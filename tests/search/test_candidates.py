from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.search.candidates import background_fraction_above, drivers, top
from anomalon.search.threshold import Scored


@given(st.lists(st.floats(allow_infinity=False), max_size=40), st.integers(0, 10))
def test_the_highest_allowed_scores_come_first(values: list[float], n: int) -> None:
    score = np.array(values, dtype=float)
    allowed = np.arange(len(score)) % 3 != 0
    chosen = top(score, allowed, n)
    assert len(chosen) == min(n, int((allowed & np.isfinite(score)).sum()))
    assert (np.diff(score[chosen]) <= 0).all()
    rest = np.setdiff1d(np.flatnonzero(allowed & np.isfinite(score)), chosen)
    assert not len(rest) or not len(chosen) or score[rest].max() <= score[chosen].min()


def test_the_background_fraction_is_weighted_and_counts_equal_scores() -> None:
    background = Scored(np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.0, 1.0, 2.0, 9.0]))
    assert background_fraction_above(2.0, background) == pytest.approx(3 / 4)
    assert background_fraction_above(9.0, background) == 0.0


def test_missing_inputs_and_negative_shares_drive_nothing() -> None:
    names = ("a", "b", "c", "d")
    found = drivers(names, np.array([1.0, np.nan, 3.0, 4.0], dtype=np.float32), np.array([1.0, 50.0, 3.0, -2.0]))
    assert [d.feature for d in found] == ["c", "a"]
    assert [d.share for d in found] == [0.75, 0.25]


def test_no_positive_share_names_no_driver() -> None:
    assert drivers(("a",), np.ones(1, dtype=np.float32), np.zeros(1)) == ()
