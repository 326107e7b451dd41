"""Delphes output: the real file against plain uproot, cards with other names, refusals. Event displays beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import Events
from anomalon.sources import Source, open_source
from anomalon.sources.delphes import COLUMNS

DISPLAYS = ["DoubleMuParked_Run2012C_0.ig", "EventData.ig", "Hto4l_120-130GeV.ig"]


@pytest.fixture(scope="module")
def path(shared: Path) -> Path:
    return shared / "data" / "delphes" / "delphes.root"


@pytest.fixture(scope="module")
def source(path: Path) -> Source:
    return open_source(path)


@pytest.fixture(scope="module")
def tree(path: Path) -> Any:
    return uproot.open(path)["Delphes"]


def test_the_real_file_reads(source: Source) -> None:
    events = Events.concatenate(source.iterate())
    assert (source.format, source.n_events, len(events)) == ("delphes", 25, 25)
    assert events.array.event.to_list() == list(range(25))
    (sample,) = events.samples
    # the generator wrote a negative cross section: it is not known
    assert (sample.process, sample.cross_section_pb) == ("unknown", None)
    assert sample.sum_gen_weights == pytest.approx(25 * 1530891.0)
    assert events.weights(None) == pytest.approx(1530891.0)


@pytest.mark.parametrize(
    ("name", "prefix"), [("electrons", "Electron"), ("muons", "Muon"), ("photons", "Photon"), ("jets", "Jet")]
)
def test_momenta_are_those_of_the_file(source: Source, tree: Any, name: str, prefix: str) -> None:
    array = next(source.iterate([name])).array
    expected = ak.sort(tree[f"{prefix}.PT"].array(), ascending=False)
    assert ak.to_list(array[name].pt) == ak.to_list(expected)


def test_tags_are_the_first_bit(source: Source, tree: Any) -> None:
    jets = next(source.iterate(["jets"])).array.jets
    assert ak.sum(jets.btag) == ak.sum((tree["Jet.BTag"].array() & 1) == 1) > 0
    assert ak.sum(jets.tau_tag) == ak.sum((tree["Jet.TauTag"].array() & 1) == 1)
    assert np.allclose(next(source.iterate(["met"])).array.met.pt, ak.flatten(tree["MissingET.MET"].array()))


def test_only_the_leaves_that_a_column_needs_are_listed(source: Source) -> None:
    assert source.info().details["branches"] < 200
    assert source.info().details["muons"] == "Muon"


def test_cards_with_other_names_are_mapped() -> None:
    have = COLUMNS.available(["Muon.PT", "MuonTight.PT", "JetPUPPI.PT", "PuppiMissingET.MET"])
    assert have["muons.pt"].branches == ("MuonTight.PT",)
    assert have["jets.pt"].branches == ("JetPUPPI.PT",)
    assert have["met.pt"].branches == ("PuppiMissingET.MET",)


def test_a_field_that_delphes_lacks_is_named(source: Source) -> None:
    with pytest.raises(MissingFieldError, match=r"no field 'electrons.id' in Delphes output"):
        source.iterate(["electrons.id"])


def test_a_tree_without_events_branches_is_refused(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("Delphes", {"x": np.float32}).extend({"x": np.ones(3, np.float32)})
    with pytest.raises(InputFileError, match=r"missing branch: event needs Event.Number"):
        open_source(tmp_path / "other.root").iterate()


@pytest.mark.parametrize("name", DISPLAYS)
def test_event_displays_are_refused_by_name(shared: Path, name: str) -> None:
    with pytest.raises(InputFileError, match=f"{name}: iSpy event display, not read"):
        open_source(shared / "data" / "display" / name)


def test_every_file_of_the_folders_is_in_a_table(shared: Path) -> None:
    assert {path.name for path in (shared / "data" / "display").iterdir()} == set(DISPLAYS)
    assert {path.name for path in (shared / "data" / "delphes").iterdir()} == {"delphes.root"}


def test_an_event_without_its_missing_momentum_is_an_error_and_not_zero() -> None:
    column = next(column for column in COLUMNS.candidates if column.field == "met.pt")
    with pytest.raises(ValueError, match="an event without its one entry"):
        column.compute(ak.Array([[5.0], []]))
