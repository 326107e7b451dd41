"""Write the report: every figure as PNG and PDF, and the page that shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from anomalon.report.data_tables import files_of
from anomalon.report.page import Picture, render_page, to_picture
from anomalon.report.records import FigureEntry
from anomalon.report.statistics_tables import statistics_tables
from anomalon.report.style import to_pdf
from anomalon.search.results import SearchResults


def write_report(
    results: SearchResults,
    figures: Iterable[FigureEntry],
    directory: str | Path,
    *,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write ``figures/*.png``, ``figures/*.pdf``, ``tables/*`` and ``report.html`` below a directory.

    Args:
        results: every number of the report.
        figures: drawn one at a time, so that only one is in memory.
        directory: made if it is not there.
        progress: called with the title of each figure.

    Returns:
        The path of ``report.html``.
    """
    folder = Path(directory)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    shown = [picture for picture in _written(figures, folder / "figures", progress) if picture.embedded]
    _write_tables(results, folder / "tables")
    page = folder / "report.html"
    page.write_text(render_page(results, shown), encoding="utf-8")
    return page


def _write_tables(results: SearchResults, folder: Path) -> None:
    tables = statistics_tables(results)
    if not tables:
        return
    folder.mkdir(exist_ok=True)
    for table in tables:
        for name, text in files_of(replace(table, name=slug(table.name))):
            (folder / name).write_text(text, encoding="utf-8")


def _written(figures: Iterable[FigureEntry], folder: Path, progress: Callable[[str], None] | None) -> Iterator[Picture]:
    names: set[str] = set()
    for entry in figures:
        if progress is not None:
            progress(entry.title)
        name = _free(slug(entry.name), names)
        picture = to_picture(entry)
        (folder / f"{name}.png").write_bytes(picture.png)
        (folder / f"{name}.pdf").write_bytes(to_pdf(entry.figure))
        yield picture


def slug(name: str) -> str:
    """A file name of letters, digits, dashes and underscores.

    >>> slug("ROC: W' -> WZ"), slug("../x")
    ('ROC_W_WZ', 'x')
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", name.replace("->", " ")).strip("_-") or "figure"


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered if another figure has it; upper and lower case are the same on some disks."""
    result, number = name, 2
    while result.lower() in taken:
        result, number = f"{name}_{number}", number + 1
    taken.add(result.lower())
    return result
