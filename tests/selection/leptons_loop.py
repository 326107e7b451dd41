"""The lepton selection and its features as a slow, obvious loop over one event at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

from tests.selection.trilepton_loop import M_E, M_MU, M_Z, dr, mass


def good_leptons(row: dict[str, Any], pt_min: float = 10, eta_max: float = 2.5) -> list[dict[str, Any]]:
    leptons = [dict(x, flavour="e", m=M_E) for x in row["electrons"]]
    leptons += [dict(x, flavour="m", m=M_MU) for x in row["muons"]]
    return sorted((x for x in leptons if x["pt"] > pt_min and abs(x["eta"]) < eta_max), key=lambda x: -x["pt"])


def cuts_passed(row: dict[str, Any], cuts: dict[str, Any]) -> list[bool]:
    """Whether the event passes each cut after 'all events', one by one and not cumulatively."""
    good, n = good_leptons(row), cuts["count"]
    if len(good) < n:
        return [False] * 7
    first, second = good[:2]
    return [
        True,
        len(good) == n,
        all(x["pt"] > pt for x, pt in zip(good, cuts["pt_min"], strict=False)),
        (first["charge"] != second["charge"]) == cuts["opposite_sign"],
        (first["flavour"] == second["flavour"]) == cuts["same_flavour"],
        mass(first, second) > cuts["m_ll_min"],
        row["met"]["pt"] > cuts["met_min"],
    ]


def z_pair(leptons: list[dict[str, Any]]) -> tuple[int, int] | None:
    """Places of the two leptons of opposite charge and equal flavour with a mass closest to the Z's."""
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(leptons)), 2)
        if leptons[i]["flavour"] == leptons[j]["flavour"] and leptons[i]["charge"] != leptons[j]["charge"]
    ]
    return min(pairs, key=lambda p: abs(mass(leptons[p[0]], leptons[p[1]]) - M_Z)) if pairs else None


def vector_sum(*objects: dict[str, Any]) -> tuple[float, float]:
    return sum(x["pt"] * math.cos(x["phi"]) for x in objects), sum(x["pt"] * math.sin(x["phi"]) for x in objects)


def transverse_mass(x: dict[str, Any], met: dict[str, Any]) -> float:
    energy = math.sqrt(x["m"] ** 2 + x["pt"] ** 2) + met["pt"]
    px, py = vector_sum(x, met)
    return math.sqrt(max(energy**2 - px**2 - py**2, 0.0))


def clean_jets(row: dict[str, Any], good: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [j for j in row["jets"] if j["pt"] > 30 and abs(j["eta"]) < 2.5 and all(dr(j, x) > 0.4 for x in good)]
