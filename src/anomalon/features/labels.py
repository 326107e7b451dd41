"""How a feature is written in a figure and in a table: symbol, unit, words and the kind of axis that suits it."""

from __future__ import annotations

import re
from collections.abc import Callable
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
_SYSTEMS = {
    "l1": (r"\ell_1", "leading lepton"), "l2": (r"\ell_2", "second lepton"), "ll": (r"\ell\ell", "lepton pair"),
    "b1": ("b_1", "leading b jet"), "b2": ("b_2", "second b jet"), "bb": ("bb", "pair of b jets"),
    "llbb": (r"\ell\ell bb", "leptons and b jets"), "lblb": (r"\ell b, \ell b", "pairs of lepton and b jet"),
    "recoil": ("recoil", "recoil"),
}  # fmt: skip
"""Systems of objects in top pairs: symbol and words."""
_SYSTEM = "|".join(_SYSTEMS)
_TOP_PAIR = re.compile(
    rf"(?P<mass>m|pT|mT|mT2)_(?P<of>{_SYSTEM})|dphi_(?P<to_met>{_SYSTEM})_MET|MET_along_(?P<along>{_SYSTEM})"
    r"|MET_sqrt(?P<root>HT|LT|ST)|(?P<angle>dphi|deta|dR)_bb|(?P<object>lep|bjet)(?P<rank>[12])_(?P<what>pt|abs_eta|mass)"
)
_TOP_PAIR_KNOWN = {
    "HT_bb": Label("$H_T(bb)$", "GeV", "sum of the pT of the two b jets", "energy"),
    "deta_ll": Label(r"$|\Delta\eta(\ell_1, \ell_2)|$", "", "difference in eta of the two leading leptons", "angle"),
    "cos_ll": Label(r"$|\cos\theta^*_{\ell\ell}|$", "", "helicity cosine of the two leading leptons"),
    "m_lb_minimax": Label(r"$m_{\ell b}^{minimax}$", "GeV", "larger lepton b mass of the better pairing", "energy"),
    "m_lb_min": Label(r"$m_{\ell b}^{min}$", "GeV", "smallest mass of lepton and b jet", "energy"),
    "m_lb_max": Label(r"$m_{\ell b}^{max}$", "GeV", "largest mass of lepton and b jet", "energy"),
    "dR_lb_min": Label(r"$\Delta R_{\ell b}^{min}$", "", "smallest ΔR of lepton and b jet", "angle"),
    "mT_l_min": Label(r"$m_T^{min}(\ell)$", "GeV", "smaller transverse mass of lepton and missing momentum", "energy"),
    "recoil_pt": Label("$p_T(recoil)$", "GeV", "pT of the recoil", "energy"),
    "pT_llMET": Label(r"$p_T(\ell\ell + p_T^{miss})$", "GeV", "pT of leptons and missing momentum", "energy"),
    "pT_bbMET": Label("$p_T(bb + p_T^{miss})$", "GeV", "pT of b jets and missing momentum", "energy"),
}


def label(name: str) -> Label:
    """The label of a feature; a name that is not known stands for itself.

    >>> label("B_Zmass").words, label("channel_D").kind, label("my_column").axis
    ('mass of the Z candidate, eeμ', 'flag', 'my_column')
    >>> label("m(jet1,electron2)_GeV").axis
    '$m(j_{1}, e_{2})$ [GeV]'
    """
    known = KNOWN.get(name) or _TOP_PAIR_KNOWN.get(name)
    if known is not None:
        return known
    for pattern, made in _PATTERNS:
        if (match := pattern.fullmatch(name)) is not None:
            return made(match)
    return Label(name.replace("$", r"\$"), "", name)


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


def _channel_label(match: re.Match[str]) -> Label:
    what, (tex, plain) = match["what"], FLAVOURS[match["x"] or match["flag"]]
    if what is None:
        return Label(f"Channel ${tex}$", "", f"channel {plain}", "flag")
    if what == "Zmass":
        return Label(f"$m_Z({tex})$", "GeV", f"mass of the Z candidate, {plain}", "energy")
    if what == "Dr_Z":
        return Label(rf"$\Delta R_Z({tex})$", "", f"ΔR of the Z candidate's leptons, {plain}", "angle")
    return Label(rf"$m_{{3\ell}}({tex})$", "GeV", f"mass of the three leptons, {plain}", "energy")


def _top_pair_label(match: re.Match[str]) -> Label:
    """Of a column of the features of top pairs."""
    if match["root"]:
        words = f"missing momentum over the root of {match['root']}"
        return Label(f"$p_T^{{miss}}$/√${match['root'][0]}_T$", "√GeV", words, "energy")
    if match["angle"]:
        symbols = {"dphi": r"|\Delta\phi(b_1, b_2)|", "deta": r"|\Delta\eta(b_1, b_2)|", "dR": r"\Delta R(b_1, b_2)"}
        unit = "rad" if match["angle"] == "dphi" else ""
        return Label(f"${symbols[match['angle']]}$", unit, f"{match['angle']} of the b jets", "angle")
    if match["object"]:
        return _top_pair_object(match)
    symbol, words = _SYSTEMS[match["of"] or match["to_met"] or match["along"]]
    if match["to_met"]:
        return Label(
            rf"$|\Delta\phi({symbol}, p_T^{{miss}})|$", "rad", f"angle of {words} and missing momentum", "angle"
        )
    if match["along"]:
        return Label(rf"$p_T^{{miss}}$ along ${symbol}$", "GeV", f"missing momentum along the {words}")
    names = {"m": ("m", "mass"), "pT": ("p_T", "pT"), "mT": ("m_T", "transverse mass"), "mT2": ("m_{T2}", "m_T2")}
    tex, what = names[match["mass"]]
    return Label(f"${tex}({symbol})$", "GeV", f"{what} of the {words}", "energy")


def _top_pair_object(match: re.Match[str]) -> Label:
    symbol, words = _SYSTEMS[match["object"][0] + match["rank"]]
    if match["what"] == "abs_eta":
        return Label(rf"$|\eta({symbol})|$", "", f"pseudorapidity of the {words}, absolute", "angle")
    tex, what = ("p_T", "pT") if match["what"] == "pt" else ("m", "mass")
    return Label(f"${tex}({symbol})$", "GeV", f"{what} of the {words}", "energy")


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Label]], ...] = (
    (_LEPTONS, _lepton_label), (_CELL, _cell_label), (_CHANNEL, _channel_label), (_TOP_PAIR, _top_pair_label),
)  # fmt: skip
"""Who knows names of which form, in order."""
