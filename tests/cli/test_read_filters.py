from __future__ import annotations

import json

import numpy as np
import pytest

from anomalon.cli import main
from anomalon.store import Store
from tests.sources.nano_files import as_data, nano_branches, write_nano


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture
def data(tmp_path):
    branches = as_data(nano_branches(30)) | {"HLT_A": np.arange(30) % 2 == 0}
    return write_nano(tmp_path / "data.root", branches)


def test_mask_and_triggers_are_counted_and_missing_paths_told(data, tmp_path, capsys):
    (tmp_path / "mask.json").write_text(json.dumps({"1": [[0, 0]]}))
    options = ["--luminosity-mask", tmp_path / "mask.json", "--triggers", "HLT_A,HLT_B"]
    assert run("read", data, "-o", tmp_path / "s", *options) == 0
    assert "data.root: has no HLT_B; the other triggers decide" in capsys.readouterr().out
    store = Store(tmp_path / "s")
    assert store.load().array.event.tolist() == [0, 2, 4, 6, 8]
    assert sum(store.ledger.check().entries[0].skipped.values()) == 25


def test_trigger_lists_of_several_years_come_from_a_file(data, tmp_path, capsys):
    (tmp_path / "t.yaml").write_text("2017: [HLT_B]\n2018: [HLT_A]\n")
    assert run("read", data, "-o", tmp_path / "s", "--triggers", tmp_path / "t.yaml", "--year", 2018) == 0
    assert Store(tmp_path / "s").n_events == 15
    assert run("read", data, "-o", tmp_path / "t", "--triggers", tmp_path / "t.yaml", "--year", 2016) == 2
    assert "no list for year 2016; given: 2017, 2018" in capsys.readouterr().err


def test_a_missing_mask_is_one_line(data, tmp_path, capsys):
    assert run("read", data, "-o", tmp_path / "s", "--luminosity-mask", tmp_path / "none.json") == 2
    assert "none.json: no such file" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
