"""A detector of a finished run as an ONNX file: one call behind ``anomalon export RUN --onnx FILE``."""

from __future__ import annotations

from pathlib import Path

from anomalon.models.onnx_export import Exported, export_onnx
from anomalon.pipeline.outputs import check_free
from anomalon.pipeline.run_directory import RunDirectory


def export_detector(run: Path, output: Path, name: str | None = None, *, overwrite: bool = False) -> Exported:
    """Write a detector of a run, by default its main one.

    Raises:
        RunError: not a finished run, or a file of it has changed.
        UnknownNameError: the run has no such detector.
        ModelFileError: this kind of detector cannot be exported; the message says which can.
        OutputExistsError: the file is there and ``overwrite`` is off.
        MissingExtraError: the extra ``onnx`` is not installed.
    """
    check_free([output], overwrite=overwrite)
    directory = RunDirectory(run)
    return export_onnx(directory.detector(name or directory.config().main), output)
