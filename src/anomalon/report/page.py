"""The report as one HTML file that asks for nothing from outside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anomalon.metrics.estimate import Estimate
from anomalon.report import numbers, sections
from anomalon.report.data_tables import Cell, Quantity, text_of
from anomalon.report.names import named, process_names, typeset
from anomalon.report.records import FigureEntry
from anomalon.report.statistics_tables import statistics_tables
from anomalon.report.style import to_png
from anomalon.search.results import SearchResults


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its words.

    Attributes:
        png: the image, at twice the size at which the page shows it.
    """

    name: str
    title: str
    caption: str
    section: str
    png: bytes
    embedded: bool
    wide: bool

    @property
    def data_uri(self) -> str:
        """The image as text that a page can hold."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


def to_picture(entry: FigureEntry) -> Picture:
    """Draw a figure; wide ones are shown smaller than they are and need fewer pixels per inch."""
    png = to_png(entry.figure, dpi=120.0 if entry.wide else 150.0)
    return Picture(entry.name, entry.title, entry.caption, entry.section, png, entry.embedded, entry.wide)


def render_report(results: SearchResults, figures: Iterable[FigureEntry] = ()) -> str:
    """The whole page as text.

    Args:
        results: every number of the page.
        figures: those that are embedded are shown, in their order.
    """
    return render_page(results, [to_picture(entry) for entry in figures if entry.embedded])


def render_page(results: SearchResults, pictures: Sequence[Picture]) -> str:
    """The whole page as text, from figures that are drawn already."""
    chapters = [(section, list(group)) for section, group in groupby(pictures, key=lambda p: p.section)]
    text: str = _template().render(
        r=results,
        chapters=chapters,
        performance=sections.performance(results),
        overview=sections.overview(results),
        efficiencies=sections.background_efficiencies(results),
        cutflow=sections.cutflow(results),
        ledger=sections.ledger(results),
        caveats=sections.caveats(results),
        names=process_names(results),
        smallest=sections.smallest_fraction(results),
        statistics=statistics_tables(results),
    )
    return text


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("anomalon.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "integer": numbers.integer,
        "significant": numbers.significant,
        "percent": numbers.percent,
        "fraction": numbers.fraction,
        "estimate": estimate_markup,
        "difference": difference_markup,
        "percentage": percentage_markup,
        "power": numbers.power_of_ten,
        "below": numbers.below,
        "typeset": typeset,
        "named": named,
        "seconds": numbers.seconds,
        "cell": cell_markup,
        "feature": sections.feature_words,
        "feature_value": sections.feature_value,
    }
    environment.globals |= {
        "with_error": numbers.with_error,
        "column": sections.column_name,
        "title_of": sections.signal_title,
    }
    return environment.get_template("report.html.j2")


def estimate_markup(estimate: Estimate | None) -> Markup:
    """Value with its interval; unequal ends stand above each other."""
    return _markup(*numbers.interval_parts(estimate))


def cell_markup(cell: Cell) -> Markup:
    """A cell of a table of numbers; unequal errors stand above each other."""
    if not isinstance(cell, Quantity) or cell.down is None or cell.up is None or cell.down == cell.up:
        return Markup.escape(text_of(cell))
    estimate = Estimate(value=cell.value, low=cell.value - cell.down, high=cell.value + cell.up)
    return _markup(*numbers.interval_parts(estimate, bounded=False))


def percentage_markup(estimate: Estimate | None) -> Markup:
    """The same in per cent."""
    if estimate is None:
        return Markup.escape(numbers.NONE)
    low, high = estimate.low, estimate.high
    if low is None or high is None or high <= low:
        return Markup.escape(numbers.percent(estimate.value))
    scaled = Estimate(value=100 * estimate.value, low=100 * low, high=100 * high)
    return _markup(*numbers.interval_parts(scaled, bounded=False)) + Markup("&nbsp;%")


def difference_markup(estimate: Estimate | None) -> Markup:
    """A difference with its sign; its class says whether the interval excludes zero."""
    if estimate is None:
        return Markup.escape(numbers.NONE)
    value, up, down = numbers.interval_parts(estimate, bounded=False)
    sign = "+" if estimate.value > 0 else ""
    kind = "better" if (estimate.low or 0) > 0 else "worse" if (estimate.high or 0) < 0 else "same"
    return Markup('<span class="{}">{}</span>').format(kind, _markup(sign + value, up, down))


def _markup(value: str, up: str, down: str) -> Markup:
    if not up:
        return Markup.escape(value)
    if up[1:] == down[1:]:
        return Markup('<span class="n">{}<span class="pm">&#8239;±&#8239;{}</span></span>').format(value, up[1:])
    return Markup('<span class="n">{}<span class="ud"><span>{}</span><span>{}</span></span></span>').format(
        value, up, down
    )
