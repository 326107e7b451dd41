"""Processes that PYTHIA has no matrix element for: they are listed, and come in as LHE files."""

from __future__ import annotations

from anomalon.config import Settings
from anomalon.simulation.process import BARRIOS, FRETTE, GARCIA_RUIZ, SENAS


class Elsewhere(Settings):
    """A process that needs another generator.

    Attributes:
        name: what people look for, in lower case.
        title: one line for people.
        nearest: process of the catalogue that gives a part of it, empty where there is none.
        source: the documents that use it.
    """

    name: str
    title: str
    nearest: str = ""
    source: str

    @property
    def message(self) -> str:
        """One line: why not, and the way out."""
        part = f", or take '{self.nearest}', which is a part of it" if self.nearest else ""
        return (
            f"process '{self.name}' ({self.title}): PYTHIA has no matrix element for it; make an LHE file with another "
            f"generator (MadGraph5_aMC@NLO, POWHEG, Sherpa) and read that: it is showered and put through the same "
            f"detector (docs/simulation.md){part}"
        )


def _entry(name: str, title: str, source: str, nearest: str = "") -> Elsewhere:
    return Elsewhere(name=name, title=title, source=source, nearest=nearest)


_TOP_OTHER = f"{FRETTE}: TopOther"

ELSEWHERE: dict[str, Elsewhere] = {
    item.name: item
    for item in (
        _entry("ttz", "top pair + Z", f"{GARCIA_RUIZ}: ttbarZ; {_TOP_OTHER}"),
        _entry("ttw", "top pair + W", f"{GARCIA_RUIZ}: ttbarW; {_TOP_OTHER}"),
        _entry("ttgamma", "top pair + photon", f"{GARCIA_RUIZ}: ttbarGam", "ttbar"),
        _entry("four-tops", "four top quarks", f"{GARCIA_RUIZ}: 4top; {_TOP_OTHER}"),
        _entry("tw", "single top + W", f"{GARCIA_RUIZ}: wtop, wtopbar; {FRETTE}: Singletop"),
        _entry("tz", "single top + Z", f"{GARCIA_RUIZ}: ztop, ztopbar; {_TOP_OTHER}"),
        _entry("tgamma", "single top + photon", f"{GARCIA_RUIZ}: atop, atopbar", "single-top-t"),
        _entry("ttbb", "top pair + b pair from the matrix element", "none", "ttbar"),
        _entry("triboson", "WWW, WWZ, WZZ, ZZZ", f"{FRETTE}: Triboson", "wh-www"),
        _entry("tz-fcnc-single", "single tZ production through a neutral current", f"{BARRIOS}: fcnc", "tz-fcnc"),
        _entry("vlq-heavy-gluon", "T quark pair through a heavy gluon of 3 TeV", f"{BARRIOS}: hg3000", "vlq-tt"),
        _entry("ttdm-pseudoscalar", "top pair + dark matter, pseudoscalar mediator", SENAS, "ttdm"),
        _entry("w-heavy-neutrino", "W -> lepton + heavy neutrino", FRETTE, "wr-heavy-neutrino-3l"),
        _entry("gg-vv", "gg -> ZZ and gg -> WW without a Higgs boson", "none"),
        _entry("wz-virtual", "WZ with a virtual photon", "none", "wz"),
    )
}
"""What PYTHIA cannot do, by name."""
