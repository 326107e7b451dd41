"""The particle cloud: every value against a loop, and what it does not depend on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anomalon import features
from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.features import ParticleCloud
from tests.random_events import random_rows
from tests.selection.trilepton_loop import dphi, dr

ROWS = random_rows(600, seed=31)
EVENTS = Events.from_dicts(ROWS)
CLOUD = ParticleCloud()
MASS = {"electrons": 0.000511, "muons": 0.10566, "jets": 0.0}


def expected(row: dict[str, Any]) -> dict[str, float]:
    """The features that exist, in a loop; a missing one has no key."""
    found = {"MET_pt": row["met"]["pt"]}
    leptons: list[dict[str, float]] = []
    for kind, name in (("e", "electrons"), ("mu", "muons"), ("photon", "photons"), ("bjet", "jets"), ("jet", "jets")):
        objects = [o for o in row.get(name, ()) if o["pt"] > CLOUD.pt_min[kind] and abs(o["eta"]) < 2.5]
        if name == "jets":
            objects = [o for o in objects if o["btag"] == (kind == "bjet")]
            objects = [o for o in objects if all(dr(o, lepton) > 0.4 for lepton in leptons)]
        objects.sort(key=lambda o: -o["pt"])
        leptons += objects if kind in ("e", "mu") else []
        found[f"n_{kind}"] = len(objects)
        for k, o in enumerate(objects[: CLOUD.slots[kind]]):
            energy = math.hypot(o["pt"] * math.cosh(o["eta"]), o.get("mass", 0.0))
            values = (o["pt"], o["eta"], dphi(o["phi"], row["met"]["phi"]), energy)
            found |= {
                f"{kind}{k + 1}_{what}": v for what, v in zip(("pt", "eta", "phi", "energy"), values, strict=True)
            }
    return found


def test_every_value_is_that_of_a_loop() -> None:
    made = CLOUD.transform(EVENTS)
    assert made.values.dtype == np.float32
    for row, values, mask in zip(ROWS, made.values, made.mask, strict=True):
        wanted = expected(row)
        assert {name for name, there in zip(made.names, mask, strict=True) if there} == wanted.keys()
        for name, value in zip(made.names, values, strict=True):
            assert math.isnan(value) if name not in wanted else value == pytest.approx(wanted[name], rel=1e-4, abs=1e-4)


def test_an_event_turned_around_the_beam_is_the_same() -> None:
    turned = [
        {
            name: [{**o, "phi": math.remainder(o["phi"] + 1.0, math.tau)} for o in value]
            if isinstance(value, list)
            else {**value, "phi": math.remainder(value["phi"] + 1.0, math.tau)}
            for name, value in row.items()
        }
        for row in ROWS
    ]
    first, second = CLOUD.transform(EVENTS), CLOUD.transform(Events.from_dicts(turned))
    angles = np.array(["phi" in name for name in first.names])
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_allclose(first.values[:, ~angles], second.values[:, ~angles], rtol=1e-5)
    difference = np.nan_to_num(first.values - second.values)[:, angles]
    np.testing.assert_allclose(np.cos(difference), 1, atol=1e-5)


def test_objects_beyond_the_last_slot_are_counted() -> None:
    muons = [{"pt": 20.0 + k, "eta": 0.1, "phi": 0.0} for k in range(5)]
    made = ParticleCloud(slots={"mu": 2}).transform(Events.from_dicts([{"muons": muons}]))
    assert made.column("n_mu").tolist() == [5]
    assert made.column("mu1_pt").tolist() == [24]
    assert "mu3_pt" not in made.names


def test_no_events_have_no_features() -> None:
    assert CLOUD.transform(EVENTS[:0]).values.shape == (0, len(CLOUD.names))


def test_only_what_has_slots_is_read() -> None:
    assert ParticleCloud(slots={"mu": 1}).requires == {"met.pt", "met.phi", "muons.pt", "muons.eta", "muons.phi"}
    with pytest.raises(MissingFieldError, match=r"'cloud' needs jets\.btag"):
        CLOUD.transform(Events(EVENTS.array[[n for n in EVENTS.fields if n != "jets"]], EVENTS.samples))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slots": {"muon": 2}}, "no kind of object 'muon'; did you mean 'mu'"),
        ({"slots": {"mu": -1}}, r"slots\.mu = -1: must not be negative"),
        ({"slots": {"mu": 0}}, "give a kind at least one slot"),
        ({"pt_min": {"tau": 3}}, "pt_min: no kind of object 'tau'"),
    ],
)
def test_impossible_clouds_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        features.get("cloud", **settings)
