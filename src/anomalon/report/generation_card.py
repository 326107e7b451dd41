"""The card of a generator on one page: its metrics beside their floors, and histograms with ratio panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from anomalon.features.labels import KNOWN, Label
from anomalon.generation.derived import ENERGIES
from anomalon.generation.validation import Metric, Rate, Shape, Spread, Validation, Verdict
from anomalon.report import numbers
from anomalon.report.binning import Bins
from anomalon.report.figures_compare import garwood
from anomalon.report.records import Floats
from anomalon.report.style import INK, MUTED, drawing
from anomalon.simulation.presets import get_detector

VERDICTS: dict[Verdict, tuple[str, str, str]] = {
    "floor": ("at the floor", "#3f90da", "o"),
    "near": ("near", "#ffa90e", "^"),
    "off": ("off", "#bd1f01", "s"),
}
"""Words, colour and marker: nobody needs the colour to tell them apart."""
_MOST_DECIMALS = 5
REAL, GENERATED = "#b9c0c9", "#bd1f01"

LABELS: dict[str, Label] = {
    **KNOWN,
    "MET": KNOWN["MET_pt"],
    "lepton1_pt": KNOWN["lep1_pt"],
    "m_jj": Label("$m_{jj}$", "GeV", "mass of the two leading jets", "energy"),
    "m_bb": Label("$m_{bb}$", "GeV", "mass of the two leading b jets", "energy"),
    "m_lb": Label(r"$m_{\ell b}$", "GeV", "smallest mass of leading lepton and b jet", "energy"),
    "m_W": Label("$m_{jj}$ of the hardest $bjj$", "GeV", "mass of the W candidate", "energy"),
    "m_top": Label("$m_{bjj}$ of the hardest $bjj$", "GeV", "mass of the top candidate", "energy"),
    "m_W_peak": Label("$m_W$ peak", "GeV", "W peak (60 to 100 GeV)", "energy"),
    "m_top_peak": Label("$m_t$ peak", "GeV", "top peak (120 to 230 GeV)", "energy"),
    "m_T": Label(r"$m_T(\ell_1, p_T^{miss})$", "GeV", "transverse mass of leading lepton and MET", "energy"),
    "balance": Label(r"$|\sum p_T + p_T^{miss}|$", "GeV", "imbalance", "energy"),
    "balance_calo": Label(r"$|\sum p_T + p_T^{miss}|$, no $\mu$", "GeV", "imbalance without muons", "energy"),
    "delta_r_jj": Label(r"Smallest $\Delta R(j, j)$", "", "smallest ΔR of two jets"),
    "delta_r_lj": Label(r"Smallest $\Delta R(\ell, j)$", "", "smallest ΔR of a lepton and a jet"),
    "dphi_met_jet": Label(r"$|\Delta\phi(j_1, p_T^{miss})|$", "rad", "angle of leading jet and MET", "angle"),
    "dphi_met_lepton": Label(r"$|\Delta\phi(\ell_1, p_T^{miss})|$", "rad", "angle of leading lepton and MET", "angle"),
    "sphericity": Label("Sphericity", "", "sphericity"),
    "n_jets": Label("Number of jets", "", "number of jets", "count"),
    "n_b": Label("Number of $b$ jets", "", "number of b jets", "count"),
    "n_leptons": Label("Number of leptons", "", "number of leptons", "count"),
    "n_photons": Label("Number of photons", "", "number of photons", "count"),
}


RULE_WORDS = {
    "below_shell": "E < p",
    "order": "pT out of order",
    "acceptance": "objects outside the acceptance",
    "not_stored": "no object to store them for",
    "duplicate": "a copy in the sample",
    "any": "any rule broken",
}


@dataclass(frozen=True)
class Row:
    """A line of the card's table.

    Attributes:
        title: what was measured.
        generated, floor, ratio: as text; empty where there is none.
        verdict: None for what only informs.
        heading: whether the line begins a group.
    """

    title: str
    generated: str = ""
    floor: str = ""
    ratio: str = ""
    verdict: Verdict | None = None
    heading: bool = False


def card_figure(validation: Validation) -> Figure:
    """Table and histograms on one landscape page, 16 to 9."""
    with drawing():
        figure = _page(16.0, 9.0)
        _head(figure, validation)
        _draw_table(figure.add_axes((0.024, 0.045, 0.37, 0.835)), card_rows(validation))
        _draw_shapes(figure, shown_shapes(validation))
        return figure


def histograms_figure(validation: Validation) -> Figure:
    """Every histogram of the validation, four in a row."""
    with drawing():
        rows = max(-(-len(validation.shapes) // 4), 1)
        height = 2.9 * rows + 0.5
        figure = _page(14.0, height)
        for i, shape in enumerate(validation.shapes):
            x, y = 0.055 + 0.24 * (i % 4), 1 - (2.9 * (i // 4) + 2.35) / height
            _draw_shape(figure, shape, (x, y, 0.19, 1.98 / height), legend=i == 0)
        return figure


def balance_of(validation: Validation) -> str:
    """The imbalance that the detector's MET is made for: with muons or without."""
    detector = validation.settings.detector
    return "balance" if detector is None or get_detector(detector).met.muons else "balance_calo"


def shown_shapes(validation: Validation) -> list[Shape]:
    """The twelve histograms of the card, or those of them that there are."""
    wanted = (
        "MET", "HT", "jet1_pt", "m_jj", "m_W", "m_top", balance_of(validation), "delta_r_jj", "sphericity", "n_jets",
        "n_b", "n_leptons",
    )  # fmt: skip
    known = {shape.quantity: shape for shape in validation.shapes}
    return [known[name] for name in wanted if name in known]


def card_rows(validation: Validation) -> list[Row]:
    """The lines of the card's table."""
    balance = f"w1_{balance_of(validation)}"
    physics = ("w1_derived", "w1_m_W_peak", "w1_m_top_peak", balance)
    structure = ("correlations", "frechet_corrected", "coverage", "density", "multiplicity")
    judges = [m.name for m in validation.metrics if m.group == "judges"]
    rules = ("any", "below_shell", "order", "not_stored")
    return [
        Row("Can it be told from real events?", heading=True),
        *_metric_rows(validation, judges),
        Row("Physics", heading=True),
        *(rate_row(rate) for rate in validation.rates if rate.name in rules),
        *_metric_rows(validation, physics),
        _tail_row(validation),
        Row("Structure", heading=True),
        *_metric_rows(validation, structure),
        *_memory_rows(validation),
        Row("One feature at a time (blind to physics)", heading=True),
        *_metric_rows(validation, ("ws", "js", "js_distance", "kl")),
    ]


def metric_row(metric: Metric) -> Row:
    """A metric as a line of text."""
    ratio = "" if metric.ratio is None else spread_text(metric.ratio)
    generated, floor = spread_text(metric.generated), spread_text(metric.floor)
    return Row(metric_title(metric), generated, floor, ratio, metric.verdict)


def metric_title(metric: Metric) -> str:
    """Title of a metric in words."""
    words = LABELS.get(metric.name.removeprefix("w1_"))
    if metric.name.startswith("w1_") and words is not None:
        return f"W1/σ of {words.words}"  # noqa: RUF001
    return f"{metric.title[0].upper()}{metric.title[1:]}".replace("sigma", "σ")  # noqa: RUF001


def rate_row(rate: Rate) -> Row:
    """A rule that events break as a line of text."""
    generated, real = (_rate_text(s) for s in (rate.generated, rate.real))
    return Row(f"Events with {RULE_WORDS.get(rate.name, rate.title)}", generated, real, "", rate.verdict)


def spread_text(spread: Spread) -> str:
    """A number with the half width of its interval, to one digit of it, or two where that begins with a one.

    >>> spread_text(Spread(value=0.12345, low=0.12315, high=0.12375))
    '0.1235 ± 0.0003'
    """
    half = (spread.high - spread.low) / 2
    if not half > 0:
        return numbers.significant(spread.value)
    exponent = int(np.floor(np.log10(half)))
    decimals = max(-exponent + (half < 2 * 10.0**exponent), 0)
    if decimals > _MOST_DECIMALS:
        return numbers.fraction(spread.value) if 0 <= spread.value <= 1 else numbers.significant(spread.value)
    return f"{round(spread.value, decimals) + 0.0:.{decimals}f} ± {half:.{decimals}f}".replace("-", numbers.MINUS)


def _rate_text(rate: Spread) -> str:
    return f"<{numbers.significant(100 * rate.high, 2)} %" if rate.value == 0 else numbers.percent(rate.value)


def _metric_rows(validation: Validation, names: Sequence[str]) -> list[Row]:
    known = {metric.name: metric for metric in validation.metrics}
    return [metric_row(known[name]) for name in names if name in known]


def _tail_row(validation: Validation) -> Row:
    pulls = [tail.pull for tail in validation.tails]
    if not pulls:
        return Row("Tails: too few events")
    rms = float(np.sqrt(np.mean(np.square(pulls))))
    verdict: Verdict = "floor" if rms < 1.3 else "near" if rms < 2 else "off"
    return Row(f"RMS pull of {len(pulls)} tails", numbers.significant(rms), "1", "", verdict)


def _memory_rows(validation: Validation) -> list[Row]:
    found = []
    if (m := validation.memorisation) is not None:
        closer = f"{numbers.percent(m.closer.value)}"
        verdict: Verdict = "off" if m.memorised else "floor"
        found.append(Row("Close to a training event", closer, numbers.percent(m.quantile), "", verdict))
    if (a := validation.amplification) is not None:
        found.append(Row("Amplification", spread_text(a.factor), spread_text(a.training_factor)))
    return found


def _page(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _head(figure: Figure, validation: Validation) -> None:
    generated, real = validation.sample("generated"), validation.sample("real")
    if generated is None or real is None:
        return
    title = ", ".join(generated.processes)
    flag = "" if generated.origins == ("generated",) else f" (flagged {', '.join(generated.origins)})"
    figure.text(0.024, 0.945, f"Generated {title}", fontsize=21, fontweight="bold", va="center")
    size = validation.settings.events or 0
    what = (
        f"{numbers.integer(generated.events)} generated events{flag} against {numbers.integer(real.events)} real ones; "
        f"{numbers.integer(size)} against {numbers.integer(size)}, {validation.settings.splits} splits"
    )
    figure.text(0.024, 0.908, what, fontsize=11.5, color=MUTED, va="center")
    figure.text(0.985, 0.018, f"anomalon {validation.anomalon_version}", fontsize=9.5, color=MUTED, ha="right")
    words = (
        "Floor: real against real events at the same number. Intervals: 68 % of one comparison. Outer bins hold what "
        "lies outside, but for the two masses; bands are the real events' statistical error."
    )
    figure.text(0.024, 0.018, words, fontsize=9.5, color=MUTED)


def _draw_table(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) + 1, 0)
    right = (0.595, 0.79, 0.95)
    for x, text in zip(right, ("generated", "floor", "× floor"), strict=True):  # noqa: RUF001
        axes.text(x, 0.5, text, ha="right", va="center", fontsize=10.5, color=MUTED)
    for i, row in enumerate(rows, start=1):
        axes.text(0.0, i + 0.5, row.title, va="center", fontsize=10.5, fontweight="bold" if row.heading else None)
        axes.axhline(i + 1, color=INK if row.heading else "#e3e6e9", lw=0.8)
        for x, text in zip(right, (row.generated, row.floor, row.ratio), strict=True):
            axes.text(x, i + 0.5, text, ha="right", va="center", fontsize=10)
        if row.verdict is not None:
            _, colour, marker = VERDICTS[row.verdict]
            axes.plot(0.985, i + 0.5, marker, ms=8.5, color=colour, clip_on=False)
    for place, (words, colour, marker) in enumerate(VERDICTS.values()):
        x = 0.0 + 0.17 * place
        axes.plot(x + 0.012, 0.5, marker, ms=8.5, color=colour, clip_on=False)
        axes.text(x + 0.035, 0.5, words, va="center", fontsize=10.5)


def _draw_shapes(figure: Figure, shapes: Sequence[Shape]) -> None:
    for i, shape in enumerate(shapes):
        x, y = 0.45 + 0.1405 * (i % 4), 0.665 - 0.293 * (i // 4)
        _draw_shape(figure, shape, (x, y, 0.114, 0.21), legend=i == 0)


def _draw_shape(figure: Figure, shape: Shape, box: tuple[float, float, float, float], *, legend: bool) -> None:
    """A histogram of shapes over a ratio panel; both samples are scaled to the number of real events."""
    x, y, width, height = box
    upper = figure.add_axes((x, y + 0.3 * height, width, 0.7 * height))
    lower = figure.add_axes((x, y, width, 0.28 * height), sharex=upper)
    edges, scale = np.asarray(shape.edges), shape.real_events / max(shape.generated_events, 1)
    real, counts = np.asarray(shape.real, dtype=np.float64), np.asarray(shape.generated, dtype=np.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    upper.stairs(real, edges, fill=True, color=REAL, lw=0, label="real")
    upper.stairs(real, edges, color=INK, lw=0.7)
    low, high = garwood(counts)
    some = counts > 0
    upper.errorbar(
        centres[some], counts[some] * scale, np.array([low, high])[:, some] * scale, fmt="o", ms=2.6, lw=0.9,
        color=GENERATED, label="generated",
    )  # fmt: skip
    _draw_ratio(lower, real, counts * scale, (low * scale, high * scale), Bins(edges))
    _finish(upper, lower, shape, legend=legend)


def _draw_ratio(axes: Axes, real: Floats, generated: Floats, errors: tuple[Floats, Floats], bins: Bins) -> None:
    good = real > 0
    safe = np.where(good, real, 1.0)
    band = np.where(good, 1 / np.sqrt(safe), np.nan)
    axes.stairs(1 + band, bins.edges, baseline=1 - band, fill=True, color=REAL, lw=0)
    axes.axhline(1, color=MUTED, lw=0.8)
    centres, ratio = (bins.edges[1:] + bins.edges[:-1]) / 2, generated / safe
    inside = good & (np.abs(ratio - 1) < 0.5)
    bars = np.array(errors)[:, inside] / safe[inside]
    axes.errorbar(centres[inside], ratio[inside], bars, fmt="o", ms=2.2, lw=0.8, color=GENERATED)
    for marker, out, height in (("^", good & (ratio >= 1.5), 1.45), ("v", good & (ratio <= 0.5), 0.55)):
        axes.plot(centres[out], np.full(int(out.sum()), height), marker, ms=3, color=GENERATED)
    axes.set_ylim(0.5, 1.5)
    axes.set_yticks([0.75, 1.0, 1.25])


def _finish(upper: Axes, lower: Axes, shape: Shape, *, legend: bool) -> None:
    what = LABELS.get(shape.quantity, Label(shape.quantity, "", shape.quantity))
    peak = shape.quantity in ("m_W", "m_top", "m_W_peak", "m_top_peak")
    top = max(*shape.real, 1)
    if (shape.quantity in ENERGIES and not peak) or what.kind == "count":
        upper.set_yscale("log")
        upper.set_ylim(max(min(v for v in shape.real if v > 0) / 3, 0.3), top * (30 if legend else 4))
    else:
        upper.set_ylim(0, top * (1.5 if legend else 1.2))
    upper.tick_params(labelbottom=False, labelsize=8, length=4)
    upper.tick_params(which="minor", length=2)
    lower.tick_params(axis="x", labelsize=8.5, length=4)
    lower.tick_params(axis="y", labelsize=7, length=3)
    if what.kind == "count":
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        lower.xaxis.set_minor_locator(NullLocator())
    lower.tick_params(which="minor", length=2)
    lower.set_xlabel(what.axis, fontsize=10.5, labelpad=1.5, loc="right")
    lower.set_xlim(shape.edges[0], shape.edges[-1])
    if legend:
        lower.set_ylabel("gen. / real", fontsize=8, loc="center", labelpad=2)
        upper.legend(fontsize=9, loc="upper right", handletextpad=0.4, borderaxespad=0.3, **_two_columns())


def _two_columns() -> dict[str, Any]:
    return {"ncols": 2, "columnspacing": 0.8, "handlelength": 1.2}
