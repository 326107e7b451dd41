"""Detectors taught block by block: the same from a store, from events in memory and from features in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.batches import mix
from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.features import RapidityMassMatrix
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.store import Store, StoreWriter
from anomalon.streaming import Blocks, EventBlocks, FeatureBlocks
from anomalon.training import TrainingRun
from tests.random_events import random_rows

pytestmark = pytest.mark.usefixtures("one_thread")

MATRIX = RapidityMassMatrix()
SIZE = 150
KINDS: dict[str, dict[str, Any]] = {
    "frette2023-ae-small": {"code": 8, "training": {"epochs": 3, "batch_size": 64}},
    "frette2023-vae-small": {"code": 8, "training": {"epochs": 3, "batch_size": 64}},
    "kmeans": {"features": "rmm", "clusters": 3},
}


@pytest.fixture(scope="module")
def events() -> Events:
    return Events.from_dicts(random_rows(1000, seed=8))


@pytest.fixture(scope="module")
def store(events: Events, tmp_path_factory: pytest.TempPathFactory) -> Store:
    with StoreWriter(tmp_path_factory.mktemp("stores") / "events", events_per_shard=333) as writer:
        writer.append(events)
        return writer.finish()


def taught(kind: str, train: Blocks, validation: Blocks, run: TrainingRun | None = None) -> Detector:
    return Detector(DetectorSettings.parse({"kind": kind, "seed": 2, **KINDS[kind]})).fit_blocks(
        train, validation, run=run
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_and_memory_teach_the_same(kind: str, events: Events, store: Store) -> None:
    weights = np.random.default_rng(1).normal(1, 1, 800)
    features = MATRIX.transform(events)
    pairs: dict[str, tuple[Blocks, Blocks]] = {
        "store": (
            EventBlocks(store, MATRIX, weights, rows=(0, 800), size=SIZE),
            EventBlocks(store, MATRIX, rows=(800, 1000), size=SIZE),
        ),
        "events": (EventBlocks(events[:800], MATRIX, weights, size=SIZE), EventBlocks(events[800:], MATRIX, size=SIZE)),
        "matrix": (FeatureBlocks(features[:800], weights, size=SIZE), FeatureBlocks(features[800:], size=SIZE)),
    }
    detectors = {name: taught(kind, *pair) for name, pair in pairs.items()}
    scores = {name: detector.score_features(features) for name, detector in detectors.items()}
    np.testing.assert_allclose(scores["store"], scores["matrix"], rtol=1e-5)
    np.testing.assert_allclose(scores["events"], scores["matrix"], rtol=1e-5)
    np.testing.assert_allclose(detectors["store"].score_blocks(EventBlocks(store, MATRIX)), scores["store"], rtol=1e-5)
    assert len(np.unique(scores["store"])) > 500


def test_a_stream_that_was_interrupted_ends_with_the_same_network(store: Store, tmp_path: Path) -> None:
    blocks = EventBlocks(store, MATRIX, rows=(0, 800), size=SIZE), EventBlocks(store, MATRIX, rows=(800, 1000))
    whole = taught("frette2023-ae-small", *blocks)

    def stop(report: Any) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    run = TrainingRun(checkpoint_dir=tmp_path, progress=stop, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        taught("frette2023-ae-small", *blocks, run=run)
    again = taught("frette2023-ae-small", *blocks, run=TrainingRun(checkpoint_dir=tmp_path, resume=True))
    features = MATRIX.transform(store.load())
    np.testing.assert_array_equal(again.score_features(features), whole.score_features(features))
    assert again.record is not None
    assert len(again.record.training_losses) == 3


def test_events_that_are_not_finite_or_weigh_nothing_are_in_no_training(events: Events) -> None:
    weights = np.ones(1000)
    weights[:500] = 0.0
    half = taught("kmeans", EventBlocks(events, MATRIX, weights, size=SIZE), EventBlocks(events, MATRIX))
    other = taught("kmeans", EventBlocks(events[500:], MATRIX, size=1000), EventBlocks(events, MATRIX))
    features = MATRIX.transform(events)
    for key in ("centre", "scale", "highest"):
        fitted = [detector.preprocessing.to_dict()["fitted"][key] for detector in (half, other)]
        np.testing.assert_allclose(*fitted, rtol=1e-9, atol=1e-12)
    assert np.isfinite(half.score_features(features)).all()
    with pytest.raises(TrainingError, match="none of 1000 training events is usable"):
        taught("kmeans", EventBlocks(events, MATRIX, 0 * weights), EventBlocks(events, MATRIX))


def test_blocks_in_mixed_order_each_have_the_process_mix_of_the_whole() -> None:
    from tests.test_batches import some_ids, taken  # noqa: PLC0415

    ids = some_ids(40_000)
    mixed = taken(ids, mix(ids, 3)).dataset.reshape(-1, 4_000)
    np.testing.assert_allclose((mixed == 0).mean(axis=1), 0.5, atol=0.03)
