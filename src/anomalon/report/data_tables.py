# ruff: noqa: RUF001, RUF002 - minus, dash and sigma are what a table wants
"""Tables of numbers with errors, as Markdown, CSV, LaTeX and plain cells: one table, every form."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from anomalon.metrics.estimate import Estimate
from anomalon.report import numbers


@dataclass(frozen=True)
class Quantity:
    """A number with its errors.

    Attributes:
        down, up: distances to the ends of its interval, both positive; None without one.
        below: whether the truth is known to be below ``value`` only.
    """

    value: float
    down: float | None = None
    up: float | None = None
    below: bool = False

    @classmethod
    def of(cls, estimate: Estimate | None) -> Quantity | None:
        """An estimate with its 68 % interval."""
        if estimate is None:
            return None
        if estimate.low is None or estimate.high is None:
            return cls(estimate.value)
        return cls(estimate.value, max(estimate.value - estimate.low, 0.0), max(estimate.high - estimate.value, 0.0))

    def __str__(self) -> str:
        """As a person writes it.

        >>> str(Quantity(12.34, 0.5, 0.5)), str(Quantity(0.5, 0.02, 0.1)), str(Quantity(3.0, below=True))
        ('12.3 ± 0.5', '0.500 +0.100 −0.020', '< 3.00')
        """
        if self.down is None or self.up is None:
            return f"{'< ' if self.below else ''}{numbers.significant(self.value)}"
        if self.down == self.up:
            return numbers.with_error(self.value, self.up)
        low, high = self.value - self.down, self.value + self.up
        value, up, down = numbers.interval_parts(Estimate(value=self.value, low=low, high=high), bounded=False)
        return " ".join(part for part in (value, up, down) if part)


Cell = str | int | float | Quantity | None


@dataclass(frozen=True)
class DataTable:
    """Rows of cells under titles.

    Attributes:
        name: of its files.
        title: in a few words.
        caption: what is in it, and what the errors are.
        columns: titles; a unit stands in square brackets at the end.
        rows: of cells: text, counts, numbers, numbers with errors, or nothing.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def texts(self) -> tuple[tuple[str, ...], ...]:
        """Every cell as a person writes it."""
        return tuple(tuple(text_of(cell) for cell in row) for row in self.rows)

    def is_text(self, column: int) -> bool:
        """Whether a column holds words, which are aligned to the left."""
        return bool(self.rows) and all(isinstance(row[column], str) for row in self.rows)


def text_of(cell: Cell) -> str:
    """A cell as a person writes it.

    >>> text_of(None), text_of(1234), text_of(0.05)
    ('–', '1\u202f234', '0.0500')
    """
    if cell is None:
        return numbers.NONE
    if isinstance(cell, int):
        return numbers.integer(cell)
    return numbers.significant(cell) if isinstance(cell, float) else str(cell)


def to_markdown(table: DataTable) -> str:
    """A Markdown table."""
    rule = ["---" if table.is_text(i) else "--:" for i in range(len(table.columns))]
    lines = [table.columns, rule, *table.texts()]
    return "".join(f"| {' | '.join(_plain(cell) for cell in line)} |\n" for line in lines)


def to_csv(table: DataTable) -> str:
    """Comma-separated values with all digits: a column with errors becomes three, value, down and up."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    wide = [any(isinstance(row[i], Quantity) for row in table.rows) for i in range(len(table.columns))]
    writer.writerow([name for title, w in zip(table.columns, wide, strict=True) for name in _names(title, wide=w)])
    for row in table.rows:
        writer.writerow([cell for value, w in zip(row, wide, strict=True) for cell in _values(value, wide=w)])
    return out.getvalue()


def _names(title: str, *, wide: bool) -> list[str]:
    return [title, f"{title} down", f"{title} up"] if wide else [title]


def _values(cell: Cell, *, wide: bool) -> Iterator[str]:
    if isinstance(cell, Quantity):
        yield from (_exact(x) for x in (cell.value, cell.down, cell.up))
        return
    yield _exact(cell)
    if wide:
        yield from ("", "")


def _exact(value: Cell) -> str:
    """All digits; text that a spreadsheet would run as a formula is quoted by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "@")) else value
    return repr(value)


def to_latex(table: DataTable) -> str:
    """A LaTeX table for the package ``booktabs``; nothing in it is run as a command."""
    align = "".join("l" if table.is_text(i) else "r" for i in range(len(table.columns)))
    body = "".join(f"    {' & '.join(_latex_cell(cell) for cell in row)} \\\\\n" for row in table.rows)
    return (
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{_latex(table.caption)}}}\n  \\label{{tab:{table.name}}}\n"
        f"  \\begin{{tabular}}{{{align}}}\n    \\toprule\n"
        f"    {' & '.join(_latex(title) for title in table.columns)} \\\\\n    \\midrule\n"
        f"{body}    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}\n"
    )


def _latex_cell(cell: Cell) -> str:
    if not isinstance(cell, Quantity) or cell.down is None or cell.up is None or cell.down == cell.up:
        return _latex(text_of(cell))
    value, up, down = numbers.interval_parts(
        Estimate(value=cell.value, low=cell.value - cell.down, high=cell.value + cell.up), bounded=False
    )
    return f"${_latex(value)}^{{{_latex(up)}}}_{{{_latex(down)}}}$".replace("$-$", "-")


_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
    "\N{MINUS SIGN}": "$-$", "±": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$", "\u202f": r"\,", "≥": r"$\geq$",
    "→": r"$\to$", "√": r"$\sqrt{}$", "σ": r"$\sigma$", "ε": r"$\epsilon$", "–": "--",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))


def _latex(text: str) -> str:
    r"""Text with LaTeX's special characters disarmed.

    >>> print(_latex("50 % of m_ll, 10⁻³"))
    50 \% of m\_ll, 10$^{-3}$
    """
    disarmed = "".join(_SPECIAL.get(letter, letter) for letter in text)
    powers = f"[{''.join(_SUPERSCRIPTS)}]+"
    return re.sub(powers, lambda m: f"$^{{{''.join(_SUPERSCRIPTS[c] for c in m[0])}}}$", disarmed)


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def files_of(table: DataTable) -> Iterator[tuple[str, str]]:
    """Names and contents of the files of a table: CSV, LaTeX and Markdown."""
    yield f"{table.name}.csv", to_csv(table)
    yield f"{table.name}.tex", to_latex(table)
    yield f"{table.name}.md", to_markdown(table)
