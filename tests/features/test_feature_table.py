"""Tables of features: columns with ids, through a ledger that balances."""

from __future__ import annotations

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.features.feature_table import FeatureMapping, read_feature_table

TABLE = {
    "event": np.array([1, 2, 3, 2]),
    "w": np.array([1.0, -0.5, 2.0, 1.0]),
    "Lepton1_eta": np.array([0.5, -1.25, np.nan, 0.0]),
    "FatJet1_tau2": np.array([0.25, -999.0, 0.125, 0.0]),
    "ScalarHT": np.array([500.0, 750.0, 1e39, 600.0]),
}
MAPPING = FeatureMapping(event="event", weight="w", missing=-999.0)


def write(folder, kind):
    path = folder / f"a.{kind}"
    if kind == "csv":
        rows = [
            ",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in zip(*TABLE.values(), strict=True)
        ]
        path.write_text("\n".join([",".join(TABLE), *rows]) + "\n")
    elif kind == "parquet":
        pq.write_table(pa.table({**TABLE, "name": ["a", "b", "c", "d"]}), path)
    else:
        with h5py.File(path, "w") as file:
            for name, values in TABLE.items():
                file[name] = values
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "h5"])
def test_columns_become_features_with_ids_and_a_ledger(tmp_path, kind):
    features, ids, ledger = read_feature_table(write(tmp_path, kind), MAPPING)
    assert sorted(features.names) == ["FatJet1_tau2", "Lepton1_eta", "ScalarHT"]
    assert features.column("Lepton1_eta").tolist()[:2] == [0.5, -1.25]
    assert features.mask[:, features.index("Lepton1_eta")].tolist() == [True, True, False]
    assert features.mask[:, features.index("FatJet1_tau2")].tolist() == [True, False, True]
    assert features.not_finite() == {"ScalarHT": 1}
    assert (ids.event.tolist(), ids.weight.tolist(), ids.run.tolist()) == ([1, 2, 3], [1, -0.5, 2], [1, 1, 1])
    (entry,) = ledger.check()
    assert (entry.read, entry.written, entry.duplicated, len(entry.sha256)) == (4, 3, 1, 64)


def test_features_keep_the_order_asked_for(tmp_path):
    mapping = MAPPING.model_copy(update={"features": ("ScalarHT", "Lepton1_eta")})
    features, _, _ = read_feature_table(write(tmp_path, "csv"), mapping)
    assert features.names == ("ScalarHT", "Lepton1_eta")


def test_a_column_that_is_not_there_is_named_with_near_ones(tmp_path):
    with pytest.raises(MissingFieldError, match=r"no column 'ScalarHt'; did you mean 'ScalarHT'"):
        read_feature_table(write(tmp_path, "csv"), FeatureMapping(features=("ScalarHt",)))


def test_damaged_lines_are_named_or_counted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,oops\n5\n7,8\n")
    with pytest.raises(InputFileError, match=r"a\.csv, line (3: text in a number: y = 'oops'|4: missing field)"):
        read_feature_table(path)
    features, ids, ledger = read_feature_table(path, FeatureMapping(lenient=True))
    assert features.values.tolist() == [[1, 2], [7, 8]]
    assert len(ids) == 2
    assert ledger.totals.read == 4
    assert ledger.skipped_by_reason == {"text in a number": 1, "missing field": 1}


def test_every_event_needs_a_weight_that_is_a_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,w\n1,2\n3,\n")
    with pytest.raises(InputFileError, match=r"weight = nan in row 2"):
        read_feature_table(path, FeatureMapping(weight="w"))


def test_a_damaged_parquet_file_is_named(tmp_path):
    path = write(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputFileError, match=r"a\.parquet: damaged"):
        read_feature_table(path)
