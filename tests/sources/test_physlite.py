"""DAOD_PHYSLITE: the real file against plain uproot, what is rebuilt, what is refused."""

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
from anomalon.sources.physlite import COLUMNS


@pytest.fixture(scope="module")
def path(shared: Path) -> Path:
    return shared / "data" / "atlas" / "PHYSLITE_example.root"


@pytest.fixture(scope="module")
def source(path: Path) -> Source:
    return open_source(path)


@pytest.fixture(scope="module")
def tree(path: Path) -> Any:
    return uproot.open(path)["CollectionTree"]


@pytest.fixture(scope="module")
def events(source: Source) -> Events:
    return Events.concatenate(source.iterate())


def test_the_real_file_reads_as_simulation(source: Source, events: Events) -> None:
    assert (source.format, source.n_events, len(events)) == ("atlas-physlite", 100, 100)
    assert not events.is_data().any()
    (sample,) = events.samples
    assert (sample.process, sample.provenance["dataset_numbers"]) == ("unknown", [700322])
    assert sample.sum_gen_weights == pytest.approx(float(np.sum(events.array.gen_weight)))


@pytest.mark.parametrize(
    ("name", "prefix"), [("electrons", "Electrons"), ("muons", "Muons"), ("photons", "Photons"), ("jets", "Jets")]
)
def test_momenta_are_those_of_the_file_in_gev(events: Events, tree: Any, name: str, prefix: str) -> None:
    expected = ak.sort(tree[f"Analysis{prefix}AuxDyn.pt"].array(), ascending=False) / 1000
    assert ak.to_list(ak.num(events.array[name])) == ak.to_list(ak.num(expected))
    assert np.allclose(ak.flatten(events.array[name].pt), ak.flatten(expected), rtol=1e-6)


def test_weights_are_the_nominal_one_times_pile_up(events: Events, tree: Any) -> None:
    nominal = ak.to_numpy(tree["EventInfoAuxDyn.mcEventWeights"].array()[:, 0]).astype(np.float64)
    pile_up = tree["EventInfoAuxDyn.PileupWeight_NOSYS"].array(library="np")
    assert np.allclose(events.weights(None), nominal * pile_up)


def test_electron_pairs_make_a_z(events: Events) -> None:
    pairs = events.array.electrons[(events.array.electrons.pt > 20) & (events.array.electrons.id >= 3)]
    pairs = pairs[ak.num(pairs) == 2]
    mass = (pairs[:, 0] + pairs[:, 1]).mass
    assert len(mass) > 30
    assert np.median(mass) == pytest.approx(91, abs=3)


def test_identification_counts_down_from_tight(events: Events, tree: Any) -> None:
    tight = tree["AnalysisElectronsAuxDyn.DFCommonElectronsLHTight"].array()
    assert ak.sum(events.array.electrons.id == 4) == ak.sum(tight != 0)
    assert set(ak.to_list(ak.flatten(events.array.muons.id))) <= {1.0, 2.0, 3.0, 4.0}


def test_light_jets_are_rarely_tagged(events: Events) -> None:
    hard = events.array.jets[events.array.jets.pt > 20]
    assert 0 < ak.mean(hard.btag) < 0.03  # Z -> ee + light jets: about 0.5 % at this working point


def test_missing_momentum_balances_a_z_better_than_soft_tracks_and_leptons_alone(events: Events) -> None:
    electrons = events.array.electrons[(events.array.electrons.pt > 20) & (events.array.electrons.id >= 3)]
    with_pair = ak.num(electrons) == 2
    pair = ak.sum(electrons.pt * np.exp(1j * electrons.phi), axis=1)[with_pair]
    hard = np.abs(pair) > 60
    assert ak.sum(hard) > 10
    assert np.median(events.array.met.pt[with_pair][hard]) < 0.6 * np.median(np.abs(pair)[hard])


def test_only_the_branches_needed_are_read(source: Source) -> None:
    events = next(source.iterate(["muons.charge"]))
    assert events.array.muons.fields == ["pt", "charge"]
    assert set(events.fields) == {"run", "lumi", "event", "dataset", "gen_weight", "factors", "muons"}


def test_what_the_file_lacks_is_named(source: Source) -> None:
    with pytest.raises(MissingFieldError, match=r"no field 'electrons.d0_significance' in DAOD_PHYSLITE"):
        source.iterate(["electrons.d0_significance"])


def test_a_tree_of_another_kind_is_refused_by_branch(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("CollectionTree", {"x": np.float32}).extend({"x": np.ones(3, np.float32)})
    with pytest.raises(InputFileError, match=r"missing branch: event needs EventInfoAuxDyn.eventNumber"):
        open_source(tmp_path / "other.root").iterate()


def test_tags_that_do_not_match_the_jets_are_an_error() -> None:
    (column,) = [column for column in COLUMNS.candidates if column.field == "jets.btag"]
    jets, tags = ak.Array([[1.0, 2.0]]), ak.Array([[0.5]])
    with pytest.raises(ValueError, match="another number of b-tags than of jets"):
        column.compute(tags, tags, tags, jets)
