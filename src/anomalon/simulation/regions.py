"""The regions of phase space that mixtures are made for, as cuts that can be read out and applied.

They decide how many events of each process are worth making; an analysis makes its own selection afterwards.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.errors import UnknownNameError, suggest

Mask = npt.NDArray[np.bool_]


class Region(Settings):
    """A region in words and numbers; thresholds in GeV, and those of objects by decreasing pT.

    Attributes:
        lepton_pt: pT above which the leading electrons and muons must be; one threshold per lepton.
        jet_pt: the same for jets.
        n_bjets: least number of b-tagged jets.
        met_min, ht_min, met_over_ht_min: event-level thresholds. HT is the scalar sum of jet pT.
        ht_of_everything: HT includes leptons and photons (Delphes' ScalarHT).
    """

    name: str
    lepton_pt: tuple[float, ...] = ()
    lepton_eta_max: float = 2.5
    jet_pt: tuple[float, ...] = ()
    jet_pt_min: float = 20.0
    jet_eta_max: float = 2.8
    n_bjets: int = 0
    met_min: float = 0.0
    ht_min: float = 0.0
    met_over_ht_min: float = 0.0
    ht_of_everything: bool = False

    @property
    def words(self) -> str:
        """The cuts as a sentence.

        >>> get_region("dark-machines-2a").words
        '3 leptons above 15, 15, 15 GeV, MET > 50 GeV'
        """
        ht = "HT of jets, leptons and photons" if self.ht_of_everything else "HT"
        parts = [_thresholds("lepton", self.lepton_pt), _thresholds("jet", self.jet_pt)]
        parts += [f"{self.n_bjets} b-jet{'s' * (self.n_bjets > 1)}" if self.n_bjets else ""]
        parts += [f"{what} > {cut:g} GeV" if cut else "" for what, cut in ((ht, self.ht_min), ("MET", self.met_min))]
        parts += [f"MET/HT > {self.met_over_ht_min:g}" if self.met_over_ht_min else ""]
        return ", ".join(part for part in parts if part)

    def passes(self, events: Any) -> Mask:
        """Which events of a record array lie in the region, shape (event,)."""
        leptons = _sorted_pt([events[name] for name in ("electrons", "muons")], 0.0, self.lepton_eta_max)
        chosen = events.jets[(events.jets.pt > self.jet_pt_min) & (abs(events.jets.eta) < self.jet_eta_max)]
        met = np.asarray(ak.to_numpy(events.met.pt), dtype=np.float64)
        ht = np.asarray(ak.to_numpy(ak.sum(chosen.pt, axis=1)), dtype=np.float64)
        if self.ht_of_everything:
            ht = ht + sum(ak.to_numpy(ak.sum(events[name].pt, axis=1)) for name in ("electrons", "muons", "photons"))
        mask = _above(leptons, self.lepton_pt) & _above(_sorted_pt([chosen], 0.0, np.inf), self.jet_pt)
        mask &= np.asarray(ak.to_numpy(ak.sum(chosen.btag, axis=1))) >= self.n_bjets
        return np.asarray(mask & (met >= self.met_min) & (ht >= self.ht_min) & (met >= self.met_over_ht_min * ht))


def get_region(name: str) -> Region:
    """Look a region up; raises UnknownNameError with a suggestion."""
    if name not in REGIONS:
        raise UnknownNameError(f"no region '{name}'; {suggest(name, REGIONS)}")
    return REGIONS[name]


def _thresholds(what: str, pt: tuple[float, ...]) -> str:
    return f"{len(pt)} {what}{'s' * (len(pt) > 1)} above {', '.join(f'{cut:g}' for cut in pt)} GeV" if pt else ""


def _sorted_pt(collections: list[Any], pt_min: float, eta_max: float) -> Any:
    kept = [c.pt[(c.pt > pt_min) & (abs(c.eta) < eta_max)] for c in collections]
    return ak.sort(ak.concatenate(kept, axis=1), axis=1, ascending=False)


def _above(pt: Any, thresholds: tuple[float, ...]) -> Mask:
    if not thresholds:
        return np.ones(len(pt), dtype=np.bool_)
    leading = ak.to_numpy(ak.fill_none(ak.pad_none(pt, len(thresholds), clip=True), 0.0))
    return np.asarray((leading > np.asarray(thresholds)).all(axis=1))


REGIONS: dict[str, Region] = {
    region.name: region
    for region in (
        Region(name="trilepton", lepton_pt=(20, 15, 10)),
        Region(name="dilepton", lepton_pt=(20, 15)),
        Region(name="dilepton-bjet", lepton_pt=(20, 15), n_bjets=1, ht_min=500, ht_of_everything=True),
        Region(name="dark-machines-1", jet_pt=(200, 50, 50, 50), ht_min=600, met_min=200, met_over_ht_min=0.2),
        Region(name="dark-machines-2a", lepton_pt=(15, 15, 15), lepton_eta_max=2.7, met_min=50),
        Region(name="dark-machines-2b", lepton_pt=(15, 15), lepton_eta_max=2.7, ht_min=50, met_min=50),
        Region(name="dark-machines-3", ht_min=600, met_min=100),
        Region(name="ttbar-vs-ttdm", lepton_pt=(20, 20), lepton_eta_max=2.4, n_bjets=2, jet_eta_max=3.0),
        Region(name="atlas-3lepton", lepton_pt=(20, 20, 10)),
        Region(name="atlas-2lepton", lepton_pt=(25, 25)),
        Region(name="dijet-resonance", jet_pt=(1200, 200), jet_pt_min=100, jet_eta_max=2.5),
    )
}
"""Every region by name.

Dark Machines: arXiv:2105.14027, section 2.2.1; dilepton-bjet: Barrios 2022 (LIP); atlas: Frette 2023 (Oslo).
"""
