"""How a feature is written in a figure and in a table: symbol, unit, words and the kind of axis that suits it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_lowercase, digits
from typing import Literal

Kind = Literal["energy", "angle", "count", "flag", "number"]

FLAVOURS = {"A": ("eee", "eee"), "B": (r"ee\mu", "eeμ"), "C": (r"e\mu\mu", "eμμ"), "D": (r"\mu\mu\mu", "μμμ")}
"""Flavour of the lepton triplet per channel, as mathtext and as plain text (Terrazas 2025)."""


@dataclass(frozen=True)
class Label:
    """How one feature is written.

    Attributes:
        symbol: mathtext, with its dollar signs.
        unit: plain text such as ``GeV``; empty for pure numbers.
        words: plain text for tables and for people who listen to the page.
        kind: decides the axis: energies have long tails, counts have bins of one, flags two bins.
    """

    symbol: str
    unit: str = ""
    words: str = ""
    kind: Kind = "number"

    @property
    def axis(self) -> str:
        """Axis label with the unit in brackets.

        >>> label("MET_pt").axis
        '$p_T^{miss}$ [GeV]'
        """
        return f"{self.symbol} [{self.unit}]" if self.unit else self.symbol


KNOWN = {
    "MET_pt": Label("$p_T^{miss}$", "GeV", "missing transverse momentum", "energy"),
    "MET_GeV": Label("$p_T^{miss}$", "GeV", "missing transverse momentum", "energy"),
    "MET": Label("$p_T^{miss}$", "", "missing transverse momentum", "energy"),
    "nElectron": Label("Number of electrons", "", "number of electrons", "count"),
    "nMuon": Label("Number of muons", "", "number of muons", "count"),
    "lep1_pt": Label(r"$p_T(\ell_1)$", "GeV", "pT of the leading lepton", "energy"),
    "lep2_pt": Label(r"$p_T(\ell_2)$", "GeV", "pT of the second lepton", "energy"),
    "lep3_pt": Label(r"$p_T(\ell_3)$", "GeV", "pT of the third lepton", "energy"),
    "Z_pt": Label("$p_T(Z)$", "GeV", "pT of the Z candidate", "energy"),
    "W_lepton_pt": Label(r"$p_T(\ell_W)$", "GeV", "pT of the W lepton", "energy"),
    "mT_W": Label("$m_T(W)$", "GeV", "transverse mass of W lepton and missing momentum", "energy"),
    "m_3l": Label(r"$m_{3\ell}$", "GeV", "mass of the three leptons", "energy"),
    "LT": Label("$L_T$", "GeV", "sum of the leptons' pT", "energy"),
    "HT": Label("$H_T$", "GeV", "sum of the jets' pT", "energy"),
    "nJet": Label("Number of jets", "", "number of jets", "count"),
    "nBJet": Label("Number of b jets", "", "number of b jets", "count"),
    "dphi_W_MET": Label(
        r"$|\Delta\phi(\ell_W, p_T^{miss})|$", "rad", "angle of W lepton and missing momentum", "angle"
    ),
    "jet1_pt": Label("$p_T(j_1)$", "GeV", "pT of the leading jet", "energy"),
    "jet2_pt": Label("$p_T(j_2)$", "GeV", "pT of the second jet", "energy"),
    "jet3_pt": Label("$p_T(j_3)$", "GeV", "pT of the third jet", "energy"),
    "jet4_pt": Label("$p_T(j_4)$", "GeV", "pT of the fourth jet", "energy"),
    "m_jj": Label("$m_{jj}$", "GeV", "mass of the two leading jets", "energy"),
    "MET_over_HT": Label("$p_T^{miss}/H_T$", "", "missing transverse momentum over HT"),
    "dphi_jet_MET": Label(
        r"min $|\Delta\phi(j, p_T^{miss})|$", "rad", "smallest angle of a leading jet and missing momentum", "angle"
    ),
    "ST": Label("$S_T$", "GeV", "sum of the pT of leptons, jets and missing momentum", "energy"),
    "m_ll": Label(r"$m_{\ell\ell}$", "GeV", "mass of the two leading leptons", "energy"),
    "pT_ll": Label(r"$p_T(\ell\ell)$", "GeV", "pT of the two leading leptons", "energy"),
    "dphi_ll": Label(r"$|\Delta\phi(\ell_1, \ell_2)|$", "rad", "angle of the two leading leptons", "angle"),
    "dR_ll": Label(r"$\Delta R(\ell_1, \ell_2)$", "", "ΔR of the two leading leptons", "angle"),
    "m_Z": Label("$m_Z$", "GeV", "mass of the Z candidate", "energy"),
    "mT_l1": Label(r"$m_T(\ell_1)$", "GeV", "transverse mass of leading lepton and missing momentum", "energy"),
    "dphi_ll_MET": Label(
        r"$|\Delta\phi(\ell\ell, p_T^{miss})|$", "rad", "angle of the lepton pair and missing momentum", "angle"
    ),
}

_ORDINALS = ("leading", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_LEPTONS = re.compile(r"lep(?P<rank>[1-8])_(?P<what>pt|eta)|m_(?P<count>[4-8])l|flavour_(?P<flavour>[em]+)")
_OBJECTS = {
    "jet": ("j", "jet"), "bjet": ("b", "b jet"), "electron": ("e", "electron"), "muon": (r"\mu", "muon"),
    "photon": (r"\gamma", "photon"),
}  # fmt: skip
_OBJECT = rf"(?:{'|'.join(_OBJECTS)})\d+"
_CELL = re.compile(rf"(?P<what>m|mT|eT|deT|h)\((?P<first>{_OBJECT})(?:,(?P<second>{_OBJECT}))?\)(?P<gev>_GeV)?")
_CELLS: dict[str, tuple[str, str, Kind]] = {
    "m": ("m", "mass of", "energy"),
    "mT": ("m_T", "transverse mass of missing momentum and", "energy"),
    "eT": ("e_T", "transverse energy of", "energy"),
    "deT": (r"\delta e_T", "transverse energy imbalance with the object before of", "number"),
    "h": ("h", "rapidity cell of", "energy"),
}
"""Cells of the rapidity-mass matrix: symbol, words, and the axis, which is logarithmic for long tails."""
_CHANNEL = re.compile(r"(?:(?P<x>[ABCD])_(?P<what>Zmass|Dr_Z|Sum_mass)|channel_(?P<flag>[ABCD]))")


def label(name: str) -> Label:
    """The label of a feature; a name that is not known stands for itself.

    >>> label("B_Zmass").words, label("channel_D").kind, label("my_column").axis
    ('mass of the Z candidate, eeμ', 'flag', 'my_column')
    >>> label("m(jet1,electron2)_GeV").axis
    '$m(j_{1}, e_{2})$ [GeV]'
    """
    if name in KNOWN:
        return KNOWN[name]
    if (match := _LEPTONS.fullmatch(name)) is not None:
        return _lepton_label(match)
    if (match := _CELL.fullmatch(name)) is not None:
        return _cell_label(match)
    match = _CHANNEL.fullmatch(name)
    if match is None:
        return Label(name.replace("$", r"\$"), "", name)
    tex, plain = FLAVOURS[match["x"] or match["flag"]]
    return _channel_label(match["what"], tex, plain)


def _lepton_label(match: re.Match[str]) -> Label:
    if match["flavour"]:
        tex, plain = (match["flavour"].replace("m", mu) for mu in (r"\mu ", "μ"))
        return Label(f"Flavour ${tex.strip()}$", "", f"flavour {plain}", "flag")
    if match["count"]:
        return Label(rf"$m_{{{match['count']}\ell}}$", "GeV", f"mass of the {match['count']} leptons", "energy")
    words = f"of the {_ORDINALS[int(match['rank']) - 1]} lepton"
    if match["what"] == "pt":
        return Label(rf"$p_T(\ell_{match['rank']})$", "GeV", f"pT {words}", "energy")
    return Label(rf"$\eta(\ell_{match['rank']})$", "", f"pseudorapidity {words}")


def _cell_label(match: re.Match[str]) -> Label:
    """Of a cell of the rapidity-mass matrix; energies are in units of sqrt(s) where the name does not say GeV."""
    symbol, words, kind = _CELLS[match["what"]]
    objects = [match[key] for key in ("first", "second") if match[key]]
    pairs = [(_OBJECTS[thing.rstrip(digits)], thing.lstrip(ascii_lowercase)) for thing in objects]
    symbol += f"({', '.join(f'{tex}_{{{rank}}}' for (tex, _), rank in pairs)})"
    words += " " + " and ".join(f"{plain} {rank}" for (_, plain), rank in pairs)
    is_energy = match["what"] not in ("h", "deT")
    return Label(f"${symbol}$", "GeV" if match["gev"] else "√s" if is_energy else "", words, kind)


def _channel_label(what: str | None, tex: str, plain: str) -> Label:
    if what is None:
        return Label(f"Channel ${tex}$", "", f"channel {plain}", "flag")
    if what == "Zmass":
        return Label(f"$m_Z({tex})$", "GeV", f"mass of the Z candidate, {plain}", "energy")
    if what == "Dr_Z":
        return Label(rf"$\Delta R_Z({tex})$", "", f"ΔR of the Z candidate's leptons, {plain}", "angle")
    return Label(rf"$m_{{3\ell}}({tex})$", "GeV", f"mass of the three leptons, {plain}", "energy")
