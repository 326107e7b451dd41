"""The statistics of a search as tables, for the report, for files and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anomalon.bumps.sculpting import SculptingPoint
from anomalon.features.labels import label
from anomalon.report.data_tables import Cell, DataTable, Quantity
from anomalon.report.names import typeset
from anomalon.report.tables import signal_title
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.inference import MassHunt, SignalInference
from anomalon.search.results import SearchResults
from anomalon.search.statistics import RegionSignificance, RegionSummary, Statistics
from anomalon.search.systematics import RegionImpact

WITHHELD = "withheld"


def statistics_tables(results: SearchResults) -> tuple[DataTable, ...]:
    """Every table of a search's statistics; none without."""
    found = results.statistics
    if found is None:
        return ()
    tables = (
        gain_table(results, found),
        limits_table(results, found),
        yields_table(results),
        *significance_tables(results, found),
        systematics_table(found),
        bumps_table(results, found),
        sculpting_table(found),
    )
    return tuple(table for table in (*tables, *validation_tables(results)) if table.rows)


def yields_table(results: SearchResults) -> DataTable:
    """Expected events of every sample in the regions of the main detector."""
    regions = _regions(results)
    samples = [y.sample for y in regions[0].yields] if regions else []
    rows: list[tuple[Cell, ...]] = [_yields(regions, sample) for sample in samples]
    total = [Quantity(r.background, r.background_error, r.background_error) for r in regions]
    rows.append(("all backgrounds", "background", *total))
    rows.append(("effective background events", "background", *(round(r.effective, 1) for r in regions)))
    if any(s.role == "data" for s in results.samples):
        rows.append(("data", "data", *(WITHHELD if r.observed is None else r.observed for r in regions)))
    return DataTable(
        "region_yields",
        f"Regions of {_title(results, results.main_detector)}",
        f"Expected events at {results.luminosity_fb:g} fb⁻¹ in nested regions above quantiles of the background "
        "validation score, from test events; the errors are statistical.",
        ("sample", "role", *(f"{r.name}, {100 * r.quantile:.4g} %" for r in regions)),
        tuple(rows) if regions else (),
    )


def _yields(regions: Sequence[RegionSummary], sample: str) -> tuple[Cell, ...]:
    own = [next(y for y in r.yields if y.sample == sample) for r in regions]
    return (
        typeset(own[0].title),
        own[0].role,
        *(Quantity(y.value, y.error, y.error) if y.raw else "none left" for y in own),
    )


def significance_tables(results: SearchResults, found: Statistics) -> Iterator[DataTable]:
    """Per signal: every region of every detector with its best cut, and the cut alone first."""
    what = label(found.variable)
    for signal in results.signals:
        rows = [r for r in found.significances if r.signal_name == signal]
        yield DataTable(
            f"significance_{signal}",
            signal_title(results, signal),
            f"Events in the region and above a cut on {what.words} that validation events chose, at "
            f"{results.luminosity_fb:g} fb⁻¹, from test events. Z: Asimov significance with a background uncertainty "
            f"of {100 * found.relative_uncertainty:g} % and the statistical one, with its 68 % interval. Gain: signal "
            f"kept over that of a cut on {what.words} alone at equal background.",
            (
                "detector", "region", f"cut [{what.unit}]", "signal", "background", "s/√b", "Z, exact background", "Z",
                "gain, region", "gain, region and cut",
            ),
            tuple(_significance(results, row) for row in rows),
        )  # fmt: skip


def _significance(results: SearchResults, row: RegionSignificance) -> tuple[Cell, ...]:
    return (
        _title(results, row.detector),
        "no score" if row.detector == MET_ALONE else row.region,
        row.cut,
        Quantity(row.signal, row.signal_error, row.signal_error),
        Quantity(row.background, row.uncertainty, row.uncertainty),
        row.simple,
        row.asimov,
        Quantity.of(row.significance),
        Quantity.of(row.gain_region),
        Quantity.of(row.gain),
    )


def gain_table(results: SearchResults, found: Statistics) -> DataTable:
    """Highest significance of every detector for every signal: the table of Frette 2023, done right."""
    detectors = list(dict.fromkeys(r.detector for r in found.significances))
    rows = []
    for detector in detectors:
        cells: list[Cell] = [_title(results, detector)]
        for signal in results.signals:
            own = [r for r in found.significances if (r.detector, r.signal_name) == (detector, signal)]
            best = max(own, key=lambda r: r.significance.value, default=None)
            cells += [None, None] if best is None else [Quantity.of(best.significance), Quantity.of(best.gain)]
        rows.append(tuple(cells))
    titles = [f"{signal_title(results, s)}: {what}" for s in results.signals for what in ("Z", "gain")]
    return DataTable(
        "significance",
        "Highest significance",
        f"Best region of each detector with its cut on {label(found.variable).words}, at {results.luminosity_fb:g} "
        f"fb⁻¹; Z with a background uncertainty of {100 * found.relative_uncertainty:g} % and the statistical one; "
        "gain: signal kept over that of the cut alone at equal background.",
        ("detector", *titles),
        tuple(rows),
    )


def limits_table(results: SearchResults, found: Statistics) -> DataTable:
    """Limits of all signals, expected before observed, with the variable alone beside them."""
    observed = any(not one.limits.blinded for one in found.inference)
    what = label(found.variable).words
    return DataTable(
        "limits",
        "Limits",
        "Upper limits on the signal strength, 1 being the expected cross section, at 95 % confidence level by CLs, "
        f"with 68 % and 95 % bands; from bins of {what} in regions of {_title(results, results.main_detector)}, and "
        f"from bins of {what} alone. Z: expected discovery significance. All systematic uncertainties are in.",
        ("signal", "bins", "expected limit", "95 % band", *(("observed limit",) if observed else ()),
         "expected limit, no score", "ratio", "expected Z", *(("observed Z",) if observed else ())),
        tuple(_limits(results, one, observed=observed) for one in found.inference),
    )  # fmt: skip


def _limits(results: SearchResults, one: SignalInference, *, observed: bool) -> tuple[Cell, ...]:
    band, z = one.limits.expected, one.discovery
    wide = None if band.minus_2 is None or band.plus_2 is None else f"{band.minus_2:.3g} to {band.plus_2:.3g}"
    seen = one.limits.observed
    return (
        typeset(signal_title(results, one.signal_name)),
        one.bins,
        _asymmetric(band.median, band.minus_1, band.plus_1),
        wide or "none",
        *((("none" if seen is None else seen),) if observed else ()),
        _asymmetric(one.alone.expected.median, one.alone.expected.minus_1, one.alone.expected.plus_1),
        one.improvement,
        z.expected.z if z.expected is not None else None,
        *(((z.observed.z if z.observed is not None else None),) if observed else ()),
    )


def _asymmetric(value: float | None, low: float | None, high: float | None) -> Cell:
    if value is None or low is None or high is None:
        return value
    return Quantity(value, value - low, high - value)


def systematics_table(found: Statistics) -> DataTable:
    """What every systematic does to the background and to the signals, in per cent, one standard deviation up."""
    regions = [r.region for r in found.systematics[0].regions] if found.systematics else []
    return DataTable(
        "systematics",
        "Systematic uncertainties",
        "Change of the expected background in per cent, one standard deviation down and up, in the disjoint slices of "
        "the regions: R1 stands for what is in it and not in R2, R0 for what is in none. The largest comes first.",
        ("systematic", "kind", *(f"{region} {end} [%]" for region in regions for end in ("down", "up"))),
        tuple(
            (one.name, one.kind, *(c for region in one.regions for c in _change(region))) for one in found.systematics
        ),
    )


def _change(region: RegionImpact) -> tuple[Cell, Cell]:
    change = region.background
    return (None, None) if change is None else (round(100 * change.down, 4), round(100 * change.up, 4))


def bumps_table(results: SearchResults, found: Statistics) -> DataTable:
    """The largest excess of every mass spectrum, over all windows and regions."""
    return DataTable(
        "bumps",
        "Bumps in mass spectra",
        "Most significant window of each spectrum over all widths, positions and regions; the global p-value counts "
        "how often background alone does as well. Expected: with the signal added to the background.",
        ("spectrum", "events", "window [GeV]", "above", "observed", "background", "local Z", "global p", "global Z"),
        tuple(_bump(results, one) for one in found.bumps),
    )


def _bump(results: SearchResults, one: MassHunt) -> tuple[Cell, ...]:
    result, window = one.result, one.result.window
    kind = "data" if one.signal_name is None else f"with {typeset(signal_title(results, one.signal_name))}"
    names = ("all scores", *(r.name for r in _regions(results)))
    p = Quantity(result.global_p.value, below=True) if result.global_p_is_limit else Quantity.of(result.global_p)
    if window is None:
        return label(one.mass).words, kind, "none", "none", None, None, None, None, "none"
    return (
        label(one.mass).words,
        kind,
        f"{window.low:.4g} to {window.high:.4g}",
        names[result.threshold],
        window.observed,
        Quantity(window.expected, window.expected_error, window.expected_error),
        window.local_z,
        p,
        f"> {result.global_z:.2f}" if result.global_p_is_limit else f"{result.global_z:.2f}",
    )


def sculpting_table(found: Statistics) -> DataTable:
    """Whether cuts on the main score carve the background's mass spectra."""
    return DataTable(
        "sculpting",
        "Does the score carve the mass spectra?",
        "Jensen-Shannon divergence (base 2) between the mass spectrum of all background and of the background that "
        "passes a cut on the score, beside its floor: the mean, and the 95 % quantile, of as many events drawn without "
        "regard to the score.",
        ("spectrum", "rejected", "effective events left", "divergence", "floor", "95 % of draws below", "carved",
         "most in [GeV]"),
        tuple(_sculpted(one.mass, point) for one in found.sculpting for point in one.result.points),
    )  # fmt: skip


def _sculpted(mass: str, point: SculptingPoint) -> tuple[Cell, ...]:
    told = {True: "yes", False: "no", None: "too few events"}[point.is_sculpted]
    low_high = "none" if point.strongest is None else f"{point.strongest[0]:.4g} to {point.strongest[1]:.4g}"
    return (
        label(mass).words,
        f"{100 * point.rejection:.3g} %",
        round(point.passing_effective, 1),
        point.divergence,
        point.floor,
        point.floor_95,
        told,
        low_high,
    )


def validation_tables(results: SearchResults) -> Iterator[DataTable]:
    """Trainings with other seeds, and pseudo-experiments without and with signals."""
    found = results.validation
    if found is None:
        return
    seeds = found.stability
    yield DataTable(
        "seeds",
        "Other seeds",
        seeds.sentence + " Spread: sample standard deviation over seeds; statistical: from the test events alone.",
        ("AUC for", *(f"seed {seed}" for seed in seeds.seeds), "spread", "statistical"),
        tuple((typeset(s.what), *s.values, s.spread, s.statistical) for s in seeds.spreads),
    )
    yield DataTable(
        "background_only",
        "Pseudo-experiments without a signal",
        "Share of background-only experiments with a p-value below 5 %, and the Kolmogorov-Smirnov probability that "
        "the p-values are uniform.",
        ("test", "experiments", "p below 5 %", "uniform", "passed"),
        tuple(
            (b.what, b.experiments, f"{100 * b.fires:.1f} %", b.ks_p, "yes" if b.passed else "no")
            for b in found.background_only
        ),
    )
    yield DataTable(
        "injections",
        "Pseudo-experiments with a signal",
        "Signals injected with a strength that Asimov data see with the given significance; the fitted strength should "
        "be the injected one (fits allow no negative one, which lifts the mean of weak signals).",
        ("signal", "injected Z", "median Z", "injected strength", "fitted strength", "passed"),
        tuple(
            (typeset(signal_title(results, i.signal_name)), i.expected_z, i.median_z, i.mu,
             Quantity(i.fitted_mu, i.fitted_error, i.fitted_error), "yes" if i.passed else "no")
            for i in found.injections
        ),
    )  # fmt: skip


def _regions(results: SearchResults) -> list[RegionSummary]:
    found = results.statistics
    return [] if found is None else [r for r in found.regions if r.detector == results.main_detector]


def _title(results: SearchResults, detector: str) -> str:
    return next((d.title for d in results.detectors if d.name == detector), detector)
