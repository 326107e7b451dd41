"""The catalogue of processes that PYTHIA simulates: settings, parameters, corrections and caveats.

Matrix elements are at leading order, 13 TeV unless the run says otherwise. W and Z are forced to electrons and muons;
``taus=1`` adds the tau channel. Measured: with the decays forced, no cut on the leptons of the hard process both saves
time and keeps the selection unbiased (|eta| < 2.7 loses 5 % of the selected WZ and 15 % of the selected Drell-Yan
events, because the recoil against radiation comes later), so none is applied.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Self

from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.kinematics import M_Z

BRANCHING_RATIOS = {23: (0.0673, 0.1010), 24: (0.2160, 0.3241)}
"""Leptonic branching ratios in PYTHIA 8.3 of Z (23) and W (24): without and with the tau channel."""


class Parameter(Settings):
    """A number that a process leaves to the user; a ``switch`` is 0 or 1."""

    title: str
    default: float
    minimum: float
    maximum: float
    unit: str = "GeV"
    switch: bool = False


_TAUS = Parameter(title="1 adds the tau channel of W and Z", default=0, minimum=0, maximum=1, unit="", switch=True)


class Process(Settings):
    """One process and everything that its simulation needs.

    Attributes:
        name: name in the catalogue.
        title: one line for people.
        settings: PYTHIA strings; ``{mass}`` stands for a parameter, ``{half_mass}`` for half of it, ``{leptons}`` for
            the identities of the charged leptons that W and Z decay to.
        parameters: the numbers that may be chosen; ``values`` holds the choice.
        slha: file name of the SLHA template in this package, empty where none is needed.
        later_bosons: W (24) and Z (23) from decays after the hard process, whose branching ratios PYTHIA's cross
            section lacks; see :attr:`cross_section_factor`.
        k_factor: ratio of the best known cross section to the leading-order one; 1 where none is applied.
        fakes: whether jets of this process are turned into leptons (:mod:`anomalon.simulation.fakes`).
        caveats: what the simulation leaves out.
        source: the document that uses this process.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    values: dict[str, float] = Field(default_factory=dict)
    slha: str = ""
    later_bosons: tuple[int, ...] = ()
    k_factor: float = 1.0
    fakes: bool = False
    caveats: tuple[str, ...] = ()
    source: str

    @property
    def label(self) -> str:
        """Name with the parameters that differ from their defaults, understood by :func:`get_process`.

        >>> get_process("c1n2", m_c1n2=800, m_lsp=50).label
        'c1n2(m_c1n2=800,m_lsp=50)'
        """
        chosen = [f"{k}={v:g}" for k, v in self.chosen.items() if v != self.parameters[k].default]
        return f"{self.name}({','.join(chosen)})" if chosen else self.name

    @property
    def chosen(self) -> dict[str, float]:
        """Value of every parameter."""
        return {name: self.values.get(name, parameter.default) for name, parameter in self.parameters.items()}

    @property
    def cross_section_factor(self) -> float:
        """Product of the branching ratios that PYTHIA's cross section lacks.

        PYTHIA's cross section contains the ratios of forced decays of the hard process' own resonances, not those of
        W and Z from later decays.

        >>> round(get_process("c1n2").cross_section_factor, 5)
        0.01454
        """
        factor = 1.0
        for boson in self.later_bosons:
            factor *= BRANCHING_RATIOS[boson][int(self.chosen.get("taus", 0))]
        return factor

    def commands(self) -> tuple[str, ...]:
        """PYTHIA strings with the parameters filled in.

        Raises:
            ConfigError: a placeholder is no parameter.
        """
        words: dict[str, str] = {name: f"{value:g}" for name, value in self.chosen.items()}
        words |= {f"half_{name}": f"{0.5 * value:g}" for name, value in self.chosen.items()}
        words["leptons"] = "11 13 15" if self.chosen.get("taus") else "11 13"
        try:
            return tuple(line.format(**words) for line in self.settings)
        except KeyError as error:
            word = str(error.args[0])
            raise ConfigError(f"process '{self.name}': {{{word}}} is no parameter; {suggest(word, words)}") from None

    def slha_text(self) -> str:
        """Spectrum and decay tables with the masses filled in; empty where the process needs none."""
        if not self.slha:
            return ""
        template = resources.files("anomalon.simulation").joinpath(self.slha).read_text(encoding="utf-8")
        return template.format(**{name: f"{value:.6e}" for name, value in self.chosen.items()})

    def with_values(self, **values: float) -> Self:
        """Return the same process with other parameters.

        Raises:
            UnknownNameError: a parameter does not exist.
            ConfigError: a value is out of range.
        """
        for name, value in values.items():
            if name not in self.parameters:
                hint = suggest(name, self.parameters) if self.parameters else "it has none"
                raise UnknownNameError(f"process '{self.name}' has no parameter '{name}'; {hint}")
            _check_range(self.name, name, value, self.parameters[name])
        changed = self.model_copy(update={"values": self.values | {k: float(v) for k, v in values.items()}})
        _check_masses(changed)
        return changed


def get_process(name: str, **parameters: float) -> Process:
    """Look a process up; parameters come as keywords or inside the name.

    Raises:
        UnknownNameError: the process or a parameter does not exist; the message suggests near ones.
        ConfigError: the name cannot be read, a value is not a number or out of range.

    >>> get_process("wprime-wz(mass=3000)").chosen["mass"]
    3000.0
    >>> get_process("drell-yang")
    Traceback (most recent call last):
    ...
    anomalon.errors.UnknownNameError: no process 'drell-yang'; did you mean 'drell-yan'?
    """
    base, inside = _parse(name)
    if base not in PROCESSES:
        raise UnknownNameError(f"no process '{base}'; {suggest(base, PROCESSES)}")
    return PROCESSES[base].with_values(**(inside | parameters))


def _parse(name: str) -> tuple[str, dict[str, float]]:
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", name)
    if match is None:
        raise ConfigError(f"process '{name}' cannot be read; write it as name or name(parameter=number,...)")
    pairs = [pair.partition("=") for pair in (match[2] or "").split(",") if pair.strip()]
    try:
        return match[1], {key.strip(): float(value) for key, _, value in pairs}
    except ValueError:
        raise ConfigError(f"process '{name}': a parameter is not a number; write {match[1]}(name=number,...)") from None


def _check_range(process: str, name: str, value: float, allowed: Parameter) -> None:
    between = f"{allowed.minimum:g} to {allowed.maximum:g} {allowed.unit}".strip()
    if not allowed.minimum <= value <= allowed.maximum:
        raise ConfigError(f"process '{process}': {name} = {value:g} is out of range; allowed: {between}")
    if allowed.switch and value not in (0, 1):
        raise ConfigError(f"process '{process}': {name} = {value:g} is a switch; allowed: 0 or 1")


def _check_masses(process: Process) -> None:
    masses = process.chosen
    split = masses.get("m_c1n2", 2.0 * M_Z) - masses.get("m_lsp", 0.0)
    if split <= M_Z:
        raise ConfigError(
            f"process '{process.name}': m_c1n2 - m_lsp = {split:g} GeV, must be larger than m_Z = {M_Z:g} GeV for the "
            "decay N2 -> Z N1; raise m_c1n2 or lower m_lsp"
        )


_FORCE_W = ("24:onMode=off", "24:onIfAny={leptons}")
_FORCE_Z = ("23:onMode=off", "23:onIfAny={leptons}")
_NO_TAUS = "tau channels of W and Z are left out unless taus=1"
_LO = "leading order; next-to-leading order is about {} times larger (k_factor stays 1)"
_TTBAR = ("Top:gg2ttbar=on", "Top:qqbar2ttbar=on")

_ALL = (
    Process(
        name="wprime-wz",
        title="W' -> WZ -> 3 leptons + neutrino",
        settings=(
            "NewGaugeBoson:ffbar2Wprime=on",
            "34:m0={mass}",
            # The tail below half the mass takes up to half of the events and none of the interest.
            "PhaseSpace:mHatMin={half_mass}",
            "Wprime:coup2WZ=1.",
            "34:onMode=off",
            "34:onIfAll=24 23",
            *_FORCE_W,
            *_FORCE_Z,
        ),
        parameters={
            "mass": Parameter(title="mass of the W'", default=2000, minimum=400, maximum=8000),
            "taus": _TAUS,
        },
        caveats=(_NO_TAUS, "mass below half the nominal one is left out"),
        source="Terrazas 2025 (UACJ)",
    ),
    Process(
        name="wz",
        title="WZ -> 3 leptons + neutrino",
        settings=("WeakDoubleBoson:ffbar2ZW=on", *_FORCE_W, *_FORCE_Z),
        parameters={"taus": _TAUS},
        caveats=(_NO_TAUS, "no virtual photon: m_ll is the Z's", _LO.format(2.0)),
        source="Terrazas 2025 (UACJ)",
    ),
    Process(
        name="zz",
        title="ZZ -> 4 leptons",
        settings=("WeakDoubleBoson:ffbar2gmZgmZ=on", "23:mMin=12.", *_FORCE_Z),
        parameters={"taus": _TAUS},
        caveats=(_NO_TAUS, "m_ll > 12 GeV", "gg -> ZZ is absent", _LO.format(1.7)),
        source="Terrazas 2025 (UACJ)",
    ),
    Process(
        name="drell-yan",
        title="Drell-Yan -> 2 leptons, a jet taken for the third",
        settings=("WeakSingleBoson:ffbar2gmZ=on", "PhaseSpace:mHatMin=50.", *_FORCE_Z),
        parameters={"taus": _TAUS},
        fakes=True,
        caveats=(_NO_TAUS, "m_ll > 50 GeV", "third leptons are jets taken for leptons, by weight", _LO.format(1.3)),
        source="Terrazas 2025 (UACJ)",
    ),
    Process(
        name="ttbar",
        title="top pairs, every decay",
        settings=_TTBAR,
        fakes=True,
        caveats=("contains ttbar-2l: use one of the two", _LO.format(1.6)),
        source="Senas 2018 (Cantabria)",
    ),
    Process(
        name="ttbar-2l",
        title="top pairs -> 2 leptons, 2 b quarks, neutrinos",
        settings=(*_TTBAR, *_FORCE_W),
        parameters={"taus": _TAUS},
        fakes=True,
        caveats=(_NO_TAUS, "part of ttbar: use one of the two", _LO.format(1.6)),
        source="Senas 2018 (Cantabria)",
    ),
    Process(
        name="c1n2",
        title="chargino-neutralino -> W Z + 2 lightest neutralinos -> 3 leptons",
        settings=("SUSY:qqbar2chi+-chi0=on", "SUSY:idA=1000024", "SUSY:idB=1000023", *_FORCE_W, *_FORCE_Z),
        parameters={
            "m_c1n2": Parameter(title="mass of chargino 1 and neutralino 2", default=450, minimum=100, maximum=3000),
            "m_lsp": Parameter(title="mass of the lightest neutralino", default=300, minimum=0, maximum=2900),
            "taus": _TAUS,
        },
        slha="c1n2.slha",
        later_bosons=(24, 23),
        caveats=(_NO_TAUS, "pure wino, degenerate masses, decays to W and Z only", _LO.format(1.6)),
        source="Frette 2023 (Oslo)",
    ),
)

PROCESSES: dict[str, Process] = {process.name: process for process in _ALL}
"""Every process by name."""
