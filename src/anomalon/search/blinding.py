"""Blinding: what the score stage hands out of collision data.

While a search is blinded, rows of collision data above the threshold are withheld, and so is their number: whoever
counts rows must not learn it from the cutflow either, so the last cut of collision data is withheld too, and ledgers
count withheld rows among the events that were cut.

Where the data is its own background, its tail also decides what the detectors would be said to achieve: rates above the
threshold, AUC, efficiencies, losses. These are withheld as well, for computed without the tail they would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import BlindedError
from anomalon.search.results import Blinding

WITHHELD = "withheld (blinded)"


def blinding(
    is_data: npt.NDArray[np.bool_], reason: str | None, background: npt.NDArray[np.bool_] | None = None
) -> Blinding:
    """Whether blinding applies to these events, and the reason given for lifting it.

    Args:
        is_data: whether each event is collision data, shape (event,).
        reason: for lifting it; None keeps it.
        background: which events the detectors learn from, shape (event,); None for none of them.

    Raises:
        BlindedError: an empty reason.
    """
    check_reason(reason)
    applies = bool(is_data.any()) and reason is None
    own = background is not None and bool((is_data & background).any())
    return Blinding(applies=applies, unblinded_reason=reason, hides_background=applies and own)


def check_reason(reason: str | None) -> None:
    """Refuse to unblind without a reason.

    Raises:
        BlindedError: an empty reason.
    """
    if reason is not None and not reason.strip():
        raise BlindedError(
            '--unblind needs a reason, such as --unblind "selection frozen"; it is recorded with the run'
        )


def handed_out(
    score: npt.NDArray[np.float64], threshold: float, is_data: npt.NDArray[np.bool_], state: Blinding
) -> npt.NDArray[np.bool_]:
    """Rows that may be seen, shape (event,): everything but blinded collision data above the threshold.

    An event without a score is not known to be below the threshold, so it is withheld as well.
    """
    if not state.applies:
        return np.ones(len(score), dtype=bool)
    return np.asarray(~is_data | (score <= threshold), dtype=np.bool_)


def blind_cutflow(
    rows: Iterable[dict[str, Any]], data_processes: Iterable[str], state: Blinding
) -> list[dict[str, Any]]:
    """Cutflow rows with the last cut of collision data, and of totals that hold it, withheld."""
    listed = [dict(row) for row in rows]
    hidden = {*data_processes, "all"} if state.applies else set()
    last = {row["process"]: i for i, row in enumerate(listed)}
    for process in hidden & set(last):
        row = listed[last[process]]
        row |= {key: None for key in row if key not in ("process", "cut")}
        row["cut"] = f"{row['cut']}, {WITHHELD}"
    return listed
