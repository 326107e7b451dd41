from __future__ import annotations

import resource
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from anomalon.errors import ConfigError, OutputExistsError
from anomalon.features import get
from anomalon.pipeline import export
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


@pytest.mark.parametrize("ending", ["h5", "parquet", "npy"])
def test_parts_of_any_size_give_the_same_file(
    ending: str, stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    export_features(stores["soft"], whole, feature_set="rmm", select=False)
    monkeypatch.setattr(export, "VALUES_AT_A_TIME", 100 * 529)
    export_features(stores["soft"], parts, feature_set="rmm", select=False)
    expected = get("rmm").transform(Store(stores["soft"]).load()).values
    for path in (whole, parts):
        np.testing.assert_array_equal(read_values(path), expected)


def read_values(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["features"][:]
    table = pq.read_table(path)
    return np.column_stack([table[name].to_numpy() for name in get("rmm").names])


@pytest.mark.parametrize("ending", ["h5", "parquet", "npy"])
def test_a_full_disk_is_an_error_and_leaves_nothing(ending: str, stores: dict[str, Path], tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            export_features(stores["soft"], tmp_path / f"x.{ending}", feature_set="rmm", select=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
