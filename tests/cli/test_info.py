"""``anomalon info``."""

from __future__ import annotations

import json

import pytest

from anomalon.cli import main


def info(capsys, *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["info", *map(str, arguments)])
    return int(stop.value.code or 0), capsys.readouterr().out


def test_json_of_a_file_and_of_its_store_agree(capsys, tmp_path, shared):
    file = shared / "data" / "cms" / "nano_dy.root"
    with pytest.raises(SystemExit):
        main(["read", str(file), "--output", str(tmp_path / "s")])
    capsys.readouterr()
    code, out = info(capsys, file, "--json")
    of_file = json.loads(out)
    of_store = json.loads(info(capsys, tmp_path / "s", "--json")[1])
    assert code == 0
    assert {"format", "events", "fields", "samples"} <= set(of_file) & set(of_store)
    assert (of_file["format"], of_store["format"]) == ("cms-nanoaod", "anomalon-store")
    assert of_file["events"] == of_store["events"] == 40
    assert set(of_store["fields"]) - {"dataset"} == set(of_file["fields"])
    assert of_file["samples"] == of_store["samples"]


def test_several_paths_give_a_list(capsys, shared):
    values = json.loads(info(capsys, shared / "data" / "cms" / "nano_[dt]*.root", "--json")[1])
    assert [value["events"] for value in values] == [40, 40, 200]
    assert [value["samples"][0]["origin"] for value in values] == ["data", "simulation", "simulation"]


def test_the_table_says_what_is_there_and_what_is_missing(capsys, shared):
    code, out = info(capsys, shared / "data" / "cms" / "missing_luminosityBlock.root")
    assert code == 0
    for words in (
        "cms-nanoaod",
        "muons (pt, eta, phi, mass",
        "lumi (needs luminosityBlock)",
        "Jet_btagDeepFlavB > 0.2783",
    ):
        assert words in out
