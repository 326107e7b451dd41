"""Features of leptons and jets of any number, beside a loop over events."""

from __future__ import annotations

import numpy as np
import pytest
import vector

from anomalon.events import Events
from anomalon.features import get
from anomalon.features.labels import KNOWN, label
from tests.random_events import Row, random_rows


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return random_rows(200, 5, leptons=1.5, jets=1.5)


def columns(rows: list[Row]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    features = get("objects").transform(Events.from_dicts(rows))
    return (
        {name: features.values[:, k] for k, name in enumerate(features.names)},
        {name: features.mask[:, k] for k, name in enumerate(features.names)},
    )


def momentum(thing: Row) -> vector.MomentumObject4D:
    return vector.obj(pt=thing["pt"], eta=thing["eta"], phi=thing["phi"], mass=thing["mass"])


def test_sums_and_masses_are_those_of_a_loop_over_events(rows: list[Row]) -> None:
    values, present = columns(rows)
    for k, row in enumerate(rows):
        leptons = [x | {"mass": 0.000510999} for x in row["electrons"]] + [
            x | {"mass": 0.1056584} for x in row["muons"]
        ]
        leptons = sorted((x for x in leptons if abs(x["eta"]) < 2.7), key=lambda x: -x["pt"])
        jets = sorted((x for x in row["jets"] if x["pt"] > 20 and abs(x["eta"]) < 2.8), key=lambda x: -x["pt"])
        ht, lt = sum(x["pt"] for x in jets), sum(x["pt"] for x in leptons)
        assert values["HT"][k] == pytest.approx(ht, rel=1e-5)
        assert values["ST"][k] == pytest.approx(ht + lt + row["met"]["pt"], rel=1e-5)
        assert values["nBJet"][k] == sum(x["btag"] for x in jets)
        assert present["m_ll"][k] == (len(leptons) >= 2)
        assert present["m_jj"][k] == (len(jets) >= 2)
        if len(leptons) >= 2:
            assert values["m_ll"][k] == pytest.approx((momentum(leptons[0]) + momentum(leptons[1])).mass, rel=1e-4)
        if len(jets) >= 2:
            assert values["m_jj"][k] == pytest.approx((momentum(jets[0]) + momentum(jets[1])).mass, rel=1e-4)


def test_what_an_event_lacks_is_missing_and_nothing_else(rows: list[Row]) -> None:
    values, present = columns([{"met": {"pt": 30.0, "phi": 0.0}}, *rows])
    always = {"MET_pt", "HT", "LT", "ST", "nElectron", "nMuon", "nJet", "nBJet"}
    assert {name for name, mask in present.items() if mask[0]} == always
    for name in values:
        assert (np.isfinite(values[name]) == present[name]).all()


def test_the_jet_that_points_along_the_missing_momentum_is_found() -> None:
    jets = [{"pt": 90.0 - 10 * k, "eta": 0.0, "phi": phi} for k, phi in enumerate((2.0, -3.0, 0.4))]
    values, _ = columns([{"jets": jets, "met": {"pt": 50.0, "phi": 0.1}}])
    assert values["dphi_jet_MET"][0] == pytest.approx(0.3, abs=1e-5)


def test_every_column_has_a_label() -> None:
    for name in get("objects").names:
        assert name in KNOWN or label(name).words != name
