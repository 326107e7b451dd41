"""The regions against a slow, obvious loop over events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomalon.errors import UnknownNameError
from anomalon.events import Events
from anomalon.simulation.regions import REGIONS, Region, get_region


def random_rows(n: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)

    def objects(most: int, scale: float) -> list[dict[str, Any]]:
        many = int(rng.integers(0, most + 1))
        return [
            {
                "pt": float(10 + rng.exponential(scale)),
                "eta": float(rng.uniform(-4, 4)),
                "phi": float(rng.uniform(-3, 3)),
            }
            for _ in range(many)
        ]

    return [
        {
            "electrons": objects(3, 30),
            "muons": objects(3, 30),
            "photons": objects(1, 30),
            "jets": [jet | {"btag": bool(rng.random() < 0.4)} for jet in objects(8, 300)],
            "met": {"pt": float(rng.exponential(150)), "phi": 0.0},
        }
        for _ in range(n)
    ]


def slow(region: Region, row: dict[str, Any]) -> bool:
    leptons = [x["pt"] for x in row["electrons"] + row["muons"] if abs(x["eta"]) < region.lepton_eta_max]
    jets = [x for x in row["jets"] if x["pt"] > region.jet_pt_min and abs(x["eta"]) < region.jet_eta_max]
    ht = sum(x["pt"] for x in jets)
    if region.ht_of_everything:
        ht += sum(x["pt"] for name in ("electrons", "muons", "photons") for x in row[name])
    enough = all(
        len(have) >= len(cuts) and all(pt > cut for pt, cut in zip(sorted(have, reverse=True), cuts, strict=False))
        for have, cuts in ((leptons, region.lepton_pt), ([x["pt"] for x in jets], region.jet_pt))
    )
    met = row["met"]["pt"]
    heavy = sum(x["btag"] for x in jets) >= region.n_bjets
    return enough and heavy and met >= region.met_min and ht >= region.ht_min and met >= region.met_over_ht_min * ht


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_is_what_a_loop_over_events_finds(name: str) -> None:
    rows = random_rows(600, seed=3)
    found = REGIONS[name].passes(Events.from_dicts(rows).array)
    assert found.tolist() == [slow(REGIONS[name], row) for row in rows]
    assert 0 < found.sum() < len(rows)


def test_a_region_says_its_cuts() -> None:
    words = get_region("dark-machines-1").words
    assert words == "4 jets above 200, 50, 50, 50 GeV, HT > 600 GeV, MET > 200 GeV, MET/HT > 0.2"
    assert "HT of jets, leptons and photons > 500 GeV" in get_region("dilepton-bjet").words


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'trilepton'"):
        get_region("trileptons")
