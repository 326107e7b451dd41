"""A detector from outside the package: one file, and one line that registers it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anomalon.models import registry
from anomalon.models.detector import Detector, DetectorSettings, detector_names
from tests.models.examples import trilepton

ONE_FILE = '''
"""Events whose largest input is far above the background's."""

from typing import ClassVar

import numpy as np
from anomalon.batches import gather
from anomalon.models.contract import ModelSettings, Scorer


class FarthestSettings(ModelSettings):
    quantile: float = 0.5


class Farthest(Scorer):
    Settings: ClassVar[type[ModelSettings]] = FarthestSettings
    kind = "farthest"

    def _fit(self, batches, validation, run):
        self.usual = np.quantile(gather(batches)[0].astype(float), self.settings.quantile, axis=0)

    def _score(self, x):
        return (x - self.usual).max(axis=1).astype(float)

    def _save(self, folder):
        return {"usual": self.usual.tolist()}

    def _load(self, folder, state):
        self.usual = np.asarray(state["usual"])
'''
ONE_LINE = "farthest = somebodys_detector:Farthest"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that somebody else has installed."""
    (tmp_path / "somebodys_detector.py").write_text(ONE_FILE, encoding="utf-8")
    information = tmp_path / "somebodys_detector-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-detector\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[anomalon.scorers]\n{ONE_LINE}\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield
    registry._installed.cache_clear()
    sys.modules.pop("somebodys_detector", None)


@pytest.mark.usefixtures("installed")
def test_an_installed_detector_is_configured_taught_saved_and_combined_like_any_other(tmp_path: Path) -> None:
    assert "farthest" in detector_names()
    settings = DetectorSettings.parse({"kind": "farthest", "quantile": 0.9, "inputs": ["MET_pt", "HT"]})
    detector = Detector(settings).fit(trilepton())
    detector.save(tmp_path / "model")
    values = trilepton(50, seed=2)
    np.testing.assert_array_equal(
        Detector.load(tmp_path / "model").score_features(values), detector.score_features(values)
    )
    both = {"kind": "combination", "members": [settings.to_dict(), "met"], "how": "or"}
    assert np.isfinite(Detector(DetectorSettings.parse(both)).fit(trilepton()).score_features(values)).all()


def test_without_the_package_there_is_no_such_detector() -> None:
    assert "farthest" not in detector_names()


@pytest.mark.usefixtures("installed")
def test_a_detector_of_a_session_is_registered_by_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from somebodys_detector import Farthest  # noqa: PLC0415 - it is installed by the fixture

    monkeypatch.setattr(registry, "_SCORERS", dict(registry._SCORERS))
    registry.register_scorer("mine", Farthest)
    assert "mine" in detector_names()
    assert registry.get_scorer("mine") is Farthest
