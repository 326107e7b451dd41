"""Named mixtures: the processes of a search, how many events of each, and what that is worth.

The numbers of events are chosen for the statistics of the background in the region of the search. A process with
cross section sigma, acceptance a and q effective events in the region per generated event (q = a for equal weights)
adds (L sigma a)^2 / (n q) to the variance of the background; for a given sum of n the least variance has

    n proportional to sigma a / sqrt(q)                                              (Neyman allocation)

Every background gets at least one per cent, or what the mixture says, so that rare ones are learnt too; every signal
gets five per cent, or what the mixture says, all signals together at most thirty. Where no event of the measurement
lay in the region, one is assumed.
Events are weighted by cross section, so that yields do not depend on these choices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.simulation.fakes import FakeSettings
from anomalon.simulation.measured import MeasuredIngredient, measured
from anomalon.simulation.process import BARRIOS, FRETTE, GARCIA_RUIZ, SENAS, TERRAZAS, Process
from anomalon.simulation.processes import get_process
from anomalon.simulation.regions import Region, get_region

_ALL_SIGNALS = 0.3


class Ingredient(Settings):
    """A process of a mixture, with its parameters in the name.

    Attributes:
        process: with its parameters.
        role: background or signal.
        share: part of the background's events, where the allocation would ask too much of a slow process.
    """

    process: str
    role: Literal["background", "signal"] = "background"
    share: float | None = Field(default=None, gt=0, lt=1)

    @property
    def resolved(self) -> Process:
        """The process itself."""
        return get_process(self.process)

    @property
    def folder(self) -> str:
        """Name of its store.

        >>> Ingredient(process="c1n2(m_c1n2=800,m_lsp=50)").folder
        'c1n2-m_c1n2-800-m_lsp-50'
        """
        return re.sub(r"[^\w.]+", "-", self.process).strip("-")


class Mixture(Settings):
    """The processes of one search.

    Attributes:
        name: name in the catalogue.
        title: one line for people.
        region: name of the region that the numbers of events are chosen for.
        ingredients: processes with their roles.
        detector: preset.
        skim_leptons: store only events with at least this many leptons.
        fakes: how jets turn into leptons.
        least_background: part of the background's events that each process gets at least.
        each_signal: part of the events that each signal gets.
        caveats: what is missing.
        source: where it comes from.
    """

    name: str
    title: str
    region: str
    ingredients: tuple[Ingredient, ...]
    detector: str = "cms"
    skim_leptons: int = 0
    fakes: FakeSettings = FakeSettings()
    least_background: float = Field(default=0.01, ge=0, lt=1)
    each_signal: float = Field(default=0.05, gt=0, lt=1)
    caveats: tuple[str, ...] = ()
    source: str

    @property
    def resolved_region(self) -> Region:
        """The region itself."""
        return get_region(self.region)

    @property
    def measured(self) -> dict[str, MeasuredIngredient]:
        """What was measured for each process."""
        return measured().mixtures[self.name]

    def shares(self) -> dict[str, float]:
        """Part of the events that each process gets, by the process' name; they add up to 1."""
        table = self.measured
        signals = [item.process for item in self.ingredients if item.role == "signal"]
        each = min(self.each_signal, _ALL_SIGNALS / max(len(signals), 1))
        backgrounds = [item for item in self.ingredients if item.role == "background"]
        fixed = {item.process: item.share for item in backgrounds if item.share is not None}
        wanted = {item.process: _wanted(table[item.process]) for item in backgrounds if item.share is None}
        rest = 1.0 - each * len(signals)
        return {
            **{name: rest * share for name, share in fixed.items()},
            **{k: rest * v for k, v in _with_floor(wanted, self.least_background, 1.0 - sum(fixed.values())).items()},
            **dict.fromkeys(signals, each),
        }

    def numbers(self, n_events: int) -> dict[str, int]:
        """Events to generate of each process, ``n_events`` together.

        Raises:
            ConfigError: fewer events than processes.
        """
        if n_events < len(self.ingredients):
            raise ConfigError(
                f"mixture '{self.name}': {n_events} events for {len(self.ingredients)} processes; give one each"
            )
        shares = self.shares()
        spare = n_events - len(shares)
        whole = {name: 1 + math.floor(spare * share) for name, share in shares.items()}
        largest = max(shares, key=lambda name: shares[name])
        whole[largest] += n_events - sum(whole.values())
        return whole

    def effective_per_hour(self, *, mpi: bool = True) -> float:
        """Effective background events in the region that one core makes in an hour, signals being made too.

        (sum W)^2 / sum(W^2 / k) for processes of yield W with k effective events each; processes without an event in
        the measurement do not count.
        """
        shares, table = self.shares(), self.measured
        seconds = sum(
            s / (m.rate_mpi_on if mpi else m.rate_mpi_off) for s, m in ((shares[k], table[k]) for k in shares)
        )
        made = 3600.0 / seconds
        parts = [
            (table[i.process].cross_section_pb * table[i.process].acceptance, made * shares[i.process] * q)
            for i in self.ingredients
            if i.role == "background" and (q := table[i.process].effective) > 0
        ]
        return sum(w for w, _ in parts) ** 2 / sum(w * w / k for w, k in parts) if parts else 0.0


def get_mixture(name: str) -> Mixture:
    """Look a mixture up.

    Raises:
        UnknownNameError: there is none of that name.

    >>> get_mixture("trilepton").resolved_region.words
    '3 leptons above 20, 15, 10 GeV'
    """
    if name not in MIXTURES:
        raise UnknownNameError(f"no mixture '{name}'; {suggest(name, MIXTURES)}")
    return MIXTURES[name]


def _wanted(item: MeasuredIngredient) -> float:
    if item.is_empty:
        return item.cross_section_pb / math.sqrt(item.n)
    return item.cross_section_pb * item.acceptance / math.sqrt(item.effective)


def _with_floor(wanted: Mapping[str, float], least: float, whole: float) -> dict[str, float]:
    total = sum(wanted.values())
    floored = {name: max(value / total, least) for name, value in wanted.items()}
    return {name: whole * value / sum(floored.values()) for name, value in floored.items()}


def _mix(backgrounds: tuple[str | Ingredient, ...], signals: tuple[str, ...]) -> tuple[Ingredient, ...]:
    return (
        *(Ingredient(process=item) if isinstance(item, str) else item for item in backgrounds),
        *(Ingredient(process=name, role="signal") for name in signals),
    )


_NO_LHE = "ttZ, ttW, tW and triboson are missing: PYTHIA does not have them"
_SLICED = "processes start at the pT of their first slice: softer events rarely reach the region"
_CHALLENGE = f"{GARCIA_RUIZ}; Dark Machines challenge (arXiv:2105.14027)"
_Z_TAUTAU = Ingredient(process="z-tautau", share=0.01)
_C1N2 = ("c1n2", "c1n2(m_c1n2=800,m_lsp=50)")
_HIGGS_IN_PART = "of associated Higgs production only WH -> WWW, which stands for triboson, and ttH, for other top"
_TTBAR_SLICES = ("ttbar(pt_max=200)", "ttbar(pt_min=200,bias=3)")
_HARD_DIBOSONS = ("ww-all(pt_min=200,bias=3)", "wz-all(pt_min=200,bias=3)", "zz-all(pt_min=200,bias=3)")

MIXTURES: dict[str, Mixture] = {
    mixture.name: mixture
    for mixture in (
        Mixture(
            name="trilepton",
            title="three leptons and missing momentum",
            region="trilepton",
            ingredients=_mix(
                ("wz", "zz", "drell-yan", "ttbar-2l", "higgs-4l", "wh-www"),
                ("wprime-wz", "c1n2", "c1n2(m_c1n2=800,m_lsp=50)", "wr-heavy-neutrino-3l", "tz-fcnc"),
            ),
            skim_leptons=3,
            fakes=FakeSettings(keep_real=False),
            caveats=(_NO_LHE,),
            source=TERRAZAS,
        ),
        Mixture(
            name="dilepton-bjet",
            title="two leptons, a b-jet and HT > 500 GeV",
            region="dilepton-bjet",
            ingredients=_mix(
                (
                    "z-jets-ll(pt_min=100,bias=4)",
                    "ttbar-2l(pt_max=150)",
                    "ttbar-2l(pt_min=150,bias=2)",
                    "ww(pt_min=100,bias=4)",
                    "wz-all(pt_min=100,bias=4)",
                    "zz-all(pt_min=100,bias=4)",
                ),
                ("vlq-tt", "vlq-tt(mass=1200)", "vlq-tt(mass=1400)", "tz-fcnc"),
            ),
            skim_leptons=2,
            caveats=(_NO_LHE, _SLICED),
            source=BARRIOS,
        ),
        Mixture(
            name="dark-machines-1",
            title="Dark Machines channel 1: hard jets and missing momentum",
            region="dark-machines-1",
            ingredients=_mix(
                (
                    "z-jets-nunu(pt_min=200,bias=4)",
                    "w-jets-lnu(pt_min=200,bias=4,taus=1)",
                    *_TTBAR_SLICES,
                    "qcd(pt_min=300,pt_max=600)",
                    "qcd(pt_min=600,bias=4)",
                    "single-top-t",
                    *_HARD_DIBOSONS,
                    "tth",
                ),
                ("gluino", "gluino(m_gluino=2000)", "stop(m_stop=400)", "stop(m_stop=800)"),
            ),
            detector="darkmachines",
            caveats=(_NO_LHE, _SLICED),
            source=_CHALLENGE,
        ),
        Mixture(
            name="dark-machines-2a",
            title="Dark Machines channel 2a: three leptons and missing momentum",
            region="dark-machines-2a",
            ingredients=_mix(
                ("wz", "zz", "drell-yan", "ttbar-2l", "higgs-4l", "wh-www"),
                ("c1n2", "c1n2(m_c1n2=800,m_lsp=50)", "gluino-tt", "wprime-wz"),
            ),
            detector="darkmachines",
            skim_leptons=3,
            fakes=FakeSettings(keep_real=False),
            caveats=(_NO_LHE,),
            source=_CHALLENGE,
        ),
        Mixture(
            name="dark-machines-2b",
            title="Dark Machines channel 2b: two leptons and missing momentum",
            region="dark-machines-2b",
            ingredients=_mix(
                (
                    "z-jets-ll",
                    "ttbar-2l(taus=1)",
                    "ww(taus=1)",
                    "wz-all",
                    "zz-all",
                    "z-tautau",
                    "w-jets-lnu",
                ),
                ("stop-2l(m_stop=400)", "c1n2", "ttdm-2l"),
            ),
            detector="darkmachines",
            skim_leptons=2,
            caveats=(_NO_LHE, "Z + jets starts at pT(Z) > 30 GeV"),
            source=_CHALLENGE,
        ),
        Mixture(
            name="dark-machines-3",
            title="Dark Machines channel 3: HT > 600 GeV and missing momentum",
            region="dark-machines-3",
            ingredients=_mix(
                (
                    "qcd(pt_min=200,pt_max=400)",
                    "qcd(pt_min=400,bias=4)",
                    *_TTBAR_SLICES,
                    "w-jets-lnu(pt_min=150,bias=4,taus=1)",
                    "z-jets-nunu(pt_min=150,bias=4)",
                    "single-top-t",
                    *_HARD_DIBOSONS,
                    "tth",
                ),
                ("gluino", "gluino(m_gluino=2000)", "stop(m_stop=800)", "zprime-tt", "semivisible-jets"),
            ),
            detector="darkmachines",
            caveats=(_NO_LHE, _SLICED),
            source=_CHALLENGE,
        ),
        Mixture(
            name="ttbar-vs-ttdm",
            title="top pairs with and without dark matter, two leptons",
            region="ttbar-vs-ttdm",
            ingredients=_mix(("ttbar-2l",), ("ttdm-2l",)),
            skim_leptons=2,
            caveats=("the mediator is scalar-like",),
            source=SENAS,
        ),
        Mixture(
            name="atlas-3lepton",
            title="three leptons and missing momentum, ATLAS",
            region="atlas-3lepton",
            ingredients=_mix(
                (
                    "drell-yan",
                    _Z_TAUTAU,
                    "ttbar-2l",
                    "ww",
                    "wz",
                    "zz",
                    "higgs-4l",
                    "higgs-ww",
                    "wh-www",
                    Ingredient(process="tth", share=0.02),
                ),
                (*_C1N2, "wr-heavy-neutrino-3l"),
            ),
            detector="atlas",
            skim_leptons=3,
            fakes=FakeSettings(keep_real=False),
            least_background=0.1,
            each_signal=0.01,
            caveats=(
                _NO_LHE,
                _HIGGS_IN_PART,
                "tau channels of W and Z are left out: they would add about a fifth to WZ and a quarter to ZZ",
                "W + jets and single top are left out: one prompt lepton, and at most one jet is taken for another",
            ),
            source=FRETTE,
        ),
        Mixture(
            name="atlas-2lepton",
            title="two leptons and missing momentum, ATLAS",
            region="atlas-2lepton",
            ingredients=_mix(
                (
                    "drell-yan",
                    _Z_TAUTAU,
                    "w-lnu",
                    "ttbar-2l(taus=1)",
                    "single-top-t",
                    "single-top-s",
                    "ww(taus=1)",
                    "wz-all",
                    "zz-all",
                    "higgs-ww(taus=1)",
                    "wh-www(taus=1)",
                    "tth",
                ),
                (*_C1N2, "wr-heavy-neutrino"),
            ),
            detector="atlas",
            skim_leptons=2,
            least_background=0.02,
            each_signal=0.03,
            caveats=(
                _NO_LHE,
                _HIGGS_IN_PART,
                "top pairs with one lepton and a jet taken for the second are left out",
                "chargino-neutralino is the decay to three leptons of which one is lost: hadronic W and Z are left out",
            ),
            source=FRETTE,
        ),
        Mixture(
            name="dijet-resonance",
            title="a resonance that decays to two fat jets, on dijets",
            region="dijet-resonance",
            ingredients=_mix(
                ("qcd(pt_min=600,bias=4)",), ("wprime-xy", "wprime-xy(mass=5000)", "zprime-qq(mass=3500)")
            ),
            detector="fatjets",
            caveats=(_SLICED, "top pairs and W, Z + jets are below one per cent of dijets"),
            source="LHC Olympics 2020 (arXiv:2101.08320)",
        ),
    )
}
"""Every mixture by name."""
