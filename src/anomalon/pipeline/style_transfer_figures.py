"""What a style transfer shows: its table as curves, the variables of its best cell, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from anomalon.pipeline.style_transfer_tables import CellResult, PictureJudged, TransferTable
from anomalon.report.figures_transfer import Point, cells_figure, pictures_figure, variables_figure
from anomalon.report.style import to_png
from anomalon.style.maps import Values

_CORNER = (60, 80)
"""Pixels that are shown enlarged: five by eight blocks of 12 x 10."""


def figures(
    table: TransferTable, values: Mapping[str, Values], generated: Values, folder: Path
) -> Iterator[tuple[str, bytes]]:
    """Names and PNG images.

    Args:
        table: what was found.
        values: variables of the samples behind the cut.
        generated: those of the best cell.
        folder: of the run, with its pictures.
    """
    levels = {name: (_closed(judged), judged.test.auc) for name, judged in table.baselines.items()}
    yield "cells", to_png(cells_figure([_point(one) for one in table.cells], levels))
    biased = "twins" if "twins" in values else "target"
    samples = {"unbiased": values["source"], "biased": values[biased], f"generated, {_words(table.best)}": generated}
    samples |= {"calibrated": values["calibrated"]} if "calibrated" in values else {}
    yield "variables", to_png(variables_figure(samples, table.variables))
    pictures = {"content": "content", "style": "style", _words(table.best): f"cells/{table.best.cell.name}"}
    other = next((one for one in table.cells if one.cell.start == "noise" != table.best.cell.start), None)
    pictures |= {} if other is None else {_words(other): f"cells/{other.cell.name}"}
    yield "pictures", to_png(pictures_figure({name: _read(folder, file) for name, file in pictures.items()}, _CORNER))


def _point(one: CellResult) -> Point:
    style = float(one.cell.ratio.split(":")[0]) / 100
    cell = one.cell
    return Point(cell.network, cell.layers, cell.start, style, _closed(one.judged), one.judged.test.auc)


def _closed(judged: PictureJudged) -> float | None:
    return None if judged.bjets is None else judged.bjets.closed


def _words(one: CellResult) -> str:
    return f"from {one.cell.start}, {one.cell.ratio}"


def _read(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    file = folder / f"{name}.png"
    with Image.open(file if file.is_file() else folder / f"{name}-1.png") as picture:
        return np.asarray(picture)
