"""Any-of trigger lists: one path is enough, a missing path is told, a file without any is refused."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import ConfigError, InvalidEventsError, MissingFieldError
from anomalon.events import Events, Sample
from anomalon.selection.triggers import TriggerList

A, B, C = "HLT_IsoMu24", "HLT_Ele32", "HLT_TripleMu"


def events(runs: list[int], **fired: list[bool]) -> Events:
    plain = Events.from_dicts([{"run": run} for run in runs], [Sample(name="d", process="d", origin="data")])
    columns = {name: np.asarray(values, dtype=bool) for name, values in fired.items()}
    return Events(ak.with_field(plain.array, ak.zip(columns), "triggers"), plain.samples)


def triggers(paths: dict[int, list[str]], **options: int) -> TriggerList:
    return TriggerList.parse({"paths": paths, **options})


def test_one_path_that_fired_is_enough():
    table = events([1, 1, 1, 1], **{A: [0, 1, 0, 1], B: [0, 0, 1, 1], C: [1, 1, 1, 1]})
    assert triggers({2018: [A, B]}).keep(table).tolist() == [False, True, True, True]


def test_every_year_has_its_own_list():
    table = events([280000, 300000, 320000], **{A: [1, 1, 0], B: [1, 0, 1]})
    assert triggers({2016: [A], 2017: [B], 2018: [B]}).keep(table).tolist() == [True, False, True]


def test_simulation_takes_the_year_that_is_set():
    table = events([1], **{A: [0], B: [1]})
    assert triggers({2016: [A], 2017: [B]}, year=2017).keep(table).tolist() == [True]
    with pytest.raises(InvalidEventsError, match=r"run 1 is of no year with a trigger list \(2016, 2017\)"):
        triggers({2016: [A], 2017: [B]}).keep(table)


def test_a_missing_path_is_reported_and_the_others_decide():
    chosen = triggers({2018: [A, C]})
    fields, notes = chosen.readable(lambda name: name != f"triggers.{C}", "nano.root")
    assert fields == {f"triggers.{A}"}
    assert notes["triggers_missing"] == {"2018": [C]}
    assert chosen.keep(events([1, 1], **{A: [0, 1]})).tolist() == [False, True]


def test_a_file_with_none_of_the_paths_is_refused():
    with pytest.raises(MissingFieldError, match=r"nano\.root: none of the trigger paths HLT_IsoMu24, HLT_Ele32"):
        triggers({2018: [A, B]}).readable(lambda _: False, "nano.root")


def test_events_of_a_year_without_any_of_its_paths_never_count_as_not_fired():
    table = events([280000, 320000], **{A: [1, 1]})
    with pytest.raises(MissingFieldError, match="events of 2018 have none of that year's trigger paths: HLT_Ele32"):
        triggers({2016: [A], 2018: [B]}).keep(table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"paths": {}}, "give at least one"),
        ({"paths": {2018: []}}, "the list of 2018 is empty"),
        ({"paths": {2018: [A]}, "year": 2017}, "no list for year 2017; given: 2018"),
    ],
)
def test_an_impossible_list_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TriggerList.parse(values)
