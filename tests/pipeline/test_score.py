from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from anomalon.errors import (
    ConfigError,
    InputFileError,
    MissingFieldError,
    OutputExistsError,
    RunError,
    UnknownNameError,
)
from anomalon.pipeline.score import score_files
from anomalon.search.results import SearchResults
from tests.pipeline.conftest import simulation, trilepton_rows, write_store

Finished = tuple[Path, SearchResults]


def test_scores_of_a_store_are_those_of_the_search(finished: Finished, stores: dict[str, Path], tmp_path: Path) -> None:
    score_files(finished[0], [stores["signal"]], tmp_path / "s.parquet")
    again = pq.read_table(tmp_path / "s.parquet").to_pydict()
    first = pq.read_table(finished[0] / "scores.parquet").to_pydict()
    known = {
        e: s for e, s, name in zip(first["event"], first["score"], first["sample"], strict=True) if name == "signal"
    }
    assert len(again["event"]) == len(known)
    np.testing.assert_allclose(again["score"], [known[e] for e in again["event"]], rtol=1e-5)


def test_collision_data_is_blinded_until_a_reason_is_given(
    finished: Finished, stores: dict[str, Path], tmp_path: Path
) -> None:
    blind = score_files(finished[0], [stores["data"]], tmp_path / "blind.parquet")
    rows = pq.read_table(tmp_path / "blind.parquet")
    assert blind.blinding.applies
    assert rows["score"].to_numpy().max() <= blind.threshold
    assert set(rows["region"].to_pylist()) == {"below"}
    told = json.loads((tmp_path / "blind.json").read_text())
    assert told["rows_above_threshold"] is None
    assert told["cutflow"][-1]["raw"] is None
    assert told["ledger"]["totals"]["written"] == 0
    opened = score_files(finished[0], [stores["data"]], tmp_path / "open.parquet", unblind="test of unblinding")
    assert opened.rows == 210
    assert opened.above is not None
    assert opened.above >= 10
    assert json.loads((tmp_path / "open.json").read_text())["blinding"]["unblinded_reason"] == "test of unblinding"


def test_a_file_that_gives_no_event_gives_an_empty_table(finished: Finished, tmp_path: Path) -> None:
    rows = [{"muons": []} | {"event": i} for i in range(30)]
    empty = write_store(tmp_path / "empty", rows, simulation("nothing", 30, 1.0))
    summary = score_files(finished[0], [empty], tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    assert (summary.read, summary.rows, table.num_rows) == (30, 0, 0)
    assert table.schema.field("score").type == "double"
    assert not summary.compared


def test_features_unlike_the_training_sample_are_named(
    finished: Finished, stores: dict[str, Path], tmp_path: Path
) -> None:
    alike = score_files(finished[0], [stores["soft"]], tmp_path / "a.parquet")
    other = score_files(finished[0], [stores["signal"]], tmp_path / "b.parquet")
    assert not alike.unlike
    assert "MET_pt" in {shift.feature for shift in other.unlike}
    assert any("look unlike the training sample's" in line for line in other.lines(tmp_path / "b.parquet"))


def test_two_files_of_one_name_stay_two_samples(finished: Finished, stores: dict[str, Path], tmp_path: Path) -> None:
    twin = write_store(tmp_path / "signal", trilepton_rows(20, 77), simulation("signal", 20, 1.0))
    summary = score_files(finished[0], [stores["signal"], twin], tmp_path / "t.parquet")
    names = set(pq.read_table(tmp_path / "t.parquet")["sample"].to_pylist())
    assert names == {"signal", "signal (2)"}
    assert summary.ledger.totals.read == 420


def test_duplicated_collision_events_are_scored_once(
    finished: Finished, stores: dict[str, Path], tmp_path: Path
) -> None:
    summary = score_files(
        finished[0], [stores["data"], stores["data"] / "../data"], tmp_path / "d.parquet", unblind="x"
    )
    assert summary.rows == 210
    assert summary.ledger.totals.duplicated == 210


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"output": "s.csv"}, ConfigError, r"s\.csv: scores are written as Parquet"),
        ({"output": "no/such/s.parquet"}, InputFileError, "no such directory"),
        (
            {"detector": "isolation-forst"},
            UnknownNameError,
            "no detector 'isolation-forst'.*did you mean 'isolation-forest'",
        ),
        ({"files": ["missing.root"]}, InputFileError, r"missing\.root: no such file"),
        ({"run": "."}, RunError, "not a finished run"),
    ],
)
def test_mistakes_are_named_and_leave_nothing_behind(
    arguments: dict[str, object],
    error: type[Exception],
    message: str,
    finished: Finished,
    stores: dict[str, Path],
    tmp_path: Path,
) -> None:
    given: dict[str, object] = {"run": finished[0], "files": [stores["data"]], "output": "s.parquet"} | arguments
    run = tmp_path if given["run"] == "." else finished[0]
    detector = str(given["detector"]) if "detector" in given else None
    with pytest.raises(error, match=message):
        score_files(run, given["files"], tmp_path / str(given["output"]), detector=detector)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_existing_scores_are_kept(finished: Finished, stores: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_text("precious")
    with pytest.raises(OutputExistsError, match="already there"):
        score_files(finished[0], [stores["data"]], tmp_path / "s.parquet")
    assert (tmp_path / "s.parquet").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "read", "rows"),
    [
        ("nano_tt_v12.root", 200, None),
        ("nano_dimuon.root", 40, 0),
        ("nano_dy.root", 40, None),
        ("nanoAOD_2015_CMS_Open_Data_ttbar.root", 200, None),
    ],
)
def test_real_nanoaod_is_scored(
    name: str, read: int, rows: int | None, finished: Finished, shared: Path, tmp_path: Path
) -> None:
    summary = score_files(finished[0], [shared / "data/cms" / name], tmp_path / "s.parquet")
    assert summary.read == read
    assert pq.read_table(tmp_path / "s.parquet").num_rows == summary.rows
    if rows is not None:
        assert summary.rows == rows


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing_luminosityBlock.root", MissingFieldError, "luminosityBlock"),
        ("Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root", MissingFieldError, "(?i)electron"),
        ("flat_zz.root", InputFileError, "a flat file needs a mapping"),
    ],
)
def test_files_without_the_objects_say_what_is_missing(
    name: str, error: type[Exception], message: str, finished: Finished, shared: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        score_files(finished[0], [shared / "data/cms" / name], tmp_path / "s.parquet")
    assert list(tmp_path.iterdir()) == []
