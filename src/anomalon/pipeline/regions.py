"""Regions of every detector's score: their yields, the cut inside them, and what they gain over the cut alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, VALIDATION
from anomalon.bumps.decorrelation import Decorrelation
from anomalon.errors import EmptySelectionError
from anomalon.features.labels import label
from anomalon.metrics import effective_number
from anomalon.metrics.estimate import Estimate
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, scored, signal_names
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.summaries import TITLES
from anomalon.search.cut_scan import Scan, Weighted, cut_points, scan, significance_interval
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.gain import Sides, gains
from anomalon.search.regions import Region, nested_regions, with_enough
from anomalon.search.results import Blinding
from anomalon.search.statistics import (
    CutScan,
    RegionSignificance,
    RegionSummary,
    RegionYield,
    SignalStatement,
    Verdict,
)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EVERYTHING = Region("all", 0.0, -np.inf)
"""No cut on the score: the plain cut on the variable alone."""
_EVENTS_PER_NODE = 50
"""Validation events per bin of the mass that is taken out of a score, at most 20 bins."""


@dataclass(frozen=True)
class Regions:
    """Regions of the detectors of a search and the events that fall into them.

    Attributes:
        plain_scores: as the detectors give them.
        scores: that the regions cut on, decorrelated where the search asks for it.
        decorrelations: of the detectors' scores.
        by_detector: nested regions, loosest first.
        variable: that is cut on, shape (event,), NaN where it is missing.
        weight: of test events, scaled so that they stand for the whole; 0 for all others, shape (event,).
        notes: what was loosened.
    """

    search: SearchConfig
    parts: Parts
    plain_scores: Scores
    scores: Scores
    decorrelations: dict[str, Decorrelation]
    by_detector: dict[str, tuple[Region, ...]]
    variable: Floats
    weight: Floats
    notes: tuple[str, ...]

    @classmethod
    def of(cls, search: SearchConfig, parts: Parts, scores: Scores) -> Regions:
        """Fix the regions of every detector on background validation events."""
        found: dict[str, tuple[Region, ...]] = {}
        notes: list[str] = []
        flat = _decorrelations(search, parts, scores)
        used = _decorrelated(search, parts, scores, flat)
        for name, values in used.by_detector.items():
            if name != MET_ALONE:
                found[name], said = _fixed(search, parts, values)
                notes += [f"{TITLES.get(name, name)}, {text}." for text in said]
        variable = column(parts, search.statistics.variable)
        return cls(search, parts, scores, used, flat, found, variable, parts.test_weight(), tuple(notes))

    def inside(self, detector: str, region: Region) -> Mask:
        """Which events are in a region, shape (event,); what blinding withholds is not."""
        return region.holds(self.scores.by_detector[detector]) if region is not EVERYTHING else self.scores.shown

    def summaries(self, state: Blinding) -> Iterator[RegionSummary]:
        """Yields of every region."""
        for detector, regions in self.by_detector.items():
            for region in regions:
                inside = self.inside(detector, region)
                tested = inside & self.parts.where("background", TEST)
                weight = self.weight[tested]
                yield RegionSummary(
                    detector=detector,
                    name=region.name,
                    quantile=region.quantile,
                    threshold=region.threshold,
                    yields=tuple(self._yields(inside)),
                    background=float(weight.sum()),
                    background_error=float(np.sqrt((weight**2).sum())),
                    effective=effective_number(weight),
                    observed=self._observed(inside, state),
                )

    def _yields(self, inside: Mask) -> Iterator[RegionYield]:
        for sample in self.search.samples:
            if sample.role == "data":
                continue
            weight = self.weight[inside & self.parts.where(sample.role, TEST, sample.name)]
            yield RegionYield(
                sample=sample.name,
                title=sample.heading,
                role=sample.role,
                value=float(weight.sum()),
                error=float(np.sqrt((weight**2).sum())),
                raw=len(weight),
                effective=effective_number(weight),
            )

    def _observed(self, inside: Mask, state: Blinding) -> int | None:
        is_data = self.parts.where("data")
        return None if state.applies or not is_data.any() else int((inside & is_data).sum())

    def significances(self) -> Iterator[tuple[RegionSignificance, Scan]]:
        """Every signal in every region of every detector, and with a cut on the variable alone."""
        for signal in signal_names(self.parts):
            yield self._significance(MET_ALONE, EVERYTHING, signal)
            for detector, regions in self.by_detector.items():
                rows = [self._significance(detector, region, signal) for region in regions]
                yield from self._with_gains(detector, regions, signal, rows)

    def _events(self, detector: str, region: Region, role: str, part: int, signal: str | None = None) -> Weighted:
        where = self.parts.where(role, part, signal) & self.inside(detector, region)  # type: ignore[arg-type]
        weight = self.weight if part == TEST else self.parts.table.weight
        return Weighted(self.variable[where], weight[where])

    def _significance(self, detector: str, region: Region, signal: str) -> tuple[RegionSignificance, Scan]:
        """The cut is chosen on validation events, where the background decides how tight it may be."""
        settings = self.search.statistics
        relative, least = settings.background_uncertainty, settings.minimum_effective
        b, s = (self._events(detector, region, role, VALIDATION, name) for role, name in _roles(signal))
        cuts = cut_points(b, least)
        chosen = scan(s, b, cuts, relative=relative).best(least)
        background, events = (self._events(detector, region, role, TEST, name) for role, name in _roles(signal))
        tested = scan(events, background, cuts, relative=relative)
        inside = [x[x.values >= cuts[chosen]] for x in (events, background)]
        row = RegionSignificance(
            detector=detector,
            region=region.name,
            signal_name=signal,
            cut=float(cuts[chosen]),
            signal=float(tested.signal[chosen]),
            signal_error=float(tested.signal_error[chosen]),
            background=float(tested.background[chosen]),
            background_error=float(tested.background_error[chosen]),
            uncertainty=float(tested.uncertainty[chosen]),
            effective=float(tested.effective[chosen]),
            simple=float(tested.simple[chosen]),
            asimov=float(tested.asimov[chosen]),
            significance=significance_interval(inside[0], inside[1], relative, self.search.seed),
        )
        return row, tested

    def _with_gains(
        self, detector: str, regions: Sequence[Region], signal: str, rows: list[tuple[RegionSignificance, Scan]]
    ) -> Iterator[tuple[RegionSignificance, Scan]]:
        """Add what region, and region with cut, keep beside the cut on the variable alone at equal background."""
        where_b, where_s = self.parts.where("background", TEST), self.parts.where("signal", TEST, signal)
        known = np.where(np.isnan(self.variable), -np.inf, self.variable)
        sides = Sides(known[where_b], known[where_s], self.weight[where_b], self.weight[where_s])
        insides = [self.inside(detector, region) for region in regions]
        masks = [
            m for inside, (row, _) in zip(insides, rows, strict=True) for m in (inside, inside & (known >= row.cut))
        ]
        chosen = [(mask[where_b], mask[where_s]) for mask in masks]
        found = gains(sides, chosen, seed=self.search.seed)
        for i, (row, tested) in enumerate(rows):
            yield row.model_copy(update={"gain_region": found[2 * i], "gain": found[2 * i + 1]}), tested


def _decorrelations(search: SearchConfig, parts: Parts, scores: Scores) -> dict[str, Decorrelation]:
    """Per detector what takes the mass out of its score, learned from background validation events."""
    if search.statistics.decorrelate is None:
        return {}
    mass, where = column(parts, search.statistics.decorrelate), parts.where("background", VALIDATION)
    bins = int(np.clip(np.isfinite(mass[where]).sum() // _EVENTS_PER_NODE, 1, 20))
    return {
        name: Decorrelation.fit(mass[where], values[where], weight=parts.table.weight[where], bins=bins)
        for name, values in scores.by_detector.items()
        if name != MET_ALONE
    }


def _decorrelated(search: SearchConfig, parts: Parts, scores: Scores, flat: dict[str, Decorrelation]) -> Scores:
    if not flat:
        return scores
    mass = column(parts, search.statistics.decorrelate or "")
    values = {name: flat[name].transform(mass, s) if name in flat else s for name, s in scores.by_detector.items()}
    return replace(scores, by_detector=values)


def _fixed(search: SearchConfig, parts: Parts, values: Floats) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Regions of one detector, and what there is to say; none where there is too little background for any."""
    validation, tested = (scored(values, parts, "background", part) for part in (VALIDATION, TEST))
    least = search.statistics.minimum_effective
    try:
        regions, loosened = nested_regions(validation, search.statistics.regions, minimum_effective=least)
    except EmptySelectionError as error:
        return (), (f"no regions: {error}",)
    regions, dropped = with_enough(regions, tested, least)
    return regions, (*loosened, *dropped)


def _roles(signal: str) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    return ("background", None), ("signal", signal)


def column(parts: Parts, name: str) -> Floats:
    """A feature of the table, shape (event,), NaN where it is missing."""
    features = parts.table.features
    i = features.index(name)
    return np.where(features.mask[:, i], features.values[:, i], np.nan).astype(np.float64)


def scan_record(row: RegionSignificance, tested: Scan) -> CutScan:
    """A scan as it stands in ``results.json``."""
    arrays = {
        "cuts": tested.cuts, "signal": tested.signal, "background": tested.background,
        "background_error": tested.background_error, "effective": tested.effective,
        "simple": tested.simple, "asimov": tested.asimov, "asimov_uncertain": tested.uncertain,
    }  # fmt: skip
    return CutScan(
        detector=row.detector,
        region=row.region,
        signal_name=row.signal_name,
        **{name: tuple(values.tolist()) for name, values in arrays.items()},
    )


def statement(search: SearchConfig, rows: Sequence[RegionSignificance], signal: str) -> SignalStatement | None:
    """Whether the main detector beats the cut on the variable alone, for one signal."""
    own = [r for r in rows if r.signal_name == signal and r.detector == search.main and r.gain is not None]
    plain = next((r for r in rows if r.signal_name == signal and r.detector == MET_ALONE), None)
    if not own or plain is None:
        return None
    best = max(own, key=lambda r: r.significance.value)
    gain = best.gain or Estimate(value=1.0)
    low, high = (gain.value if end is None else end for end in (gain.low, gain.high))
    higher = best.significance.value > plain.significance.value
    verdict: Verdict = "cannot be told from the cut"
    if (low > 1 and higher) or (high < 1 and not higher):
        verdict = "beats the cut" if higher else "does not beat the cut"
    sample = next(s for s in search.samples if s.name == signal)
    title, variable = TITLES.get(search.main, search.main), label(search.statistics.variable)
    sentence = (
        f"{sample.heading}: {title} {verdict} on {variable.words} alone. Its best region, {best.region} above "
        f"{best.cut:.3g} {variable.unit}, expects {best.signal:.3g} signal on {_counts(best)} background events, "
        f"Z = {_interval(best)}; the cut alone, at {plain.cut:.3g} {variable.unit}, reaches Z = {_interval(plain)}. At "
        f"equal background, the region keeps {gain.value:.2f} [{low:.2f}, {high:.2f}] times the signal."
    )
    return SignalStatement(signal_name=signal, verdict=verdict, sentence=sentence)


def _counts(row: RegionSignificance) -> str:
    """Background with its uncertainty, in plain digits."""
    digits = 0 if row.uncertainty >= 10 else 1 if row.uncertainty >= 1 else 2
    return f"{row.background:.{digits}f} ± {row.uncertainty:.{digits}f}"


def _interval(row: RegionSignificance) -> str:
    z = row.significance
    return f"{z.value:.2f} [{z.low:.2f}, {z.high:.2f}]"
