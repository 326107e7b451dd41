"""A submission to HEPData (https://www.hepdata.net): tables as YAML, checked against its schemas, and files beside."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from anomalon.errors import MissingExtraError
from anomalon.report.data_tables import Cell, DataTable, Quantity, text_of

LABEL = "stat"
_UNIT = re.compile(r"(?P<title>.*?) \[(?P<unit>[^\]]+)\]")
LONGEST = 64
"""Letters that the title of a table may have."""


def write_submission(
    tables: Sequence[DataTable], folder: Path, *, comment: str, attached: Mapping[str, Path] | None = None
) -> Path:
    """Write a submission, which is an archive that the site takes as it is.

    Args:
        tables: each becomes one; the columns of words at its left are the independent variables.
        folder: to write to; made if it is not there.
        comment: what the analysis is.
        attached: description -> file that goes along with all tables, such as a likelihood.

    Returns:
        Path of ``submission.tar.gz``.

    Raises:
        MissingExtraError: hepdata-lib is not installed.
    """
    lib = _library()
    submission = lib.Submission()
    submission.comment = comment
    for description, path in (attached or {}).items():
        submission.add_additional_resource(description, str(path.absolute()), copy_file=True)
    for table in tables:
        submission.add_table(_table(lib, table))
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), chdir(folder):  # the library writes its archive where it is
        warnings.simplefilter("ignore")
        submission.create_files("files", validate=True, remove_old=True)
    return folder / "submission.tar.gz"


def _library() -> Any:
    try:
        with warnings.catch_warnings():  # its schema library warns of a change to come
            warnings.simplefilter("ignore", DeprecationWarning)
            import hepdata_lib  # noqa: PLC0415 - only where a submission is written
    except ImportError:
        raise MissingExtraError(
            "tables for HEPData need hepdata-lib; install it with: pip install 'anomalon[stats]'"
        ) from None
    return hepdata_lib


def _table(lib: Any, table: DataTable) -> Any:
    made = lib.Table(table.title[:LONGEST])
    made.description = table.caption
    made.location = "anomalon"
    numeric = [i for i in range(len(table.columns)) if not table.is_text(i)]
    words = range(max(1, min(numeric, default=1)))  # columns of words before the first number tell the rows apart
    for i in range(len(table.columns)):
        column = [row[i] for row in table.rows]
        made.add_variable(
            _words(lib, table.columns[i], column) if i in words else _numbers(lib, table.columns[i], column)
        )
    return made


def _words(lib: Any, title: str, cells: Sequence[Cell]) -> Any:
    name, unit = _split(title)
    variable = lib.Variable(name, is_independent=True, is_binned=False, units=unit)
    variable.values = [text_of(cell) for cell in cells]
    return variable


def _numbers(lib: Any, title: str, cells: Sequence[Cell]) -> Any:
    """Values with their errors; a cell without a number is a dash, as the site writes it."""
    name, unit = _split(title)
    variable = lib.Variable(name, is_independent=False, is_binned=False, units=unit, zero_uncertainties_warning=False)
    variable.values = [_value(cell) for cell in cells]
    if any(isinstance(cell, Quantity) and cell.up is not None for cell in cells):
        error = lib.Uncertainty(LABEL, is_symmetric=False)
        error.values = [_errors(cell) for cell in cells]
        variable.add_uncertainty(error)
    return variable


def _split(title: str) -> tuple[str, str]:
    """A title and its unit.

    >>> _split("cut [GeV]"), _split("signal")
    (('cut', 'GeV'), ('signal', ''))
    """
    found = _UNIT.fullmatch(title)
    return (found["title"], found["unit"]) if found else (title, "")


def _value(cell: Cell) -> float | str:
    if isinstance(cell, Quantity):
        return f"< {cell.value:.3g}" if cell.below else cell.value
    return "-" if cell is None else cell


def _errors(cell: Cell) -> tuple[float, float]:
    if isinstance(cell, Quantity) and cell.down is not None and cell.up is not None:
        return -cell.down, cell.up
    return 0.0, 0.0
