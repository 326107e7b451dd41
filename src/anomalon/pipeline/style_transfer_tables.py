"""What style transfer does to the variables of events: records of every cell of its table, and the table as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr, wasserstein_distance

from anomalon.config import Settings
from anomalon.kinematics import pair_mass
from anomalon.metrics.two_sample import TwoSampleTest, two_sample_test
from anomalon.style.closure import Closure, combined
from anomalon.style.maps import Values
from anomalon.style.picture_weights import Training
from anomalon.style.transfer import Transferred

BJETS = ("b1.pt", "b2.pt")
"""The variables that a distortion of b-jets moves first."""
BJET_PT = "b-jet pT"
HEADER = ("network", "layers", "start", "ratio", "b-jet pT closed", "MET closed", "AUC", "response", "own", "copied",
          "others, x floor", "m(ll) off", "events", "s")  # fmt: skip
KEPT = 0.9
"""Correlation above which events still are those of the content."""


class Cell(Settings):
    """One choice: names of network and layers, the start, and the ratio of style and content."""

    network: str
    layers: str
    start: str
    ratio: str

    @property
    def name(self) -> str:
        """For files."""
        parts = (self.network, self.layers, self.start, self.ratio.replace(":", "-"))
        return "_".join("".join(c if c.isalnum() or c in "-." else "-" for c in part) for part in parts)


class PictureJudged(Settings):
    """Variables of events, however they came about, against the target.

    Attributes:
        kept: events behind the cut.
        test: against other events of the target.
        closures: by variable of a picture; empty where the truth is not known.
        mass_off: median of |m - m(ll)| / m, m the mass that pT, eta and phi of the leptons give: 0 where the
            variables of an event belong together.
        own: correlation of the leptons' variables with those of the same event of the content: 1 where the events are
            still there, 0 where others have taken their place.
        copied: the same with the event at the same place of the style picture.
        response: median over the events of pT / pT of the hardest b-jet, after and before.
    """

    kept: int
    test: TwoSampleTest
    closures: dict[str, Closure]
    mass_off: float
    own: float
    copied: float
    response: float

    @property
    def bjets(self) -> Closure | None:
        """Closure of the pT of both b-jets."""
        parts = [self.closures[name] for name in BJETS if name in self.closures]
        return combined(parts, BJET_PT) if parts else None

    @property
    def others(self) -> float | None:
        """Median over the other variables of the distance to the twins, in units of the floor."""
        ratios = [c.after / c.floor for name, c in self.closures.items() if name not in BJETS and c.floor > 0]
        return float(np.median(ratios)) if ratios else None


class CellResult(Settings):
    """One cell: its losses, what it does to the variables, and the time it took."""

    cell: Cell
    losses: Transferred
    judged: PictureJudged
    seconds: float


class TransferTable(Settings):
    """Everything that ``anomalon style transfer`` finds.

    Attributes:
        events: in the content pictures, in the style pictures, and of the target for the tests.
        variables: names of the variables of a picture.
        baselines: ``untreated``, the ``calibrator`` by its name, and ``style, drawn``: the style pictures themselves.
        training: of trained networks, by name.
        cells: of the table, in order.
    """

    events: tuple[int, int, int]
    variables: tuple[str, ...]
    baselines: dict[str, PictureJudged]
    training: dict[str, Training]
    cells: tuple[CellResult, ...]

    @property
    def best(self) -> CellResult:
        """The cell that is told least from the target among those whose events are still the content's.

        Of all cells where none keeps its events.
        """
        kept = [one for one in self.cells if one.judged.own > KEPT] or self.cells
        return min(kept, key=lambda one: abs(one.judged.test.auc - 0.5))


@dataclass(frozen=True)
class Truth:
    """What events are judged by; variables (event, variable) in the order of ``names``.

    Attributes:
        names: of the variables.
        target: independent events of the target, behind the cut.
        known: ``source``, untreated, and ``twins``, the same events truly distorted, behind the cut; empty where that
            is not known.
        content, style: all events of the pictures, place by place.
        seed: of the test.
    """

    names: Sequence[str]
    target: Values
    known: Mapping[str, Values]
    content: Values
    style: Values
    seed: int

    def judge(self, every: Values, behind: Values) -> PictureJudged:
        """Judge variables (event, variable) of all events of pictures, place by place, and of those behind the cut.

        Events that have lost what is drawn are NaN.

        Raises:
            EmptySelectionError: too few events are left behind the cut.
        """
        there = ~np.isnan(every).any(axis=1)
        placed, content, style = (values[there] for values in (every, self.content, self.style))
        hardest = self.names.index(BJETS[0])
        return PictureJudged(
            kept=len(behind),
            test=two_sample_test(behind, self.target, seed=self.seed),
            closures=self._closures(behind),
            mass_off=_mass_off(placed, self.names),
            own=self._correlation(placed, content),
            copied=self._correlation(placed, style),
            response=float(np.median(placed[:, hardest] / content[:, hardest])),
        )

    def _closures(self, values: Values) -> dict[str, Closure]:
        closures = {}
        for i, name in enumerate(self.names if self.known else ()):
            samples = {"before": self.known["source"], "after": values, "floor": self.target}
            distances = {
                what: float(wasserstein_distance(v[:, i], self.known["twins"][:, i])) for what, v in samples.items()
            }
            closures[name] = Closure(variable=name, **distances)
        return closures

    def _correlation(self, first: Values, second: Values) -> float:
        """Mean rank correlation of the leptons' variables, place by place."""
        at = [i for i, name in enumerate(self.names) if name.startswith("l")]
        return float(np.mean([np.nan_to_num(spearmanr(first[:, i], second[:, i]).statistic) for i in at]))


def as_markdown(found: TransferTable) -> str:
    """The table as Markdown."""
    n, m, k = found.events
    lines = [
        f"{n:,} events drawn, {m:,} events give the style, {k:,} other events of the target for the tests.",
        "",
        *(f"Network {name}: tells pieces in {100 * t.accuracy:.1f} % of cases." for name, t in found.training.items()),
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * len(HEADER),
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows(found)]
    return "\n".join(lines) + "\n"


def rows(found: TransferTable) -> Iterator[Sequence[str]]:
    """Rows of the table: baselines first."""
    for name, judged in found.baselines.items():
        yield name, "", "", "", *_numbers(judged), ""
    for one in found.cells:
        cell = one.cell
        yield cell.network, cell.layers, cell.start, cell.ratio, *_numbers(one.judged), f"{one.seconds:.0f}"


def _numbers(judged: PictureJudged) -> Iterator[str]:
    met = judged.closures.get("met")
    yield _share(_closed(judged))
    yield _share(None if met is None else met.closed)
    yield f"{judged.test.auc:.3f} ± {judged.test.error:.3f}"
    yield f"{judged.response:.2f}"
    yield f"{judged.own:.2f}"
    yield f"{judged.copied:.2f}"
    yield "-" if judged.others is None else f"{judged.others:.1f}"
    yield f"{100 * judged.mass_off:.0f} %"
    yield f"{judged.kept:,}"


def _closed(judged: PictureJudged) -> float | None:
    return None if judged.bjets is None else judged.bjets.closed


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mass_off(values: Values, names: Sequence[str]) -> float:
    at = {name: values[:, i] for i, name in enumerate(names)}
    one, two = ((at[f"{n}.pt"], at[f"{n}.eta"], at[f"{n}.phi"], np.zeros(len(values))) for n in ("l1", "l2"))
    mass = pair_mass(one, two)
    return float(np.median(np.abs(mass - at["m_ll"]) / np.maximum(mass, 1.0)))
