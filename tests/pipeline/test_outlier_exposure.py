"""A search with detectors that learn from events: they are given them, and the run can score other files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from anomalon.models.detector import Detector
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.store import Store

FEW: dict[str, Any] = {"trees": 20, "events_per_leaf": 5}
DETECTORS: list[dict[str, Any]] = [
    {"kind": "exposed-to-pseudo-events", **FEW},
    {
        "kind": "exposed-or-joint",
        "folds": 2,
        "members": [{"kind": "exposed-to-exaggerated", **FEW}, "joint-survival", {"kind": "kmeans", "clusters": 3}],
    },
]


@pytest.mark.usefixtures("stores")
def test_detectors_of_a_search_that_learn_from_events_are_given_them(
    make_config: Callable[..., dict[str, Any]], stores: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(make_config(detectors=DETECTORS)))
    output = tmp_path / "run"
    results = run_search(SearchConfig.load(tmp_path / "search.yaml"), output, RunOptions())
    names = {detector.name for detector in results.detectors}
    assert {"exposed-to-pseudo-events", "exposed-or-joint"} <= names
    soft, signal = (Store(stores[name]).load() for name in ("soft", "signal"))
    for kind in ("exposed-to-pseudo-events", "exposed-or-joint"):
        detector = Detector.load(output / "model" / kind)
        assert np.nanmedian(detector.score(signal)) > np.nanquantile(detector.score(soft), 0.95)
