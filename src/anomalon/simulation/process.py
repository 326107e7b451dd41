"""What a process is: PYTHIA's settings, the user's parameters, corrections and caveats."""

from __future__ import annotations

from importlib import resources
from typing import Self

from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, UnknownNameError, suggest

BRANCHING_RATIOS = {23: (0.0673, 0.1010), 24: (0.2160, 0.3241)}
"""Leptonic branching ratios in PYTHIA 8.3 of Z (23) and W (24): without and with the tau channel."""

_DECOUPLED = {"m_stop": 1e4, "m_gluino": 1e4, "m_c1n2": 1e4, "m_lsp": 1e4}
"""Superpartners that a process does not use are too heavy to matter."""


_BIAS_FROM = 10.0


class Parameter(Settings):
    """A number that a process leaves to the user; a ``switch`` is 0 or 1."""

    title: str
    default: float
    minimum: float
    maximum: float
    unit: str = "GeV"
    switch: bool = False


class Gap(Settings):
    """A decay that must stay open: ``heavy`` - sum of ``light`` > ``above``, in GeV."""

    heavy: str
    light: tuple[str, ...] = ()
    above: float
    decay: str


class Process(Settings):
    """One process and everything that its simulation needs.

    Attributes:
        name: name in the catalogue.
        title: one line for people.
        settings: PYTHIA strings; ``{mass}`` stands for a parameter, ``{half_mass}`` for half of it, ``{bias_on}`` for
            on or off, ``{leptons}`` for the identities of the charged leptons that W and Z decay to.
        parameters: the numbers that may be chosen; ``values`` holds the choice.
        slha: file name of the SLHA template in this package, empty where none is needed.
        decays: SLHA decay tables, a line each.
        gaps: mass differences that the decays need.
        later_bosons: W (24) and Z (23) from decays after the hard process, whose branching ratios PYTHIA's cross
            section lacks; see :attr:`cross_section_factor`.
        scale: further factor that PYTHIA's cross section lacks.
        scale_by: parameters that multiply the cross section.
        k_factor: ratio of the best known cross section to the leading-order one; 1 where none is applied.
        fakes: whether jets of this process are turned into leptons (:mod:`anomalon.simulation.fakes`).
        caveats: what the simulation leaves out.
        source: the documents that use this process.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    values: dict[str, float] = Field(default_factory=dict)
    slha: str = ""
    decays: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    later_bosons: tuple[int, ...] = ()
    scale: float = 1.0
    scale_by: tuple[str, ...] = ()
    k_factor: float = 1.0
    fakes: bool = False
    caveats: tuple[str, ...] = ()
    source: str

    @property
    def label(self) -> str:
        """Name with the parameters that differ from their defaults, understood by :func:`get_process`."""
        chosen = [f"{k}={v:g}" for k, v in self.chosen.items() if v != self.parameters[k].default]
        return f"{self.name}({','.join(chosen)})" if chosen else self.name

    @property
    def chosen(self) -> dict[str, float]:
        """Value of every parameter."""
        return {name: self.values.get(name, parameter.default) for name, parameter in self.parameters.items()}

    @property
    def cross_section_factor(self) -> float:
        """What PYTHIA's cross section must be multiplied by.

        PYTHIA's cross section contains the ratios of forced decays of the hard process' own resonances, not those of
        W and Z from later decays, nor the true ratio of a decay channel that was added by hand.
        """
        factor = self.scale
        for boson in self.later_bosons:
            factor *= BRANCHING_RATIOS[boson][int(self.chosen.get("taus", 0))]
        for name in self.scale_by:
            factor *= self.chosen[name]
        return factor

    def commands(self) -> tuple[str, ...]:
        """PYTHIA strings with the parameters filled in.

        Raises:
            ConfigError: a placeholder is no parameter.
        """
        words: dict[str, str] = {}
        for name, value in self.chosen.items():
            words |= {name: f"{value:g}", f"half_{name}": f"{0.5 * value:g}", f"{name}_on": "on" if value else "off"}
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
        masses = {name: f"{value:.6e}" for name, value in (_DECOUPLED | self.chosen).items()}
        return template.format(**masses) + "".join(f"{line}\n" for line in self.decays)

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
        _check_gaps(changed)
        _check_slice(changed)
        return changed


def _check_range(process: str, name: str, value: float, allowed: Parameter) -> None:
    between = f"{allowed.minimum:g} to {allowed.maximum:g} {allowed.unit}".strip()
    if not allowed.minimum <= value <= allowed.maximum:
        raise ConfigError(f"process '{process}': {name} = {value:g} is out of range; allowed: {between}")
    if allowed.switch and value not in (0, 1):
        raise ConfigError(f"process '{process}': {name} = {value:g} is a switch; allowed: 0 or 1")


def _check_gaps(process: Process) -> None:
    masses = process.chosen
    for gap in process.gaps:
        split = masses[gap.heavy] - sum(masses[name] for name in gap.light)
        if split <= gap.above:
            raise ConfigError(
                f"process '{process.name}': {' - '.join((gap.heavy, *gap.light))} = {split:g} GeV, must be larger than "
                f"{gap.above:g} GeV for the decay {gap.decay}; raise {gap.heavy}"
                + (f" or lower {gap.light[-1]}" if gap.light else "")
            )


def _check_slice(process: Process) -> None:
    low, high = process.chosen.get("pt_min", 0.0), process.chosen.get("pt_max", -1.0)
    if 0 <= high <= low:
        raise ConfigError(
            f"process '{process.name}': pt_max = {high:g} GeV, must be larger than pt_min = {low:g} GeV, or -1 for none"
        )
    if process.chosen.get("bias") and low < _BIAS_FROM:
        raise ConfigError(
            f"process '{process.name}': bias with pt_min = {low:g} GeV, must be at least {_BIAS_FROM:g} GeV: weights "
            "grow without limit towards zero pT"
        )


TERRAZAS = "Terrazas 2025 (UACJ)"
GARCIA_RUIZ = "Garcia Ruiz 2024 (UPV)"
SENAS = "Senas 2018 (Cantabria)"
BARRIOS = "Barrios 2022 (LIP)"
FRETTE = "Frette 2023 (Oslo)"

TAUS = Parameter(title="1 adds the tau channel of W and Z", default=0, minimum=0, maximum=1, unit="", switch=True)
FORCE_W = ("24:onMode=off", "24:onIfAny={leptons}")
FORCE_Z = ("23:onMode=off", "23:onIfAny={leptons}")
NO_TAUS = "tau channels of W and Z are left out unless taus=1"


def mass(title: str, default: float, minimum: float, maximum: float) -> Parameter:
    """A mass in GeV."""
    return Parameter(title=title, default=default, minimum=minimum, maximum=maximum)


def hard_scale(pt_min: float, *, minimum: float = 0) -> dict[str, Parameter]:
    """Parameters of a slice of the hard process in pT, and of its bias; massless partons need a minimum."""
    power = "power of pT by which hard events are made more often and weigh less; 0 for none"
    return {
        "pt_min": Parameter(title="lowest pT of the hard process", default=pt_min, minimum=minimum, maximum=6000),
        "pt_max": Parameter(title="highest pT; -1 for none", default=-1, minimum=-1, maximum=6500),
        "bias": Parameter(title=power, default=0, minimum=0, maximum=8, unit=""),
    }


HARD_SCALE = (
    "PhaseSpace:pTHatMin={pt_min}",
    "PhaseSpace:pTHatMax={pt_max}",
    "PhaseSpace:bias2Selection={bias_on}",
    "PhaseSpace:bias2SelectionPow={bias}",
    # The reference only fixes the scale of the weights, which their sum divides out.
    "PhaseSpace:bias2SelectionRef=100",
)
