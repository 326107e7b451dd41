from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.events import Events, Sample
from anomalon.selection import TrileptonSelection, apply
from tests.random_events import random_rows

SAMPLES = (
    Sample(name="wz", process="WZ", cross_section_pb=2.0, sum_gen_weights=100.0),
    Sample(name="zz", process="ZZ", cross_section_pb=0.5, sum_gen_weights=80.0, k_factor=1.5),
)


def events(n: int = 200, seed: int = 3) -> Events:
    rng = np.random.default_rng(seed)
    rows = [
        row | {"dataset": int(rng.integers(2)), "gen_weight": float(rng.choice([-1, 1, 2]))}
        for row in random_rows(n, seed)
    ]
    return Events.from_dicts(rows, SAMPLES)


def test_yields_are_sums_of_weights_with_errors_in_quadrature() -> None:
    table = events()
    cutflow = apply(TrileptonSelection(), table, luminosity=10.0).cutflow
    mask = TrileptonSelection().steps(table)[-1][1]
    expected = [
        float(w) * (2.0 * 1000 * 10 / 100 if d == 0 else 0.5 * 1000 * 1.5 * 10 / 80)
        for w, d, keep in zip(table.array.gen_weight, table.array.dataset, mask, strict=True)
        if keep
    ]
    last = cutflow.total()[-1]
    assert last.raw == len(expected)
    assert last.weighted == pytest.approx(sum(expected))
    assert last.error == pytest.approx(math.sqrt(sum(w * w for w in expected)))


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 60))
def test_the_cutflows_of_two_chunks_add_up_to_that_of_the_whole(cut: int) -> None:
    table = events(60)
    whole = apply(TrileptonSelection(), table, 1.0).cutflow
    parts = (
        apply(TrileptonSelection(), table[:cut], 1.0).cutflow + apply(TrileptonSelection(), table[cut:], 1.0).cutflow
    )
    for a, b in zip(whole.rows(), parts.rows(), strict=True):
        assert a == pytest.approx(b)


def test_raw_counts_never_grow_from_cut_to_cut() -> None:
    for counts in apply(TrileptonSelection(), events()).cutflow.counts.values():
        raw = [count.raw for count in counts]
        assert raw == sorted(raw, reverse=True)


def test_efficiencies_are_relative_to_the_first_and_to_the_previous_cut() -> None:
    rows = [r for r in apply(TrileptonSelection(), events(), 1.0).cutflow.rows() if r["process"] == "WZ"]
    assert rows[0]["efficiency"] == 1.0
    assert rows[2]["efficiency"] == pytest.approx(rows[2]["weighted"] / rows[0]["weighted"])
    assert rows[2]["relative_efficiency"] == pytest.approx(rows[2]["weighted"] / rows[1]["weighted"])


def test_an_empty_selection_has_rows_and_no_division_by_zero() -> None:
    cutflow = apply(TrileptonSelection(pt_min=(1e6, 1e6, 1e6)), events(), 1.0).cutflow
    assert cutflow.rows()[-1]["raw"] == 0
    assert cutflow.rows()[-1]["relative_efficiency"] is None
