"""Laws of reading baskets: what uproot reads, and lists that are only shared where they are the same."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from anomalon.errors import InputFileError
from anomalon.sources import open_source
from anomalon.sources.baskets import read_baskets
from anomalon.sources.root import open_tables, read_flat
from tests.sources.nano_files import nano_branches, write_nano

JETS = ("Jet_pt", "Jet_eta", "Jet_btagDeepFlavB")


@pytest.fixture(name="path")
def a_file_of_several_clusters(tmp_path):
    return write_nano(tmp_path / "nano.root", nano_branches(100), step=30)


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 30), (10, 75), (59, 61), (90, 100), (40, 40)])
def test_flat_values_and_lists_are_those_that_uproot_reads(path, start, stop):
    read = read_flat(open_tables(path)["Events"], [*JETS, "MET_pt", "event"], start, stop)
    expected = uproot.open(path)["Events"].arrays(list(read), entry_start=start, entry_stop=stop, library="ak")
    for name, flat in read.items():
        assert flat.n_events == stop - start
        values = flat.values if flat.offsets is None else np.split(flat.values, flat.offsets[1:-1])[: stop - start]
        assert [np.asarray(v).tolist() for v in values] == expected[name].to_list()
        assert flat.values.dtype.isnative


def test_branches_with_one_counter_share_their_offsets(tmp_path):
    branches = nano_branches(100)
    jets, muons = (ak.zip({c: branches[f"{name}_{c}"] for c in ("pt", "eta")}) for name in ("Jet", "Muon"))
    path = write_nano(tmp_path / "counted.root", {"Jet": jets, "Muon": muons}, step=30)
    read = read_flat(open_tables(path)["Events"], ["Jet_pt", "Jet_eta", "Muon_pt"], 10, 75)
    assert read["Jet_eta"].offsets is read["Jet_pt"].offsets
    assert read["Muon_pt"].offsets is not read["Jet_pt"].offsets


def test_offsets_of_other_lists_are_never_taken_over(path):
    branch = open_tables(path)["Events"]["Jet_eta"]
    own = read_baskets(branch, 10, 75).offsets
    for entry in (1, 40, len(own) - 1):
        other = own.copy()
        other[entry:] += 1
        got = read_baskets(branch, 10, 75, like=other).offsets
        assert got is not other
        np.testing.assert_array_equal(got, own)
    np.testing.assert_array_equal(read_baskets(branch, 10, 75, like=own[:-1]).offsets, own)


def test_branches_of_one_collection_with_different_lists_are_refused(tmp_path):
    branches = nano_branches(50)
    branches["Jet_eta"] = branches["Jet_eta"][::-1]
    path = write_nano(tmp_path / "mixed.root", branches)
    with pytest.raises(InputFileError, match=r"damaged: Jet_\w+ and Jet_pt have lists of different lengths"):
        list(open_source(path).iterate(["jets"]))
