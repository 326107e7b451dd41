"""A search with a detector of pictures, from the configuration to the pictures of its most anomalous events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.run_directory import RunDirectory
from anomalon.pipeline.search import RunOptions, run_search

DETECTOR = {
    "kind": "convolutional-autoencoder", "name": "pictures", "hidden": [8], "image": [6, 6, 8],
    "feature_settings": {"eta_cells": 6, "phi_cells": 8}, "training": {"epochs": 2, "batch_size": 256},
}  # fmt: skip


@pytest.mark.slow
def test_a_search_shows_the_pictures_of_its_most_anomalous_events(
    make_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    search = SearchConfig.parse(make_config(detectors=[DETECTOR]))
    results = run_search(search, tmp_path / "run", RunOptions())
    assert (tmp_path / "run" / "figures" / "pictures_pictures.png").is_file()
    found = results.evaluation("pictures", "signal")
    assert found is not None
    assert found.auc.value > 0.6
    assert RunDirectory(tmp_path / "run").detector("pictures").inputs[0] == "jet_0_0_pt"
