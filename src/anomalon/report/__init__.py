"""Tables, figures and the page of a search; everything is made from :class:`anomalon.search.results.SearchResults`."""

from __future__ import annotations

from anomalon.report.assemble import FigureData, Projection, search_figures
from anomalon.report.page import render_report
from anomalon.report.records import FigureEntry, Group
from anomalon.report.style import Heading
from anomalon.report.tables import PerformanceRow, performance_rows, rich_table, to_markdown
from anomalon.report.write import write_report

__all__ = [
    "FigureData",
    "FigureEntry",
    "Group",
    "Heading",
    "PerformanceRow",
    "Projection",
    "performance_rows",
    "render_report",
    "rich_table",
    "search_figures",
    "to_markdown",
    "write_report",
]
