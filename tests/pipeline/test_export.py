from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from anomalon.errors import ConfigError, OutputExistsError
from anomalon.features import get
from anomalon.pipeline.export import export_features
from anomalon.selection import TrileptonSelection, apply
from anomalon.store import Store


def test_every_format_holds_the_same_features_and_ids(stores: dict[str, Path], tmp_path: Path) -> None:
    selected = apply(TrileptonSelection(), Store(stores["soft"]).load()).events
    expected = get("trilepton").transform(selected)
    for ending in ("h5", "parquet", "npy"):
        summary = export_features(stores["soft"], tmp_path / f"x.{ending}")
        assert summary["written"] == len(expected)
        assert summary["not_finite"] == {"MET_pt": 3, "mT_W": 3}
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["features"][:], expected.values)
        np.testing.assert_array_equal(file["mask"][:], expected.mask)
        assert tuple(file["features"].attrs["names"]) == expected.names
        np.testing.assert_array_equal(file["ids/event"][:], np.asarray(selected.array.event))
    table = pq.read_table(tmp_path / "x.parquet")
    np.testing.assert_array_equal(table["lep1_pt"].to_numpy(), expected.column("lep1_pt"))
    np.testing.assert_allclose(table["weight"].to_numpy(), selected.weights(1.0))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected.values)
    np.testing.assert_array_equal(np.load(tmp_path / "x.ids.npy")["event"], np.asarray(selected.array.event))
    assert (tmp_path / "x.names.txt").read_text().split() == list(expected.names)


def test_all_events_can_be_written(stores: dict[str, Path], tmp_path: Path) -> None:
    summary = export_features(stores["soft"], tmp_path / "x.parquet", select=False)
    assert summary["written"] == summary["read"] == 903


def test_an_unknown_ending_and_an_existing_file_are_refused(stores: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in '.csv'; features are written as .h5, .parquet, .npy"):
        export_features(stores["soft"], tmp_path / "x.csv")
    (tmp_path / "x.h5").write_text("precious")
    with pytest.raises(OutputExistsError, match="already there"):
        export_features(stores["soft"], tmp_path / "x.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]
