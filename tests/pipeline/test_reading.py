from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.errors import ConfigError, InputFileError
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.progress import Silent
from anomalon.pipeline.samples import obtain
from anomalon.pipeline.summaries import luminosity_of_all, notes
from anomalon.search.results import Blinding
from anomalon.store import Store
from tests.sources.nano_files import as_data, nano_branches, write_nano

Config = Callable[..., dict[str, Any]]
Read = Callable[..., Store]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 collisions in lumi blocks 0, 1 and 2; HLT_A fired in every other one."""
    return write_nano(tmp_path / "data.root", as_data(nano_branches(30)) | {"HLT_A": np.arange(30) % 2 == 0})


@pytest.fixture
def read(make_config: Config, data: Path, tmp_path: Path) -> Read:
    """The store of a sample of collision data, read with the given keys."""

    def make(*files: Path, **keys: Any) -> Store:
        config = make_config()
        sample = {"name": "collisions", "role": "data", "files": [str(file) for file in files or [data]], **keys}
        search = SearchConfig.parse(config | {"samples": [*config["samples"], sample]})
        return obtain(search.samples[-1], search, StageCache(tmp_path / "cache"), Silent())

    return make


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    file = tmp_path / "mask.json"
    file.write_text(json.dumps({"1": [[0, 0]]}))
    return file


def reasons(store: Store) -> dict[str, int]:
    assert store.ledger is not None
    return store.ledger.check().skipped_by_reason


def test_a_search_leaves_out_what_mask_and_triggers_do_and_says_so(read: Read, mask: Path) -> None:
    store = read(luminosity_mask=str(mask), triggers=["HLT_A"])
    assert store.load(["met.pt"]).array.event.tolist() == [0, 2, 4, 6, 8]
    assert reasons(store) == {"not in the luminosity mask": 20, "no trigger of the list fired": 5}


def test_triggers_are_a_list_or_lists_per_year_or_a_file_of_them(read: Read, tmp_path: Path) -> None:
    (tmp_path / "triggers.yaml").write_text("2017: [HLT_B]\n2018: [HLT_A]\n")
    for triggers in ({2017: ["HLT_B"], 2018: ["HLT_A"]}, str(tmp_path / "triggers.yaml")):
        assert read(triggers=triggers, year=2018).n_events == 15
    assert read(triggers=["HLT_A"]).n_events == 15


def test_a_stage_is_made_again_when_a_choice_or_a_file_that_it_names_changes(read: Read, mask: Path) -> None:
    paths = {read().path, read(triggers=["HLT_A"]).path, read(luminosity_mask=str(mask)).path}
    assert len(paths) == 3
    assert read(luminosity_mask=str(mask)).path in paths
    mask.write_text(json.dumps({"1": [[0, 1]]}))
    changed = read(luminosity_mask=str(mask))
    assert changed.path not in paths
    assert changed.n_events == 20


def test_a_changed_input_is_refused_before_it_is_read(read: Read, data: Path, tmp_path: Path) -> None:
    listed = tmp_path / "SHA256SUMS"
    listed.write_text(f"{hashlib.sha256(data.read_bytes()).hexdigest()}  data.root\n")
    assert read(checksums=str(listed)).n_events == 30
    listed.write_text(f"{'0' * 64}  data.root\n")
    with pytest.raises(InputFileError, match=r"data.root: changed"):
        read(checksums=str(listed))


def test_a_damaged_file_is_refused_or_lowers_the_luminosity_and_is_told(
    read: Read, data: Path, tmp_path: Path, make_config: Config
) -> None:
    cut = tmp_path / "cut.root"
    cut.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(InputFileError, match=r"cut.root"):
        read(data, cut)
    store = read(data, cut, skip_bad=True)
    sample = store.samples[0]
    assert (sample.luminosity_fb, luminosity_of_all(sample)) == (70.0, 140.0)
    lines = notes(SearchConfig.parse(make_config()), store.samples, Blinding(applies=False))
    assert any("70 of 140 fb^-1 could be read" in line for line in lines)


def test_bad_lines_of_text_are_counted_and_lower_the_luminosity(read: Read, tmp_path: Path) -> None:
    table, mapping = tmp_path / "events.csv", tmp_path / "events.yaml"
    table.write_text("event,x1,y1,z1\n" + "".join(f"{i},{pt},1,1\n" for i, pt in enumerate((30, "text", 40, 50))))
    columns = "pt: 'x#', eta: 'y#', phi: 'z#'"
    objects = "".join(
        f"{name}: {{slots: 1, columns: {{{columns}}}, constants: {{charge: 1}}}}\n" for name in ("electrons", "muons")
    )
    jets = f"jets: {{slots: 1, columns: {{{columns}, btag_score: 'y#'}}, btag_above: 2}}\n"
    mapping.write_text(f"is_data: true\nevent: event\n{objects}{jets}met: {{columns: {{pt: x1, phi: z1}}}}\n")
    with pytest.raises(InputFileError, match="line 3"):
        read(table, mapping=str(mapping))
    store = read(table, mapping=str(mapping), lenient=True)
    assert store.n_events == 3
    assert sum(reasons(store).values()) == 1
    assert store.samples[0].luminosity_fb == pytest.approx(140 * 3 / 4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"triggers": []}, "triggers: an empty list"),
        ({"triggers": {2018: ["A"]}, "year": 2017}, "no list for year 2017; given: 2018"),
        ({"year": 2018}, "year chooses among the lists of triggers"),
        ({"trigers": ["A"]}, "unknown key .*trigers'; did you mean 'triggers'"),
        ({"keep_duplicates": True}, "keep_duplicates means nothing for collision data"),
    ],
)
def test_choices_that_cannot_be_meant_are_refused(read: Read, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**keys)


def test_choices_of_reading_are_refused_where_nothing_is_read(make_config: Config, tmp_path: Path) -> None:
    config = make_config()
    config["samples"][0] |= {"skip_bad": True}
    search = SearchConfig.parse(config)
    with pytest.raises(ConfigError, match="skip_bad means nothing for a store"):
        obtain(search.samples[0], search, StageCache(tmp_path / "cache"), Silent())
    with pytest.raises(ConfigError, match="lenient means nothing with simulate"):
        SearchConfig.parse({"samples": [{"name": "wz", "role": "background", "simulate": "wz", "lenient": True}]})
