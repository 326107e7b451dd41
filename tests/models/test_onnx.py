"""Detectors as ONNX: the same scores, from features to the score in one graph; what cannot be exported says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.errors import MissingExtraError, ModelFileError
from anomalon.models import onnx_export
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.models.onnx_export import export_onnx, probe
from anomalon.models.onnx_graph import why_not
from anomalon.models.registry import scorer_names
from tests.models.examples import QUICK as SMALL
from tests.models.examples import trilepton

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

QUICK = {"training": {"epochs": 2, "batch_size": 64}}
EXPORTED: dict[str, dict[str, Any]] = {
    "autoencoder that compares energies": {"kind": "autoencoder", **QUICK},
    "logarithm of a robust error": {
        "kind": "autoencoder", "compare": "inputs", "scale": "log10-sum", "error": "smooth-l1", "batch_norm": True,
        **QUICK,
    },
    "bound of a VAE": {"kind": "vae", "compare": "inputs", "score": "elbo", **QUICK},
    "radius in a VAE's code": {"kind": "vae", "compare": "inputs", "score": "radius", **QUICK},
    "an ensemble of deep SVDD": {"kind": "deep-svdd", "dimensions": [3, 5], **QUICK},
    "inputs from each other": {"kind": "masked-prediction", "inputs": ["MET_pt", "LT", "mT_W"], **QUICK},
    "one variable": {"kind": "met"},
}  # fmt: skip


def fitted(fragment: dict[str, Any]) -> Detector:
    detector = Detector(DetectorSettings.parse(fragment)).fit(trilepton())
    detector.threshold = 1.5
    return detector


@pytest.mark.slow
@pytest.mark.parametrize("what", EXPORTED)
def test_scores_are_those_of_the_detector(what: str, tmp_path: Path) -> None:
    detector, path = fitted(EXPORTED[what]), tmp_path / "detector.onnx"
    made = export_onnx(detector, path)
    session = onnxruntime.InferenceSession(str(path))
    for events in (1, 257):
        features = trilepton(events, scale=3.0, seed=8).select(detector.inputs)
        (scores,) = session.run(["score"], {"features": features.values})
        np.testing.assert_allclose(scores, detector.score_features(features), rtol=1e-5, atol=1e-5)
    assert made.difference < 1e-5
    about = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert json.loads(about["inputs"]) == list(detector.inputs)
    assert json.loads(about["threshold"]) == 1.5


def test_an_infinite_value_scores_nan_and_a_missing_one_does_not(tmp_path: Path) -> None:
    detector = fitted({"kind": "met"})
    export_onnx(detector, tmp_path / "met.onnx")
    values = np.array([[np.inf], [np.nan], [30.0]], dtype=np.float32)
    (scores,) = onnxruntime.InferenceSession(str(tmp_path / "met.onnx")).run(["score"], {"features": values})
    assert np.isnan(scores).tolist() == [True, False, False]
    assert scores[2] == 30.0


@pytest.mark.parametrize("kind", [name for name in scorer_names() if name not in EXPORTED])
def test_every_kind_is_exported_or_says_why_not(kind: str) -> None:
    reason = why_not(Detector(DetectorSettings.parse({"kind": kind, **SMALL.get(kind, {})})))
    assert reason is None or "exported are: autoencoder" in reason


def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"'isolation-forest' cannot be exported.*is no network"):
        export_onnx(fitted({"kind": "isolation-forest", "trees": 5}), tmp_path / "forest.onnx")
    raw = fitted({"kind": "met"})
    raw.preprocessing.settings = raw.preprocessing.settings.model_copy(update={"fill": None})
    with pytest.raises(ModelFileError, match="missing values stay missing"):
        export_onnx(raw, tmp_path / "raw.onnx")
    assert not list(tmp_path.iterdir())


def test_scores_that_differ_are_refused_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = fitted({"kind": "met"})
    score = Detector.score_features
    monkeypatch.setattr(Detector, "score_features", lambda self, features: score(self, features) * 1.001)
    with pytest.raises(ModelFileError, match=r"exported scores differ by 0\.001"):
        export_onnx(detector, tmp_path / "met.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"anomalon\[onnx\]"):
        export_onnx(fitted({"kind": "met"}), tmp_path / "met.onnx")


def test_random_events_of_the_comparison_miss_values_and_lie_far_outside() -> None:
    detector = fitted({"kind": "autoencoder", **QUICK})
    features = probe(detector.preprocessing, onnx_export.EVENTS, seed=1)
    assert 0.05 < 1 - features.mask.mean() < 0.15
    assert np.nanmax(np.abs(detector.preprocessing.transform(features))) > 10
