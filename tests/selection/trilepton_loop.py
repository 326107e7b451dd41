"""The trilepton selection and its features as a slow, obvious loop over one event at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

M_Z, M_E, M_MU = 91.1876, 0.000510999, 0.1056584


def triplet(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    leptons = [dict(x, flavour="e", m=M_E) for x in row["electrons"]] + [
        dict(x, flavour="m", m=M_MU) for x in row["muons"]
    ]
    good = sorted((x for x in leptons if x["pt"] > 10 and abs(x["eta"]) < 2.5), key=lambda x: -x["pt"])
    return good[:3] if len(good) >= 3 else None


def mass(*particles: dict[str, Any]) -> float:
    e = px = py = pz = 0.0
    for p in particles:
        x, y, z = p["pt"] * math.cos(p["phi"]), p["pt"] * math.sin(p["phi"]), p["pt"] * math.sinh(p["eta"])
        px, py, pz = px + x, py + y, pz + z
        e += math.sqrt(x * x + y * y + z * z + p["m"] ** 2)
    return math.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0))


def dphi(a: float, b: float) -> float:
    d = a - b
    while d > math.pi:
        d -= 2 * math.pi
    while d <= -math.pi:
        d += 2 * math.pi
    return d


def dr(a: dict[str, Any], b: dict[str, Any]) -> float:
    return math.sqrt((a["eta"] - b["eta"]) ** 2 + dphi(a["phi"], b["phi"]) ** 2)


def z_candidate(leptons: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
    best = None
    for i, j in itertools.combinations(range(3), 2):
        a, b = leptons[i], leptons[j]
        if a["flavour"] == b["flavour"] and a["charge"] * b["charge"] < 0:
            distance = abs(mass(a, b) - M_Z)
            if best is None or distance < best[0]:
                best = (distance, a, b, leptons[3 - i - j])
    return best[1:] if best else None


def cuts_passed(row: dict[str, Any]) -> int:
    """Number of cuts after 'all events' that the event passes."""
    leptons = triplet(row)
    if leptons is None:
        return 0
    if not (leptons[0]["pt"] > 20 and leptons[1]["pt"] > 15 and leptons[2]["pt"] > 10):
        return 1
    return 3 if z_candidate(leptons) else 2


def features(row: dict[str, Any]) -> dict[str, float]:
    """The features that exist; a missing one has no key."""
    leptons = triplet(row)
    if leptons is None:
        return {}
    channel = "ABCD"[sum(x["flavour"] == "m" for x in leptons)]
    good = [x for x in row["electrons"] + row["muons"] if x["pt"] > 10 and abs(x["eta"]) < 2.5]
    jets = [j for j in row["jets"] if j["pt"] > 30 and abs(j["eta"]) < 2.5 and all(dr(j, x) > 0.4 for x in good)]
    met = row["met"]
    out = {
        f"{channel}_Sum_mass": mass(*leptons),
        "m_3l": mass(*leptons),
        "MET_pt": met["pt"],
        "nElectron": sum(x in row["electrons"] for x in good),
        "nMuon": sum(x in row["muons"] for x in good),
        "LT": sum(x["pt"] for x in leptons),
        "HT": sum(j["pt"] for j in jets),
        "nJet": len(jets),
        "nBJet": sum(j["btag"] for j in jets),
        **{f"lep{i + 1}_pt": x["pt"] for i, x in enumerate(leptons)},
        **{f"channel_{c}": float(c == channel) for c in "ABCD"},
    }
    z = z_candidate(leptons)
    if z:
        a, b, w = z
        x = a["pt"] * math.cos(a["phi"]) + b["pt"] * math.cos(b["phi"])
        y = a["pt"] * math.sin(a["phi"]) + b["pt"] * math.sin(b["phi"])
        et = math.sqrt(w["m"] ** 2 + w["pt"] ** 2)
        wx = w["pt"] * math.cos(w["phi"]) + met["pt"] * math.cos(met["phi"])
        wy = w["pt"] * math.sin(w["phi"]) + met["pt"] * math.sin(met["phi"])
        out |= {
            f"{channel}_Zmass": mass(a, b),
            f"{channel}_Dr_Z": dr(a, b),
            "Z_pt": math.hypot(x, y),
            "W_lepton_pt": w["pt"],
            "mT_W": math.sqrt(max((et + met["pt"]) ** 2 - wx**2 - wy**2, 0.0)),
            "dphi_W_MET": abs(dphi(w["phi"], met["phi"])),
        }
    return out
