"""Pictures in (eta, phi): nothing is lost inside, phi goes round, a turned event is the same event."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anomalon import features
from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.features import EtaPhiImages
from tests.random_events import random_rows

Row = dict[str, Any]
KINDS = {"jet": "jets", "bjet": "jets", "electron": "electrons", "muon": "muons", "photon": "photons"}


def pictures(rows: list[Row], **options: Any) -> np.ndarray:
    chosen = EtaPhiImages(**options)
    return chosen.pictures(chosen.transform(Events.from_dicts(rows)).values)


def slow(row: Row, images: EtaPhiImages) -> np.ndarray:
    """One event, object by object, not turned."""
    cells = np.zeros(images.shape)
    for number, channel in enumerate(images.channels):
        if channel == "met":
            column = round((row["met"]["phi"] % math.tau) / math.tau * images.phi_cells) % images.phi_cells
            cells[number, :, column] += row["met"]["pt"] / images.eta_cells
            continue
        for one in row.get(KINDS[channel], []):
            wanted = KINDS[channel] != "jets" or one["btag"] == (channel == "bjet")
            if wanted and abs(one["eta"]) < images.eta_max and one["pt"] > images.pt_min:
                line = int((one["eta"] + images.eta_max) / (2 * images.eta_max) * images.eta_cells)
                column = round((one["phi"] % math.tau) / math.tau * images.phi_cells) % images.phi_cells
                cells[number, line, column] += one["pt"]
    return cells


def turned(rows: list[Row], angle: float) -> list[Row]:
    def turn(one: Row) -> Row:
        return {**one, "phi": math.remainder(one["phi"] + angle, math.tau)}

    return [{k: turn(v) if k == "met" else [turn(o) for o in v] for k, v in row.items()} for row in rows]


def test_cells_are_those_of_a_slow_loop() -> None:
    images = EtaPhiImages(eta_max=2.0, eta_cells=7, phi_cells=9, pt_min=15.0, rotate="none")
    rows = random_rows(60, 3)
    found = images.pictures(images.transform(Events.from_dicts(rows)).values)
    np.testing.assert_allclose(found, [slow(row, images) for row in rows], rtol=1e-5)


def test_no_momentum_within_the_picture_is_lost() -> None:
    rows = random_rows(50, 1)
    sums = pictures(rows, eta_max=10.0).sum(axis=(2, 3))
    wanted = [[sum(j["pt"] for j in row["jets"] if j["btag"] is tag) for tag in (False, True)] for row in rows]
    np.testing.assert_allclose(sums[:, :2], wanted, rtol=1e-5)
    np.testing.assert_allclose(sums[:, -1], [row["met"]["pt"] for row in rows], rtol=1e-5)


def test_turning_events_by_cells_rolls_the_pictures() -> None:
    rows = random_rows(40, 2)
    before, after = (pictures(r, phi_cells=16, rotate="none") for r in (rows, turned(rows, 3 * math.tau / 16)))
    # single precision may push what lies on an edge over it
    assert np.isclose(after, np.roll(before, 3, axis=3), rtol=1e-4).mean() > 0.999


def test_a_turned_event_gives_the_same_picture() -> None:
    rows = random_rows(40, 5)
    before, after = pictures(rows), pictures(turned(rows, 1.234))
    assert np.isclose(after, before, rtol=1e-4).mean() > 0.999


def test_the_hardest_object_is_in_the_first_column() -> None:
    for picture, row in zip(pictures(random_rows(30, 6), eta_max=9.0), random_rows(30, 6), strict=True):
        hardest = max((o["pt"] for name in set(KINDS.values()) for o in row.get(name, [])), default=0.0)
        assert picture[:-1, :, 0].sum() >= hardest * (1 - 1e-6)


def test_phi_has_no_end() -> None:
    rows = [{"muons": [{"pt": 30.0, "eta": 0.1, "phi": phi}]} for phi in (-0.01, 0.01)]
    images = pictures(rows, channels=("muon",), rotate="none")
    assert (images[0] == images[1]).all()
    assert images[0, 0, :, 0].sum() == 30


def test_without_b_jets_every_jet_is_a_jet() -> None:
    row = {"jets": [{"pt": 50.0, "eta": 0.0, "phi": 0.0, "mass": 5.0, "btag": tag} for tag in (True, False)]}
    assert pictures([row], channels=("jet",)).sum() == 100
    assert EtaPhiImages(channels=("jet",)).requires == {"jets.pt", "jets.eta", "jets.phi"}


def test_events_without_objects_are_empty_pictures() -> None:
    assert pictures([{}, {}], channels=("jet", "muon")).sum() == 0
    assert pictures([]).shape == (0, 6, 12, 16)


@pytest.mark.parametrize("what", ["pt", "eta", "phi"])
def test_what_is_not_a_number_is_told(what: str) -> None:
    rows = [{"muons": [{"pt": 30.0, "eta": 0.1, "phi": 0.3, what: math.nan}]}, {}]
    found = EtaPhiImages().transform(Events.from_dicts(rows))
    assert found.usable().tolist() == [False, True]


def test_many_events_are_those_of_few() -> None:
    rows = random_rows(30, 8)
    events, images = Events.from_dicts(rows * 300), EtaPhiImages()
    values = images.transform(events).values
    np.testing.assert_array_equal(values, np.tile(images.transform(Events.from_dicts(rows)).values, (300, 1)))


def test_the_set_is_registered_and_follows_its_contract() -> None:
    images = features.get("eta-phi-images", channels=["jet", "met"], eta_cells=2, phi_cells=3)
    assert images.names[:3] == ("jet_0_0_pt", "jet_0_1_pt", "jet_0_2_pt")
    assert len(images.names) == len({*images.names}) == 12
    assert "met.phi" in images.requires


def test_mistakes_are_told_in_one_line() -> None:
    with pytest.raises(ConfigError, match="channels"):
        features.get("eta-phi-images", channels=["tau"])
    with pytest.raises(ConfigError, match="eta_cells"):
        features.get("eta-phi-images", eta_cells=0)
    events = Events.from_dicts([{}])
    bare = Events(events.array[[f for f in events.fields if f != "jets"]], events.samples)
    with pytest.raises(MissingFieldError, match="feature set 'eta-phi-images'"):
        EtaPhiImages().transform(bare)
