"""Neural style transfer of event pictures, cell by cell of a table; one call behind ``anomalon style transfer``.

Content is pictures of the source's events, style pictures of the target's. What comes out is read back into variables
and compared with the twins, the content's own events truly distorted, and with other events of the target. Untreated
events and a calibration of four-vectors stand beside it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image
from pydantic import Field, field_validator, model_validator

from anomalon.errors import OutputExistsError, RunError, suggest
from anomalon.partial import held
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.style_transfer_samples import NAMES, Drawn, SampleSettings, behind_cut
from anomalon.pipeline.style_transfer_tables import (
    Cell,
    CellResult,
    TransferTable,
    as_markdown,
)
from anomalon.style.colours import as_bytes, variables_of
from anomalon.style.picture_weights import FeatureSettings, Pictures, Training, features_of
from anomalon.style.transfer import Layers, Ratio, Start, TransferSettings, transfer

RESULTS, TABLE, CONFIG = "results.json", "table.md", "config.json"
RATIOS = ("20:80", "30:70", "40:60", "50:50")
"""Of style and content; those of Garcia Senas 2018 (Cantabria)."""


class StyleTransferConfig(SampleSettings):
    """Samples, and what the cells of the table are made of: every network x layers x start x ratio.

    Attributes:
        networks: that look at the pictures, by name.
        layers: choices of layers, by name.
        starts: pictures to begin with.
        ratios: of style and content, such as ``20:80``.
        iterations: of L-BFGS.
    """

    networks: dict[str, FeatureSettings] = Field(default_factory=lambda: {"random": FeatureSettings()}, min_length=1)
    layers: dict[str, Layers] = Field(default_factory=lambda: {"all": Layers()}, min_length=1)
    starts: tuple[Start, ...] = Field(default=("content", "noise", "style"), min_length=1)
    ratios: tuple[Ratio, ...] = Field(default=tuple(map(Ratio.model_validate, RATIOS)), min_length=1)
    iterations: int = Field(default=50, ge=1)

    @field_validator("ratios", mode="before")
    @classmethod
    def _written(cls, values: Any) -> Any:
        return [Ratio.model_validate(v) for v in values] if isinstance(values, list | tuple) else values

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        for network, (name, choice) in product(self.networks.items(), self.layers.items()):
            known = network[1].names
            for layer in (*choice.content, *choice.style):
                if layer not in known:
                    raise ValueError(f"layers.{name}: network {network[0]} has no '{layer}'; {suggest(layer, known)}")
        return self

    @property
    def cells(self) -> list[tuple[Cell, TransferSettings]]:
        """The cells of the table with their settings, in order."""
        return [
            (
                Cell(network=network, layers=name, start=start, ratio=str(ratio)),
                TransferSettings(ratio=ratio, start=start, layers=layers, iterations=self.iterations, seed=self.seed),
            )
            for network, (name, layers), start, ratio in product(
                self.networks, self.layers.items(), self.starts, self.ratios
            )
        ]


def transfer_style(
    config: StyleTransferConfig, output: Path, *, resume: bool = False, progress: Progress | None = None
) -> TransferTable:
    """Make the table, and write ``results.json``, ``table.md``, ``cells/`` with pictures, and ``figures/``.

    Args:
        config: samples and cells.
        output: folder to make.
        resume: keep the cells of an interrupted run of the same configuration; show a finished one.
        progress: who listens.

    Raises:
        OutputExistsError: the output is there already.
        RunError: the interrupted run had another configuration, or another process makes it.
        EmptySelectionError: there are too few events.
        ModelFileError: a file of weights is damaged or of another network.
    """
    progress = progress or Silent()
    if resume and (output / RESULTS).is_file():
        return finished_table(output)
    if output.exists():
        raise OutputExistsError(f"{output}: already there; --resume shows a finished run, or choose another --output")
    with _in_the_making(output, config, resume=resume) as folder:
        progress.start("read and draw")
        drawn = Drawn.of(config)
        _save_pictures(folder, {"content": drawn.content, "style": drawn.style})
        table = _table(config, drawn, folder, progress)
        _write(table, config, drawn, folder)
    return table


def finished_table(folder: Path) -> TransferTable:
    """The table of a finished run.

    Raises:
        RunError: it is damaged.
    """
    file = folder / RESULTS
    try:
        return TransferTable.parse(json.loads(file.read_text(encoding="utf-8")), where=str(file))
    except ValueError as error:
        raise RunError(f"{file}: damaged ({error}); remove {folder} and run again") from None


def _table(config: StyleTransferConfig, drawn: Drawn, folder: Path, progress: Progress) -> TransferTable:
    judged = {name: drawn.truth.judge(drawn.every[key], drawn.behind[key]) for name, key in _baselines(config).items()}
    cells, training, networks = config.cells, dict[str, Training](), dict[str, Any]()
    found = []
    progress.start("transfer", total=len(cells))
    for number, (cell, settings) in enumerate(cells):
        progress.update(number, cell.name)
        if cell.network not in networks:
            networks[cell.network], trained = _network(config, cell.network, drawn)
            training |= {cell.network: trained} if trained else {}
        found.append(_made(cell, settings, networks[cell.network], drawn, config=config, folder=folder))
    progress.update(len(cells))
    return TransferTable(
        events=(drawn.n_events, drawn.n_events, len(drawn.behind["target"])), variables=NAMES, baselines=judged,
        training=training, cells=tuple(found),
    )  # fmt: skip


def _baselines(config: StyleTransferConfig) -> dict[str, str]:
    """Name in the table and among the values."""
    made = {} if config.calibrator is None else {f"calibrator: {config.calibrator.get('kind')}": "calibrated"}
    return {"untreated": "source", **made, "style, drawn": "style"}


def _network(config: StyleTransferConfig, name: str, drawn: Drawn) -> tuple[Any, Training | None]:
    block = (drawn.content.shape[2] // config.down, drawn.content.shape[3] // config.across)
    return features_of(config.networks[name], drawn.content, drawn.style, block=block, seed=config.seed)


def _made(
    cell: Cell, settings: TransferSettings, network: Any, drawn: Drawn, *, config: StyleTransferConfig, folder: Path
) -> CellResult:
    """One cell; one that an interrupted run has finished is read."""
    file = folder / "cells" / f"{cell.name}.json"
    if file.is_file():
        return CellResult.parse(json.loads(file.read_text(encoding="utf-8")), where=str(file))
    start = time.perf_counter()
    generated, losses = transfer(network, drawn.content, drawn.style, settings)
    seconds = time.perf_counter() - start
    values = variables_of(drawn.codec, generated, drawn.n_events)
    judged = drawn.truth.judge(values, behind_cut(values, config.pt_min))
    result = CellResult(cell=cell, losses=losses, judged=judged, seconds=seconds)
    np.save(file.with_suffix(".npy"), values.astype(np.float32))
    _save_pictures(file.parent, {cell.name: generated})
    partial = file.with_suffix(".tmp")
    partial.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.rename(file)  # last, so that a cell with a result is complete
    return result


def _save_pictures(folder: Path, pictures: dict[str, Pictures]) -> None:
    for name, colours in pictures.items():
        for number, pixels in enumerate(as_bytes(colours), 1):
            suffix = f"-{number}" if len(colours) > 1 else ""
            Image.fromarray(pixels).save(folder / f"{name}{suffix}.png", format="PNG")


def _write(table: TransferTable, config: StyleTransferConfig, drawn: Drawn, folder: Path) -> None:
    from anomalon.pipeline.style_transfer_figures import figures  # noqa: PLC0415 - matplotlib is slow to import

    best = folder / "cells" / f"{table.best.cell.name}.npy"
    generated = behind_cut(np.load(best).astype(np.float64), config.pt_min)
    (folder / "figures").mkdir(exist_ok=True)
    for name, png in figures(table, drawn.behind, generated, folder):
        (folder / "figures" / f"{name}.png").write_bytes(png)
    (folder / TABLE).write_text(as_markdown(table), encoding="utf-8")
    (folder / RESULTS).write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")


@contextmanager
def _in_the_making(output: Path, config: StyleTransferConfig, *, resume: bool) -> Iterator[Path]:
    """The folder that becomes the output when all went well; it stays for ``--resume`` once a cell is finished."""
    partial = output.with_name(f"{output.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with held(partial):
            _begin(partial, config, resume=resume)
            try:
                yield partial
                partial.rename(output)
            finally:
                if partial.exists() and not any((partial / "cells").glob("*.json")):
                    shutil.rmtree(partial)
    except BlockingIOError:
        raise RunError(f"{output}: another process is making it; wait, or choose another --output") from None


def _begin(partial: Path, config: StyleTransferConfig, *, resume: bool) -> None:
    """Keep the cells of an interrupted run of the same configuration; otherwise begin with an empty folder."""
    text, file = config.model_dump_json(indent=1) + "\n", partial / CONFIG
    if resume and file.is_file():
        if file.read_text(encoding="utf-8") != text:
            raise RunError(f"{file}: the interrupted run had another configuration; leave --resume out to begin anew")
    else:
        for item in partial.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        file.write_text(text, encoding="utf-8")
    (partial / "cells").mkdir(exist_ok=True)
