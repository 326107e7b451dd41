"""The Standard-Model processes of the catalogue.

W and Z are forced to electrons and muons where the title says leptons; ``taus=1`` adds the tau channel. Measured: with
the decays forced, no cut on the leptons of the hard process both saves time and keeps the selection unbiased
(|eta| < 2.7 loses 5 % of the selected WZ and 15 % of the selected Drell-Yan events, because the recoil against
radiation comes later), so none is applied. A single boson comes either from ``WeakSingleBoson`` (everything, jets from
the shower) or from ``WeakBosonAndParton`` (a hard jet): the two overlap and are never mixed in one process.
"""

from __future__ import annotations

from anomalon.simulation.process import (
    BARRIOS,
    FORCE_W,
    FORCE_Z,
    FRETTE,
    GARCIA_RUIZ,
    HARD_SCALE,
    NO_TAUS,
    SENAS,
    TAUS,
    TERRAZAS,
    Process,
    hard_scale,
)

_LO = "leading order; next-to-leading order is about {} times larger (k_factor stays 1)"
_ONE_JET = "one jet from the matrix element, the others from the shower"
_TTBAR = ("Top:gg2ttbar=on", "Top:qqbar2ttbar=on")
_BOTH_CHARGES = "t and anti-t together"
_H125 = ("25:m0=125.",)
_W_JET = ("WeakBosonAndParton:qqbar2Wg=on", "WeakBosonAndParton:qg2Wq=on")
_Z_JET = ("WeakBosonAndParton:qqbar2gmZg=on", "WeakBosonAndParton:qg2gmZq=on")
_TWO_BOSONS_SLICED = "pt_min makes a slice in the pT of the bosons"


def _in(*documents: str) -> str:
    return "; ".join(documents)


DIBOSONS = (
    Process(
        name="wz",
        title="WZ -> 3 leptons + neutrino",
        settings=("WeakDoubleBoson:ffbar2ZW=on", *FORCE_W, *FORCE_Z),
        parameters={"taus": TAUS},
        caveats=(NO_TAUS, "no virtual photon: m_ll is the Z's", _LO.format(2.0)),
        source=_in(TERRAZAS, f"{FRETTE}: Diboson3L", f"{GARCIA_RUIZ}: ZW"),
    ),
    Process(
        name="wz-all",
        title="WZ, every decay",
        settings=("WeakDoubleBoson:ffbar2ZW=on", *HARD_SCALE),
        parameters=hard_scale(0),
        caveats=("contains wz: use one of the two", "no virtual photon", _TWO_BOSONS_SLICED, _LO.format(2.0)),
        source=_in(f"{GARCIA_RUIZ}: ZW", BARRIOS, f"{FRETTE}: Diboson"),
    ),
    Process(
        name="zz",
        title="ZZ -> 4 leptons",
        settings=("WeakDoubleBoson:ffbar2gmZgmZ=on", "23:mMin=12.", *FORCE_Z),
        parameters={"taus": TAUS},
        caveats=(NO_TAUS, "m_ll > 12 GeV", "gg -> ZZ is absent", _LO.format(1.7)),
        source=_in(TERRAZAS, f"{FRETTE}: Diboson4L", f"{GARCIA_RUIZ}: ZZ"),
    ),
    Process(
        name="zz-all",
        title="ZZ, every decay",
        settings=("WeakDoubleBoson:ffbar2gmZgmZ=on", "23:mMin=12.", *HARD_SCALE),
        parameters=hard_scale(0),
        caveats=("contains zz: use one of the two", "gg -> ZZ is absent", _TWO_BOSONS_SLICED, _LO.format(1.7)),
        source=_in(f"{GARCIA_RUIZ}: ZZ", BARRIOS, f"{FRETTE}: Diboson"),
    ),
    Process(
        name="ww",
        title="WW -> 2 leptons + 2 neutrinos",
        settings=("WeakDoubleBoson:ffbar2WW=on", *HARD_SCALE, *FORCE_W),
        parameters=hard_scale(0) | {"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, "gg -> WW is absent", _LO.format(1.6)),
        source=_in(f"{FRETTE}: Diboson2L", f"{GARCIA_RUIZ}: ww"),
    ),
    Process(
        name="ww-all",
        title="WW, every decay",
        settings=("WeakDoubleBoson:ffbar2WW=on", *HARD_SCALE),
        parameters=hard_scale(0),
        caveats=("contains ww: use one of the two", "gg -> WW is absent", _TWO_BOSONS_SLICED, _LO.format(1.6)),
        source=_in(f"{GARCIA_RUIZ}: ww", BARRIOS, f"{FRETTE}: Diboson"),
    ),
    Process(
        name="w-gamma",
        title="W + photon -> lepton, neutrino, photon",
        settings=("WeakBosonAndParton:ffbar2Wgm=on", *HARD_SCALE, *FORCE_W),
        parameters=hard_scale(20, minimum=5) | {"taus": TAUS},
        caveats=(NO_TAUS, "photons off the lepton come from the shower", _LO.format(2)),
        source=f"{GARCIA_RUIZ}: Wgam",
    ),
    Process(
        name="z-gamma",
        title="Z + photon -> 2 leptons, photon",
        settings=("WeakBosonAndParton:ffbar2gmZgm=on", *HARD_SCALE, "23:mMin=12.", *FORCE_Z),
        parameters=hard_scale(20, minimum=5) | {"taus": TAUS},
        caveats=(NO_TAUS, "m_ll > 12 GeV", "photons off the leptons come from the shower", _LO.format(1.4)),
        source=f"{GARCIA_RUIZ}: Zgam",
    ),
    Process(
        name="diphoton",
        title="two prompt photons",
        settings=("PromptPhoton:ffbar2gammagamma=on", "PromptPhoton:gg2gammagamma=on", *HARD_SCALE),
        parameters=hard_scale(30, minimum=10),
        caveats=("jets taken for photons are not part of it", _LO.format(2)),
        source=f"{GARCIA_RUIZ}: 2gam",
    ),
)

SINGLE_BOSONS = (
    Process(
        name="drell-yan",
        title="Drell-Yan -> 2 leptons, a jet taken for the third",
        settings=("WeakSingleBoson:ffbar2gmZ=on", "PhaseSpace:mHatMin=50.", *FORCE_Z),
        parameters={"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, "m_ll > 50 GeV", "third leptons are jets taken for leptons, by weight", _LO.format(1.3)),
        source=_in(TERRAZAS, f"{FRETTE}: ZeeJets, ZmmJets"),
    ),
    Process(
        name="z-tautau",
        title="Drell-Yan -> 2 taus",
        settings=("WeakSingleBoson:ffbar2gmZ=on", "PhaseSpace:mHatMin=50.", "23:onMode=off", "23:onIfAny=15"),
        fakes=True,
        caveats=("m_tautau > 50 GeV", "part of drell-yan(taus=1): use one of the two", _LO.format(1.3)),
        source=f"{FRETTE}: ZttJets",
    ),
    Process(
        name="w-lnu",
        title="W -> lepton + neutrino",
        settings=("WeakSingleBoson:ffbar2W=on", *FORCE_W),
        parameters={"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, "hard jets come from the shower: for them use w-jets-lnu", _LO.format(1.2)),
        source=f"{FRETTE}: Wjets",
    ),
    Process(
        name="w-jets",
        title="W + jets, every decay",
        settings=(*_W_JET, *HARD_SCALE),
        parameters=hard_scale(100, minimum=10),
        caveats=(_ONE_JET, "contains w-jets-lnu: use one of the two"),
        source=f"{GARCIA_RUIZ}: w_jets",
    ),
    Process(
        name="w-jets-lnu",
        title="W + jets -> lepton, neutrino, jets",
        settings=(*_W_JET, *HARD_SCALE, *FORCE_W),
        parameters=hard_scale(30, minimum=10) | {"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, _ONE_JET),
        source=_in(f"{GARCIA_RUIZ}: w_jets", f"{FRETTE}: Wjets"),
    ),
    Process(
        name="z-jets",
        title="Z + jets, every decay",
        settings=(*_Z_JET, "WeakZ0:gmZmode=2", *HARD_SCALE),
        parameters=hard_scale(100, minimum=10),
        caveats=(_ONE_JET, "no virtual photon", "contains z-jets-ll and z-jets-nunu: use it or them"),
        source=f"{GARCIA_RUIZ}: z_jets",
    ),
    Process(
        name="z-jets-ll",
        title="Z + jets -> 2 leptons, jets",
        settings=(*_Z_JET, "23:mMin=50.", *HARD_SCALE, *FORCE_Z),
        parameters=hard_scale(30, minimum=10) | {"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, _ONE_JET, "m_ll > 50 GeV"),
        source=_in(BARRIOS, f"{FRETTE}: ZeeJets, ZmmJets"),
    ),
    Process(
        name="z-jets-nunu",
        title="Z + jets -> 2 neutrinos, jets",
        settings=(*_Z_JET, "WeakZ0:gmZmode=2", *HARD_SCALE, "23:onMode=off", "23:onIfAny=12 14 16"),
        parameters=hard_scale(100, minimum=10),
        caveats=(_ONE_JET,),
        source=f"{GARCIA_RUIZ}: z_jets",
    ),
    Process(
        name="gamma-jets",
        title="photon + jets",
        settings=("PromptPhoton:qg2qgamma=on", "PromptPhoton:qqbar2ggamma=on", *HARD_SCALE),
        parameters=hard_scale(50, minimum=10),
        caveats=(_ONE_JET, "jets taken for photons are not part of it"),
        source=f"{GARCIA_RUIZ}: gam_jets",
    ),
)

QUARKS = (
    Process(
        name="qcd",
        title="two jets or more from the strong interaction",
        settings=("HardQCD:all=on", *HARD_SCALE),
        parameters=hard_scale(100, minimum=10),
        caveats=("two jets from the matrix element, the others from the shower",),
        source=f"{GARCIA_RUIZ}: njets",
    ),
    Process(
        name="ttbar",
        title="top pairs, every decay",
        settings=(*_TTBAR, *HARD_SCALE),
        parameters=hard_scale(0),
        fakes=True,
        caveats=("contains ttbar-2l: use one of the two", _LO.format(1.6)),
        source=_in(SENAS, f"{GARCIA_RUIZ}: ttbar", BARRIOS, f"{FRETTE}: ttbar"),
    ),
    Process(
        name="ttbar-2l",
        title="top pairs -> 2 leptons, 2 b quarks, neutrinos",
        settings=(*_TTBAR, *HARD_SCALE, *FORCE_W),
        parameters=hard_scale(0) | {"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, "part of ttbar: use one of the two", _LO.format(1.6)),
        source=_in(SENAS, BARRIOS, f"{FRETTE}: ttbar"),
    ),
    Process(
        name="single-top-t",
        title="single top, t channel",
        settings=("Top:qq2tq(t:W)=on",),
        fakes=True,
        caveats=(_BOTH_CHARGES, _LO.format(1.5)),
        source=_in(f"{GARCIA_RUIZ}: single_top, single_topbar", f"{FRETTE}: Singletop"),
    ),
    Process(
        name="single-top-s",
        title="single top, s channel",
        settings=("Top:ffbar2tqbar(s:W)=on",),
        fakes=True,
        caveats=(_BOTH_CHARGES, _LO.format(1.4)),
        source=f"{FRETTE}: Singletop",
    ),
)

_GLUON_AND_VECTOR_FUSION = ("HiggsSM:gg2H=on", "HiggsSM:ff2Hff(t:ZZ)=on", "HiggsSM:ff2Hff(t:WW)=on")

HIGGS = (
    Process(
        name="higgs",
        title="Higgs boson from gluon and vector-boson fusion, every decay",
        settings=(*_GLUON_AND_VECTOR_FUSION, *_H125),
        caveats=("contains higgs-4l, higgs-ww and higgs-diphoton", "m_H = 125 GeV", _LO.format(2)),
        source=f"{GARCIA_RUIZ}: single_higgs",
    ),
    Process(
        name="higgs-4l",
        title="H -> ZZ -> 4 leptons",
        settings=(*_GLUON_AND_VECTOR_FUSION, *_H125, "25:onMode=off", "25:onIfMatch=23 23", *FORCE_Z),
        parameters={"taus": TAUS},
        caveats=(NO_TAUS, "m_H = 125 GeV", _LO.format(2)),
        source=f"{FRETTE}: Higgs",
    ),
    Process(
        name="higgs-ww",
        title="H -> WW -> 2 leptons + 2 neutrinos",
        settings=(*_GLUON_AND_VECTOR_FUSION, *_H125, "25:onMode=off", "25:onIfMatch=24 -24", *FORCE_W),
        parameters={"taus": TAUS},
        fakes=True,
        caveats=(NO_TAUS, "m_H = 125 GeV", _LO.format(2)),
        source=f"{FRETTE}: Higgs",
    ),
    Process(
        name="higgs-diphoton",
        title="H -> 2 photons",
        settings=(*_GLUON_AND_VECTOR_FUSION, *_H125, "25:onMode=off", "25:onIfMatch=22 22"),
        caveats=("m_H = 125 GeV", _LO.format(2)),
        source=f"{GARCIA_RUIZ}: single_higgs",
    ),
    Process(
        name="vh",
        title="WH and ZH, every decay",
        settings=("HiggsSM:ffbar2HZ=on", "HiggsSM:ffbar2HW=on", *_H125),
        caveats=("contains wh-www", "m_H = 125 GeV", _LO.format(1.3)),
        source=f"{FRETTE}: Higgs",
    ),
    Process(
        name="wh-www",
        title="WH -> WWW -> 3 leptons + neutrinos",
        settings=("HiggsSM:ffbar2HW=on", *_H125, "25:onMode=off", "25:onIfMatch=24 -24", *FORCE_W),
        parameters={"taus": TAUS},
        caveats=(NO_TAUS, "the part of WWW that goes through a Higgs boson, nothing else of triboson", _LO.format(1.3)),
        source=f"{FRETTE}: Triboson (in part)",
    ),
    Process(
        name="tth",
        title="top pair + Higgs boson, every decay",
        settings=("HiggsSM:gg2Httbar=on", "HiggsSM:qqbar2Httbar=on", *_H125),
        caveats=("m_H = 125 GeV", _LO.format(1.2)),
        source=_in(f"{GARCIA_RUIZ}: ttbarHiggs", f"{FRETTE}: TopOther (in part)"),
    ),
)

STANDARD_MODEL = (*DIBOSONS, *SINGLE_BOSONS, *QUARKS, *HIGGS)
"""Every Standard-Model process."""
