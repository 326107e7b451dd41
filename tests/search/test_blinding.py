from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import BlindedError
from anomalon.search.blinding import blind_cutflow, blinding, handed_out

FLAGS = st.lists(st.tuples(st.booleans(), st.floats(allow_nan=True)), min_size=1, max_size=30)


@given(FLAGS, st.floats(-10, 10))
def test_blinded_data_is_never_seen_above_the_threshold_nor_without_a_score(
    rows: list[tuple[bool, float]], threshold: float
) -> None:
    is_data, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    shown = handed_out(score, threshold, is_data, blinding(is_data, None))
    assert not (shown & is_data & ~(score <= threshold)).any()
    assert shown[~is_data].all()


@given(FLAGS)
def test_unblinding_shows_everything(rows: list[tuple[bool, float]]) -> None:
    is_data, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    assert handed_out(score, 0.0, is_data, blinding(is_data, "frozen")).all()


def test_blinding_does_not_apply_to_simulation() -> None:
    assert not blinding(np.array([False, False]), None).applies


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_reason_must_say_something(reason: str) -> None:
    with pytest.raises(BlindedError, match="--unblind needs a reason"):
        blinding(np.array([True]), reason)


def test_only_the_last_cut_of_data_and_of_sums_with_data_is_withheld() -> None:
    rows = [
        {"process": p, "cut": c, "raw": 5, "weighted": 5.0}
        for p in ("data", "WZ", "all")
        for c in ("all events", "Z candidate")
    ]
    blind = blind_cutflow(rows, ["data"], blinding(np.array([True]), None))
    assert [r["raw"] for r in blind] == [5, None, 5, 5, 5, None]
    assert "withheld" in blind[1]["cut"]
    assert rows[1]["raw"] == 5
