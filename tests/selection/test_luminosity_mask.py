"""The luminosity mask against a loop over its ranges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import InputFileError
from anomalon.events import Events, Sample
from anomalon.selection.luminosity_mask import LuminosityMask

RANGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda t: [t[0], t[0] + t[1]]), max_size=5)


@given(st.dictionaries(st.integers(1, 4).map(str), RANGES, min_size=1), st.data())
def test_a_lumi_block_is_good_when_a_range_of_its_run_holds_it(values, data):
    mask = LuminosityMask.parse(values)
    run = np.array([r for r in range(6) for _ in range(21)])
    lumi = np.array([b for _ in range(6) for b in range(21)])
    expected = [
        any(a <= b <= z for a, z in values.get(str(r), [])) for r, b in zip(run.tolist(), lumi.tolist(), strict=True)
    ]
    assert mask.contains(run, lumi).tolist() == expected
    assert (mask.first[1:] > mask.last[:-1] + 1).all()


def test_simulation_has_no_bad_lumi_blocks():
    rows = [{"run": 5, "lumi": lumi, "dataset": dataset} for dataset in ("mc", "data") for lumi in (1, 9)]
    samples = [Sample(name="mc", process="mc"), Sample(name="data", process="data", origin="data")]
    mask = LuminosityMask.parse({"5": [[1, 3]]})
    assert mask.keep(Events.from_dicts(rows, samples)).tolist() == [True, True, True, False]


def test_the_largest_numbers_in_use_fit():
    mask = LuminosityMask.parse({"2147483647": [[0, 4294967295]]})
    assert mask.contains(np.array([2147483647, 2147483646]), np.array([4294967295, 5])).tolist() == [True, False]


BAD = {
    "no json": ("{", "not a luminosity mask in JSON"),
    "a list": ("[1]", "expected"),
    "empty": ("{}", "expected"),
    "a run that is no number": ('{"x": [[1, 2]]}', "run 'x': expected a number"),
    "a negative run": ('{"-1": [[1, 2]]}', "run '-1'"),
    "a range in reverse": ('{"1": [[3, 2]]}', r"run 1: \[3, 2\], expected \[first, last\]"),
    "a range of three": ('{"1": [[1, 2, 3]]}', r"expected \[first, last\]"),
    "truth for a number": ('{"1": [[true, 3]]}', r"expected \[first, last\]"),
    "a bare range": ('{"1": [1, 2]}', "run 1: 1, expected"),
    "a run twice": ('{"1": [[1, 2]], "1": [[4, 5]]}', "run '1' is given twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_mask_is_refused_by_file_and_run(case, tmp_path):
    text, message = BAD[case]
    (tmp_path / "mask.json").write_text(text)
    with pytest.raises(InputFileError, match=message) as error:
        LuminosityMask.load(tmp_path / "mask.json")
    assert "mask.json" in str(error.value)


def test_a_missing_mask_is_named(tmp_path: Path):
    with pytest.raises(InputFileError, match="no such file"):
        LuminosityMask.load(tmp_path / "none.json")


def test_a_mask_read_from_a_file_is_that_of_its_values(tmp_path):
    values = {"10": [[1, 2], [2, 5], [6, 7]], "9": [[1, 1]]}
    (tmp_path / "mask.json").write_text(json.dumps(values))
    mask = LuminosityMask.load(tmp_path / "mask.json")
    assert mask.runs == (9, 10)
    assert len(mask.first) == 2
