"""Pseudo-data: test background drawn as collisions would come, with a blind signal among it.

One half of the background test events is drawn from, the other half is what it is compared with, so that no event is on
both sides. Which signal was mixed in, how much of it, and everything above the threshold stay hidden until the search
is unblinded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, signal_names
from anomalon.pipeline.parts import Parts
from anomalon.search.results import PseudoData
from anomalon.search.sanity import draw_pseudo_data

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_STREAM = 40_411
"""Keeps these random numbers apart from all others of the same seed."""
SHARE = 0.1
"""Events drawn over effective events to draw from: more would repeat them, and fluctuate more than collisions do."""
LARGEST_EXCESS = 6.0
"""Signal events mixed in are at most this many statistical errors of the background above the threshold."""


@dataclass(frozen=True)
class Drawn:
    """Pseudo-data of a search.

    Attributes:
        rows: of the background events drawn, some of them several times, shape (event,).
        signal: name of the sample mixed in; empty where the search has none.
        signal_rows: of its events, shape (event,).
        template: rows of the background to compare with, shape (event,).
        template_weight: their weights, for the number of events drawn, shape (event,).
    """

    rows: Rows
    signal: str
    signal_rows: Rows
    template: Rows
    template_weight: Floats

    @property
    def all_rows(self) -> Rows:
        """Background and signal together."""
        return np.concatenate([self.rows, self.signal_rows])


def draw(search: SearchConfig, parts: Parts, scores: Scores) -> Drawn:
    """Draw pseudo-data; equal seeds give equal events."""
    tested = np.flatnonzero(parts.where("background", TEST))
    ours, template = tested[::2], tested[1::2]
    weight = np.maximum(parts.table.weight[ours], 0.0)
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    expected = min(float(search.sanity.pseudo_events), SHARE * effective)
    rows = ours[draw_pseudo_data(weight, expected, seed=search.seed)]
    scaled = parts.table.weight[template] * (expected / parts.table.weight[template].sum())
    above = scaled[scores.score[template] > scores.threshold].sum()
    signal, signal_rows = _signal(search, parts, largest=LARGEST_EXCESS * float(np.sqrt(max(above, 1.0))))
    return Drawn(rows, signal, signal_rows, template, scaled)


def _signal(search: SearchConfig, parts: Parts, largest: float) -> tuple[str, Rows]:
    """Which signal, and rows of its test events: perhaps none."""
    random = np.random.default_rng([search.seed, _STREAM])
    names = signal_names(parts)
    if not names:
        return "", np.zeros(0, dtype=np.int64)
    name = str(random.choice(names))
    candidates = np.flatnonzero(parts.where("signal", TEST, name))
    number = min(int(random.integers(0, int(largest) + 1)), len(candidates))
    return name, np.sort(random.choice(candidates, number, replace=False))


def describe(drawn: Drawn, search: SearchConfig, scores: Scores, *, hidden: bool) -> PseudoData:
    """What may be told of pseudo-data."""
    cut = scores.threshold
    weight = drawn.template_weight[scores.score[drawn.template] > cut]
    expected, error = float(weight.sum()), float(np.sqrt((weight**2).sum()))
    above = scores.score[drawn.all_rows] > cut
    known = PseudoData(events=int((~above).sum()), expected_above=expected, error_above=error)
    background = f"{expected:.1f} ± {error:.1f} background events are expected above the threshold"
    if hidden:
        return known.model_copy(update={"sentence": (
            f"Pseudo-data: {known.events} events at or below the threshold; {background}. Whether a signal was mixed "
            "in, which one, and what lies above the threshold is withheld until --unblind REASON."
        )})  # fmt: skip
    flagged = int((scores.score[drawn.signal_rows] > cut).sum())
    title = next((s.heading for s in search.samples if s.name == drawn.signal), "no signal")
    pull = (above.sum() - expected) / np.sqrt(max(expected + error**2, 1e-9))
    sentence = (
        f"Pseudo-data: {int(above.sum())} events above the threshold, {background}: {pull:+.1f} standard deviations. "
        f"{len(drawn.signal_rows)} events of {title} were mixed in, {flagged} of them are above the threshold."
    )
    return known.model_copy(update={
        "events": len(above), "above": int(above.sum()), "signal": drawn.signal or None,
        "injected": len(drawn.signal_rows), "flagged": flagged, "sentence": sentence,
    })  # fmt: skip
