"""The processes of the catalogue beyond the Standard Model.

A resonance is generated from half its mass upwards: the tail below takes 9 to 46 % of the events and none of the
interest. Decay channels that PYTHIA does not know are added with meMode 100, which takes the branching ratio as given,
and an explicit width.
"""

from __future__ import annotations

from anomalon.kinematics import M_W, M_Z
from anomalon.simulation.process import (
    BARRIOS,
    FORCE_W,
    FORCE_Z,
    FRETTE,
    GARCIA_RUIZ,
    NO_TAUS,
    SENAS,
    TAUS,
    TERRAZAS,
    Gap,
    Parameter,
    Process,
    mass,
)

_M_TOP = 172.5
_M_H = 125.0
_TAIL = "mass below half the nominal one is left out"
_FROM_HALF = "PhaseSpace:mHatMin={half_mass}"
_STABLE_LSP = "DECAY 1000022 0.0"
_WPRIME = ("NewGaugeBoson:ffbar2Wprime=on", "34:m0={mass}", _FROM_HALF)
_ZPRIME = ("NewGaugeBoson:ffbar2gmZZprime=on", "Zprime:gmZmode=3", "32:m0={mass}", _FROM_HALF)
_ZPRIME_MASS = {"mass": mass("mass of the Z'", 2000, 400, 8000)}
_ZPRIME_CAVEATS = ("couplings of the Z (sequential Standard Model)", "no interference with Z and photon", _TAIL)
_LSP = mass("mass of the lightest neutralino", 100, 0, 2900)

_XY = (
    "9000037:all=X+ X- 1 3 0 {m_x} 1. 0 0 0",
    "9000037:isResonance=on",
    "9000037:oneChannel=1 1.0 100 2 -1",
    "9000035:all=Y void 1 0 0 {m_y} 1. 0 0 0",
    "9000035:isResonance=on",
    "9000035:oneChannel=1 1.0 100 1 -1",
)

RESONANCES = (
    Process(
        name="wprime-wz",
        title="W' -> WZ -> 3 leptons + neutrino",
        settings=(*_WPRIME, "Wprime:coup2WZ=1.", "34:onMode=off", "34:onIfAll=24 23", *FORCE_W, *FORCE_Z),
        parameters={"mass": mass("mass of the W'", 2000, 400, 8000), "taus": TAUS},
        caveats=(NO_TAUS, _TAIL),
        source=TERRAZAS,
    ),
    Process(
        name="wprime-xy",
        title="W' -> XY -> two fat jets of two quarks each",
        settings=(
            *_WPRIME,
            *_XY,
            "34:mWidth={width}",
            "34:doForceWidth=on",
            "34:oneChannel=1 1.0 100 9000037 9000035",
        ),
        parameters={
            "mass": mass("mass of the W'", 3500, 1000, 8000),
            "m_x": mass("mass of X", 500, 50, 2000),
            "m_y": mass("mass of Y", 100, 50, 2000),
            "width": Parameter(title="width of the W'", default=35, minimum=1, maximum=500),
        },
        gaps=(Gap(heavy="mass", light=("m_x", "m_y"), above=50, decay="W' -> X Y"),),
        caveats=(
            "made by a W' with the couplings of the W that decays to XY alone: an illustrative cross section",
            "isotropic decays",
            _TAIL,
        ),
        source="LHC Olympics 2020 (arXiv:2101.08320)",
    ),
    Process(
        name="zprime",
        title="Z', every decay",
        settings=_ZPRIME,
        parameters=_ZPRIME_MASS,
        caveats=(*_ZPRIME_CAVEATS, "contains zprime-ll, zprime-qq and zprime-tt"),
        source=f"{GARCIA_RUIZ}: Zp_01 to Zp_05",
    ),
    Process(
        name="zprime-ll",
        title="Z' -> 2 leptons",
        settings=(*_ZPRIME, "32:onMode=off", "32:onIfAny=11 13"),
        parameters=_ZPRIME_MASS,
        caveats=_ZPRIME_CAVEATS,
        source=f"{GARCIA_RUIZ}: Zp_01 to Zp_05",
    ),
    Process(
        name="zprime-qq",
        title="Z' -> 2 quarks, no top",
        settings=(*_ZPRIME, "32:onMode=off", "32:onIfAny=1 2 3 4 5"),
        parameters=_ZPRIME_MASS,
        caveats=_ZPRIME_CAVEATS,
        source=f"{GARCIA_RUIZ}: Zp_01 to Zp_05",
    ),
    Process(
        name="zprime-tt",
        title="Z' -> top pair, every decay",
        settings=(*_ZPRIME, "32:onMode=off", "32:onIfAny=6"),
        parameters={"mass": mass("mass of the Z'", 2000, 500, 8000)},
        caveats=_ZPRIME_CAVEATS,
        source=f"{GARCIA_RUIZ}: Zp_01 to Zp_05",
    ),
    Process(
        name="graviton-diphoton",
        title="Randall-Sundrum graviton -> 2 photons",
        settings=(
            "ExtraDimensionsG*:all=on",
            "5100039:m0={mass}",
            _FROM_HALF,
            "5100039:onMode=off",
            "5100039:onIfAny=22",
        ),
        parameters={"mass": mass("mass of the graviton", 1500, 300, 8000)},
        caveats=(_TAIL,),
        source="none; a test of diphoton searches",
    ),
)

_STOPS = ("SUSY:gg2squarkantisquark=on", "SUSY:qqbar2squarkantisquark=on", "SUSY:idA=1000006", "SUSY:idB=1000006")
_STOP_MASSES = {"m_stop": mass("mass of the lighter stop", 300, 180, 3000), "m_lsp": _LSP}
_STOP_DECAY = ("DECAY 1000006 0.5", "  1.0 2 1000022 6", _STABLE_LSP)
_STOP_GAP = Gap(heavy="m_stop", light=("m_lsp",), above=_M_TOP, decay="stop -> t N1")
_GLUINOS = ("SUSY:gg2gluinogluino=on", "SUSY:qqbar2gluinogluino=on")
_GLUINO_MASSES = {"m_gluino": mass("mass of the gluino", 1400, 200, 4000), "m_lsp": _LSP}
_SIMPLIFIED = "simplified model: everything else decouples; leading order"

SUPERSYMMETRY = (
    Process(
        name="c1n2",
        title="chargino-neutralino -> W Z + 2 lightest neutralinos -> 3 leptons",
        settings=("SUSY:qqbar2chi+-chi0=on", "SUSY:idA=1000024", "SUSY:idB=1000023", *FORCE_W, *FORCE_Z),
        parameters={
            "m_c1n2": mass("mass of chargino 1 and neutralino 2", 450, 100, 3000),
            "m_lsp": mass("mass of the lightest neutralino", 300, 0, 2900),
            "taus": TAUS,
        },
        slha="susy.slha",
        decays=("DECAY 1000024 0.1", "  1.0 2 1000022 24", "DECAY 1000023 0.1", "  1.0 2 1000022 23", _STABLE_LSP),
        gaps=(Gap(heavy="m_c1n2", light=("m_lsp",), above=M_Z, decay="N2 -> Z N1"),),
        later_bosons=(24, 23),
        caveats=(NO_TAUS, "pure wino, degenerate masses, decays to W and Z only", "next-to-leading order: 1.6 times"),
        source=FRETTE,
    ),
    Process(
        name="stop",
        title="pair of stops -> top pair + 2 lightest neutralinos, every decay",
        settings=_STOPS,
        parameters=_STOP_MASSES,
        slha="susy.slha",
        decays=_STOP_DECAY,
        gaps=(_STOP_GAP,),
        caveats=("contains stop-2l: use one of the two", _SIMPLIFIED),
        source=f"{GARCIA_RUIZ}: stop_01 to stop_04",
    ),
    Process(
        name="stop-2l",
        title="pair of stops -> top pair + 2 lightest neutralinos -> 2 leptons",
        settings=(*_STOPS, *FORCE_W),
        parameters=_STOP_MASSES | {"taus": TAUS},
        slha="susy.slha",
        decays=_STOP_DECAY,
        gaps=(_STOP_GAP,),
        caveats=(NO_TAUS, _SIMPLIFIED),
        source=f"{GARCIA_RUIZ}: stop_01 to stop_04",
    ),
    Process(
        name="gluino",
        title="pair of gluinos -> 4 light quarks + 2 lightest neutralinos",
        settings=_GLUINOS,
        parameters=_GLUINO_MASSES,
        slha="susy.slha",
        decays=("DECAY 1000021 1.0", *(f"  0.25 3 1000022 {q} -{q}" for q in (1, 2, 3, 4)), _STABLE_LSP),
        gaps=(Gap(heavy="m_gluino", light=("m_lsp",), above=5, decay="gluino -> q qbar N1"),),
        caveats=(_SIMPLIFIED,),
        source=f"{GARCIA_RUIZ}: gluino_01 to gluino_07",
    ),
    Process(
        name="gluino-tt",
        title="pair of gluinos -> 4 top quarks + 2 lightest neutralinos",
        settings=_GLUINOS,
        parameters=_GLUINO_MASSES | {"m_gluino": mass("mass of the gluino", 1400, 400, 4000)},
        slha="susy.slha",
        decays=("DECAY 1000021 1.0", "  1.0 3 1000022 6 -6", _STABLE_LSP),
        gaps=(Gap(heavy="m_gluino", light=("m_lsp",), above=2 * _M_TOP, decay="gluino -> t tbar N1"),),
        caveats=(_SIMPLIFIED,),
        source=f"{GARCIA_RUIZ}: gluinos, with tops",
    ),
)

_WR = (
    # The name of this setting is PYTHIA's own.
    "LeftRightSymmmetry:ffbar2WR=on",
    "9900024:m0={mass}",
    _FROM_HALF,
    "9900012:m0={m_n}",
    "9900014:m0={m_n}",
)
_WR_TO_N = ("9900024:onMode=off", "9900024:onIfAny=9900012 9900014")
_WR_MASSES = {
    "mass": mass("mass of the W_R", 3000, 500, 8000),
    "m_n": mass("mass of the heavy neutrinos", 500, 50, 7000),
}
_WR_GAP = Gap(heavy="mass", light=("m_n",), above=1, decay="W_R -> l N")
_MAJORANA = "Majorana: leptons of equal and of opposite charge are equally likely"

HEAVY_NEUTRINOS = (
    Process(
        name="wr-heavy-neutrino",
        title="W_R -> lepton + heavy neutrino -> 2 leptons + 2 quarks",
        settings=(*_WR, *_WR_TO_N),
        parameters=_WR_MASSES,
        gaps=(_WR_GAP,),
        caveats=(_MAJORANA, "isotropic decays of the heavy neutrino", _TAIL),
        source=FRETTE,
    ),
    Process(
        name="wr-heavy-neutrino-3l",
        title="W_R -> lepton + heavy neutrino -> lepton + lepton W -> 3 leptons + neutrino",
        settings=(
            *_WR,
            "9900012:mWidth=0.1",
            "9900014:mWidth=0.1",
            "9900012:oneChannel=1 0.5 100 11 24",
            "9900012:addChannel=1 0.5 100 -11 -24",
            "9900014:oneChannel=1 0.5 100 13 24",
            "9900014:addChannel=1 0.5 100 -13 -24",
            *_WR_TO_N,
            *FORCE_W,
        ),
        parameters=_WR_MASSES | {"m_n": mass("mass of the heavy neutrinos", 500, 100, 7000), "taus": TAUS},
        gaps=(_WR_GAP, Gap(heavy="m_n", above=M_W, decay="N -> l W")),
        caveats=(NO_TAUS, _MAJORANA, "the heavy neutrino is taken to decay to l W alone", _TAIL),
        source=FRETTE,
    ),
)

_TTDM = (
    "Higgs:useBSM=on",
    "HiggsBSM:gg2A3ttbar=on",
    "HiggsBSM:qqbar2A3ttbar=on",
    "36:m0={mass}",
    "36:mMin={half_mass}",
    "36:oneChannel=1 1.0 100 52 -52",
    "52:m0={m_dm}",
    "52:isVisible=false",
)
_TTDM_PARAMETERS = {
    "mass": mass("mass of the mediator", 100, 20, 1000),
    "m_dm": mass("mass of the dark-matter particle", 1, 0.1, 400),
}
_TTDM_GAP = Gap(heavy="mass", light=("m_dm", "m_dm"), above=0, decay="mediator -> dark matter")
_SCALAR_LIKE = "scalar-like: PYTHIA's matrix element for a pseudoscalar is the scalar's"

TOPS = (
    Process(
        name="ttdm",
        title="top pair + dark matter (scalar-like mediator), every decay",
        settings=_TTDM,
        parameters=_TTDM_PARAMETERS,
        gaps=(_TTDM_GAP,),
        caveats=(_SCALAR_LIKE, "contains ttdm-2l: use one of the two", "coupling to top as the Higgs boson's"),
        source=SENAS,
    ),
    Process(
        name="ttdm-2l",
        title="top pair + dark matter (scalar-like mediator) -> 2 leptons",
        settings=(*_TTDM, *FORCE_W),
        parameters=_TTDM_PARAMETERS | {"taus": TAUS},
        gaps=(_TTDM_GAP,),
        caveats=(NO_TAUS, _SCALAR_LIKE, "coupling to top as the Higgs boson's"),
        source=SENAS,
    ),
    Process(
        name="vlq-tt",
        title="pair of vector-like T quarks -> Wb, Zt, Ht, every decay",
        settings=(
            "FourthTop:gg2tPrimetPrimebar=on",
            "FourthTop:qqbar2tPrimetPrimebar=on",
            "8:m0={mass}",
            "8:mWidth=20.",
            "8:doForceWidth=on",
            "8:oneChannel=1 0.5 100 24 5",
            "8:addChannel=1 0.25 100 23 6",
            "8:addChannel=1 0.25 100 25 6",
        ),
        parameters={"mass": mass("mass of the T quark", 1000, 350, 3000)},
        gaps=(Gap(heavy="mass", above=_M_TOP + _M_H, decay="T -> H t"),),
        caveats=("singlet: 50 % Wb, 25 % Zt, 25 % Ht", "isotropic decays", "width 20 GeV"),
        source=f"{BARRIOS}: hq1000, hq1200, hq1400 through the gluon (wohg)",
    ),
    Process(
        name="tz-fcnc",
        title="top pair with t -> Z c through a neutral current -> 3 leptons",
        settings=(
            "Top:gg2ttbar=on",
            "Top:qqbar2ttbar=on",
            # Only anti-tops take the new channel and only tops the old ones, so that every event has one of each.
            "6:addChannel=3 1.0 100 23 4",
            "6:0:onMode=2",
            "6:1:onMode=2",
            "6:2:onMode=2",
            *FORCE_W,
            *FORCE_Z,
        ),
        parameters={
            "br": Parameter(title="BR(t -> Z q)", default=1e-4, minimum=1e-8, maximum=0.1, unit=""),
            "taus": TAUS,
        },
        # A channel added with ratio 1 halves every ratio: PYTHIA gives sigma(tt) / 4 where 2 sigma(tt) BR is meant.
        scale=8.0,
        scale_by=("br",),
        caveats=(NO_TAUS, "isotropic t -> Z q", "the anti-top decays to Z q", "single tZ production is not part of it"),
        source=f"{BARRIOS}: fcnc (through the decay)",
    ),
    Process(
        name="leptoquark",
        title="pair of scalar leptoquarks -> 2 muons + 2 charm quarks",
        settings=("LeptoQuark:gg2LQLQbar=on", "LeptoQuark:qqbar2LQLQbar=on", "42:m0={mass}", "42:0:products=4 13"),
        parameters={"mass": mass("mass of the leptoquark", 1000, 200, 4000)},
        caveats=("leading order",),
        source="none; a test of dilepton + jets searches",
    ),
)

_DARK_HADRONS = ("4900111", "4900113", "4900211", "4900213")

HIDDEN_VALLEY = (
    Process(
        name="semivisible-jets",
        title="Z' -> two semi-visible jets (30 % invisible)",
        settings=(
            "HiddenValley:ffbar2Zv=on",
            "4900023:m0={mass}",
            _FROM_HALF,
            "4900023:onMode=off",
            "4900023:onIfAny=4900101",
            "HiddenValley:Ngauge=2",
            "HiddenValley:nFlav=2",
            "HiddenValley:spinFv=0",
            "HiddenValley:FSR=on",
            "HiddenValley:fragment=on",
            "HiddenValley:alphaOrder=1",
            "HiddenValley:setLambda=on",
            "HiddenValley:Lambda=10",
            "HiddenValley:pTminFSR=11",
            "4900101:m0=10",
            "51:m0=9.9",
            *(f"{meson}:m0=20" for meson in _DARK_HADRONS),
            *(
                line
                for meson in _DARK_HADRONS
                for line in (f"{meson}:oneChannel=1 0.7 91 3 -3", f"{meson}:addChannel=1 0.3 0 51 -51")
            ),
        ),
        parameters={"mass": mass("mass of the Z'", 2000, 500, 6000)},
        caveats=(_TAIL,),
        source="none; a test of searches with jets and missing momentum",
    ),
)

BEYOND = (*RESONANCES, *SUPERSYMMETRY, *HEAVY_NEUTRINOS, *TOPS, *HIDDEN_VALLEY)
"""Every process beyond the Standard Model."""
