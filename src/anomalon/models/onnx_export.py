"""Detectors as ONNX files: written, described, and compared with the detector before the file has its name."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from anomalon import __version__
from anomalon.errors import MissingExtraError, ModelFileError
from anomalon.features.contract import Features
from anomalon.models.detector import Detector
from anomalon.models.onnx_graph import DetectorGraph, graph_of
from anomalon.preprocessing import Preprocessing

Floats = npt.NDArray[np.float64]

INPUT, OUTPUT = "features", "score"
TOLERANCE = 1e-5
"""Largest difference of scores, relative to the larger of 1 and the score."""
EVENTS = 2000
OPSET = 18


@dataclass(frozen=True)
class Exported:
    """An ONNX file.

    Attributes:
        path: of the file.
        detector: its name.
        inputs: names of the columns of the input, in order.
        difference: largest difference of a score from the detector's, relative to the larger of 1 and the score.
        events: number of events that were compared.
    """

    path: Path
    detector: str
    inputs: tuple[str, ...]
    difference: float
    events: int


def export_onnx(detector: Detector, path: Path) -> Exported:
    """Write a detector as ONNX: input ``features`` (event, feature), float32, NaN where missing; output ``score``.

    Names of the columns, the threshold and the version are metadata of the file. The file is compared with the detector
    on random events before it gets its name.

    Raises:
        ModelFileError: this kind of detector cannot be exported, or the exported scores differ.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    onnx, runtime = _load()
    model = _traced(graph_of(detector))
    content = {
        "anomalon": __version__,
        "detector": detector.name,
        "inputs": json.dumps(detector.inputs),
        "threshold": json.dumps(detector.threshold),
    }
    for key, value in content.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        difference = _difference(detector, runtime.InferenceSession(str(partial)))
        if not difference <= TOLERANCE:
            raise ModelFileError(
                f"detector '{detector.name}': exported scores differ by {difference:.2g} (relative), more than "
                f"{TOLERANCE:g}; nothing was written"
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, detector.name, detector.inputs, difference, EVENTS)


def _load() -> tuple[Any, Any]:
    try:
        import onnx  # noqa: PLC0415 - an extra
        import onnxruntime  # noqa: PLC0415
        import onnxscript  # noqa: F401, PLC0415 - torch needs it
    except ImportError as error:
        raise MissingExtraError(
            f"exporting as ONNX needs {error.name}; install the extra: pip install 'anomalon[onnx]'"
        ) from None
    return onnx, onnxruntime


def _traced(graph: DetectorGraph) -> Any:
    """The graph as an ONNX model of any number of events; the exporter's chatter is left out."""
    example = torch.zeros((3, len(graph.prepare.centre)))
    batch = torch.export.Dim("event", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph, (example,), dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
            dynamic_shapes={"features": {0: batch}}, verbose=False,
        )  # fmt: skip
    if program is None:
        raise ModelFileError("the exporter gave no model")
    return program.model_proto


def _difference(detector: Detector, session: Any) -> float:
    """Largest difference between the scores of the file and those of the detector."""
    features = probe(detector.preprocessing, EVENTS, seed=1)
    (found,) = session.run([OUTPUT], {INPUT: np.where(features.mask, features.values, np.nan)})
    expected = detector.score_features(features)
    if (np.isnan(found) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))


def probe(preprocessing: Preprocessing, events: int, *, seed: int) -> Features:
    """Random features around those of the training background, and far outside; one value in ten is missing."""
    random = np.random.default_rng(seed)
    fitted, names = preprocessing.to_dict()["fitted"], preprocessing.names
    width = np.where(random.random((events, 1)) < 0.1, 10.0, 1.0)
    x = np.asarray(fitted["centre"]) + width * np.asarray(fitted["scale"]) * random.normal(size=(events, len(names)))
    logged = np.asarray([preprocessing.settings.treatment(name) == "log" for name in names])
    values = np.where(logged, np.expm1(np.clip(x, 0.0, 11.0)), x).astype(np.float32)
    mask = random.random(values.shape) > 0.1
    values[~mask] = np.nan
    return Features(values, mask, names)
