from __future__ import annotations

import numpy as np
import pytest

from anomalon.generation.columns import columns, momenta
from anomalon.generation.derived import derive
from anomalon.generation.flatten import flatten
from tests.generation.test_derived import turned
from tests.generation.toys import top_pairs


@pytest.fixture(scope="module")
def arrays():
    return flatten(top_pairs(300, seed=4))


def test_judge_and_refiner_share_no_column(arrays):
    judge, refiner = (columns(arrays, derive(arrays), view).names for view in ("judge", "refiner"))
    assert not set(judge) & set(refiner)
    assert len(set(judge)) == len(judge)
    assert len(set(refiner)) == len(refiner)


def test_the_judges_columns_do_not_change_when_an_event_is_turned_or_mirrored(arrays):
    one, other = (columns(x, derive(x), "judge").values for x in (arrays, turned(arrays, 2.0, -1.0, -1.0)))
    assert np.allclose(one, other, atol=1e-6, equal_nan=True)


def test_the_refiners_columns_do_not_change_when_an_event_is_turned(arrays):
    one, other = (columns(x, derive(x), "refiner").values for x in (arrays, turned(arrays, 2.0, 1.0)))
    assert np.allclose(one, other, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("view", ["judge", "refiner"])
def test_both_views_see_each_object(arrays, view):
    """Whichever of the two hardest jets is changed, some column is."""
    derived = derive(arrays)
    before = columns(arrays, derived, view).values
    for kind in ("b", "j"):
        moved = arrays[:]
        moved.objects[:, arrays.span(kind).start, 0] *= 1.01
        changed = ~np.isclose(before, columns(moved, derived, view).values, equal_nan=True)
        moved.objects[:, arrays.span(kind).start, 0] /= 1.01
        assert changed.any(axis=1)[arrays.count(kind) > 0].all()


def test_momenta_are_finite_and_copies_are_at_no_distance(arrays):
    assert np.isfinite(momenta(arrays)).all()
    assert np.allclose(momenta(arrays), momenta(turned(arrays, -0.5, -1.0, -1.0)), atol=1e-6)
