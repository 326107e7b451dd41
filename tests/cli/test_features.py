"""``anomalon features`` on a table that has its features already, and what ``anomalon info`` says of one."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mappings" / "features_boosted.yaml"
NAMES = ("Lepton1_pt", "Lepton1_eta", "FatJet1_pt", "FatJet1_tau1", "FatJet1_tau2", "MET", "ScalarHT")
ROWS = [
    "7,0.5,30,0.25,400,0.5,0.125,80,700",
    "8,-1.5,40,-1.75,-999,-999,-999,,650",
    "7,0.5,30,0.25,400,0.5,0.125,80,700",
    "9,2,50,1.25,350,0.75,0.5,60,600",
]


@pytest.fixture
def table(in_folder) -> Path:
    path = in_folder / "boosted.csv"
    path.write_text("\n".join([",".join(("EventNumber", "Weight", *NAMES)), *ROWS]) + "\n", encoding="utf-8")
    return path


def test_a_table_is_written_with_ids_and_weights_and_every_row_is_accounted_for(run, table):
    code, out, _ = run("features", table, "--mapping", EXAMPLE, "-o", "x.parquet", "--json")
    summary = json.loads(out)
    assert (code, summary["read"], summary["written"], tuple(summary["names"])) == (0, 4, 3, NAMES)
    (entry,) = summary["ledger"]["entries"]
    assert (entry["read"], entry["written"], entry["duplicated"], len(entry["sha256"])) == (4, 3, 1, 64)
    written = pq.read_table("x.parquet")
    assert written["event"].to_pylist() == [7, 8, 9]
    assert written["weight"].to_pylist() == [0.5, -1.5, 2.0]
    assert set(written["process"].to_pylist()) == {"unknown"}
    np.testing.assert_array_equal(written["FatJet1_tau2"].to_numpy(), np.float32([0.125, np.nan, 0.5]))
    np.testing.assert_array_equal(written["MET"].to_numpy(), np.float32([80, np.nan, 60]))


def test_every_format_holds_the_same(run, table):
    for output in ("x.h5", "x.npy", "x.parquet"):
        code, out, _ = run("features", table, "--mapping", EXAMPLE, "-o", output)
        assert code == 0
        assert "Ledger" in out
        assert f"3 of 4 events, 7 features: {output}" in out
    with h5py.File("x.h5") as file:
        np.testing.assert_array_equal(file["features"][:], np.load("x.npy"))
        assert file["mask"][:].sum() == 3 * 7 - 4
    np.testing.assert_array_equal(np.load("x.npy")[:, 6], pq.read_table("x.parquet")["ScalarHT"].to_numpy())


def test_damaged_lines_are_left_out_only_when_that_is_asked_for(run, refused, table):
    table.write_text(table.read_text() + "10,1,oops,0,0,0,0,0,0\n1,2\n")
    assert "--lenient leaves such lines out" in refused("features", table, "--mapping", EXAMPLE, "-o", "x.h5")
    assert not Path("x.h5").exists()
    code, out, _ = run("features", table, "--mapping", EXAMPLE, "-o", "x.h5", "--lenient", "--json")
    (entry,) = json.loads(out)["ledger"]["entries"]
    assert (code, entry["read"], entry["written"]) == (0, 6, 3)
    assert entry["skipped"] == {"text in a number": 1, "missing field": 1}


MISTAKES = {
    "a column that is not there": ("features: [ScalarHt]", [], "no column 'ScalarHt'; did you mean 'ScalarHT'"),
    "an unknown key": ("evnt: EventNumber", [], "did you mean 'event'"),
    "a mapping of objects": ("muons: {columns: {pt: a}}", [], "muons"),
    "a feature set beside a mapping": ("event: EventNumber", ["--set", "rmm"], "leave out --set"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_a_mapping_gives_one_line_and_leaves_nothing(refused, table, case):
    text, options, message = MISTAKES[case]
    Path("mapping.yaml").write_text(text + "\n", encoding="utf-8")
    assert message in refused("features", table, "--mapping", "mapping.yaml", "-o", "x.h5", *options)
    assert sorted(path.name for path in Path().iterdir()) == ["boosted.csv", "mapping.yaml"]


def test_lenient_without_a_mapping_is_refused(refused, samples):
    assert "--lenient is for tables" in refused("features", samples["soft"], "-o", "x.h5", "--lenient")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_info_says_what_a_table_holds_and_what_it_needs(run, table, kind):
    path = table
    if kind == "parquet":
        path = table.with_suffix(".parquet")
        pq.write_table(pa.table({name: np.zeros(4) for name in ("EventNumber", "Weight", *NAMES)}), path)
    code, out, _ = run("info", path, "--json")
    found = json.loads(out)
    assert (code, found["format"], found["events"], found["samples"]) == (0, "flat", 4, [])
    assert found["details"]["columns"] == ", ".join(("EventNumber", "Weight", *NAMES))
    assert "anomalon features FILE --mapping" in found["details"]["mapping"]


def test_info_still_refuses_what_is_no_table(refused, in_folder):
    (in_folder / "a.txt").write_text("hello\n", encoding="utf-8")
    assert "not a format that anomalon reads" in refused("info", in_folder / "a.txt")
