"""How a feature is written in a figure and in a table: symbol, unit, words and the kind of axis that suits it."""

from __future__ import annotations

import re
from dataclasses import dataclass
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
}

_CHANNEL = re.compile(r"(?:(?P<x>[ABCD])_(?P<what>Zmass|Dr_Z|Sum_mass)|channel_(?P<flag>[ABCD]))")


def label(name: str) -> Label:
    """The label of a feature; a name that is not known stands for itself.

    >>> label("B_Zmass").words, label("channel_D").kind, label("my_column").axis
    ('mass of the Z candidate, eeμ', 'flag', 'my_column')
    """
    if name in KNOWN:
        return KNOWN[name]
    match = _CHANNEL.fullmatch(name)
    if match is None:
        return Label(name.replace("$", r"\$"), "", name)
    tex, plain = FLAVOURS[match["x"] or match["flag"]]
    return _channel_label(match["what"], tex, plain)


def _channel_label(what: str | None, tex: str, plain: str) -> Label:
    if what is None:
        return Label(f"Channel ${tex}$", "", f"channel {plain}", "flag")
    if what == "Zmass":
        return Label(f"$m_Z({tex})$", "GeV", f"mass of the Z candidate, {plain}", "energy")
    if what == "Dr_Z":
        return Label(rf"$\Delta R_Z({tex})$", "", f"ΔR of the Z candidate's leptons, {plain}", "angle")
    return Label(rf"$m_{{3\ell}}({tex})$", "GeV", f"mass of the three leptons, {plain}", "energy")
