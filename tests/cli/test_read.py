"""``anomalon read``."""

from __future__ import annotations

import json

import pytest

from anomalon.cli import main
from anomalon.store import Store
from tests.sources.nano_files import nano_branches, write_nano


def read(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["read", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_files_become_a_store_and_the_ledger_is_shown(capsys, tmp_path):
    files = [write_nano(tmp_path / f"{i}.root", nano_branches(10 + i, seed=i)) for i in range(2)]
    code, out, err = read(capsys, *files, "--process", "DY", "--cross-section", 6077, "--output", tmp_path / "s")
    assert (code, err) == (0, "")
    assert "Ledger" in out
    assert "sample DY: process DY, cross section 6077 pb" in out
    assert f"21 events in {tmp_path / 's'}" in out
    assert Store(tmp_path / "s").samples[0].cross_section_pb == 6077


def test_json_holds_samples_and_a_ledger_that_balances(capsys, tmp_path):
    file = write_nano(tmp_path / "a.root", nano_branches(10))
    code, out, _ = read(capsys, file, "--fields", "electrons, met.pt", "--json", "--output", tmp_path / "s")
    values = json.loads(out)
    assert (code, values["events"], values["ledger"]["totals"]["written"]) == (0, 10, 10)
    assert values["samples"][0]["process"] == "unknown"
    assert {name.partition(".")[0] for name in Store(tmp_path / "s").fields} >= {"electrons", "met"}


@pytest.mark.parametrize(
    "name", ["nano_dy.root", "nano_dimuon.root", "nano_tt_v12.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]
)
def test_real_files_are_read(capsys, tmp_path, shared, name):
    assert read(capsys, shared / "data" / "cms" / name, "--output", tmp_path / "s")[0] == 0
    store = Store(tmp_path / "s")
    assert store.n_events == store.ledger.check().totals.read > 0


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "none.root: no such file"),
        ("directory", "a directory without ROOT files or stores"),
        ("cut", "cut.root: cut short"),
        ("text", "text.root: not a format that anomalon reads"),
        ("field", "no field 'muonz' in NanoAOD; did you mean 'muons'"),
        ("sigma", "cross_section_pb = -1.0: Input should be greater than 0"),
        ("there", "already there; choose another name"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(capsys, tmp_path, case, message):
    good = write_nano(tmp_path / "good.root", nano_branches(10))
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.root").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.root").write_text("hello")
    output = tmp_path / "out" / "s"
    arguments = {
        "missing": ["none.root"],
        "directory": [tmp_path / "empty"],
        "cut": [tmp_path / "cut.root"],
        "text": [tmp_path / "text.root"],
        "field": [good, "--fields", "muonz"],
        "sigma": [good, "--cross-section", "-1"],
        "there": [good, "--output", tmp_path / "empty"],
    }[case]
    code, out, err = read(capsys, "--output", output, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not output.parent.exists() or not list(output.parent.iterdir())


def test_a_bad_file_is_listed_where_that_is_asked_for(capsys, tmp_path):
    good = write_nano(tmp_path / "good.root", nano_branches(10))
    (tmp_path / "cut.root").write_bytes(good.read_bytes()[:2000])
    code, out, _ = read(capsys, tmp_path, "--skip-bad", "--output", tmp_path / "s")
    assert code == 0
    assert "cut short" in out.replace("\n", "")
