"""Top pairs in events, the slow and obvious way: loops over dictionaries."""

from __future__ import annotations

from typing import Any

from tests.selection.trilepton_loop import M_E, M_MU, dr

Row = dict[str, Any]


def good_leptons(row: Row) -> list[Row]:
    """Leptons above 20 GeV within 2.4, by decreasing pT; of equal pT an electron first."""
    masses = {"electrons": M_E, "muons": M_MU}
    found = [{**x, "flavour": flavour[0], "m": m} for flavour, m in masses.items() for x in row[flavour]]
    good = [x for x in found if x["pt"] > 20 and abs(x["eta"]) < 2.4]
    return sorted(good, key=lambda x: -x["pt"])


def jets(row: Row, leptons: list[Row]) -> tuple[list[Row], list[Row]]:
    """B-jets and other jets that are no lepton, by decreasing pT."""
    free = sorted(
        ({**j, "m": j["mass"]} for j in row["jets"] if all(dr(j, x) > 0.4 for x in leptons)), key=lambda j: -j["pt"]
    )
    tagged = [j for j in free if j["btag"] and j["pt"] > 20 and abs(j["eta"]) < 3]
    return tagged, [j for j in free if j not in tagged and j["pt"] > 20 and abs(j["eta"]) < 4.7]


def passes(row: Row) -> bool:
    leptons = good_leptons(row)
    if len(leptons) != 2 or leptons[0]["charge"] * leptons[1]["charge"] > 0:
        return False
    return len(jets(row, leptons)[0]) >= 2
