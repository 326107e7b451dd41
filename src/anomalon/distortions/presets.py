"""Distortions with a name, and lists of distortions read from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from anomalon.config import Settings
from anomalon.distortions.distort import Distortion
from anomalon.distortions.momenta import Lose, Scale, Smear
from anomalon.distortions.which import Which
from anomalon.errors import UnknownNameError, suggest

Steps = tuple[Distortion, ...]


def leading_leptons(factor: float) -> Steps:
    """Multiply the pT of the leading electron and of the leading muon of every event."""
    return tuple(Scale(which=Which(collection=name, rank=1), factor=factor) for name in ("electrons", "muons"))


def lepton_scale(factor: float) -> Steps:
    """Multiply the pT of every electron and muon."""
    return (Scale(which=Which(collection="leptons"), factor=factor),)


def jet_scale(factor: float) -> Steps:
    """Multiply the four-vector of every jet: the jet energy scale."""
    return (Scale(which=Which(collection="jets"), factor=factor),)


def bjet_scale(factor: float) -> Steps:
    """Multiply the four-vector of every b-tagged jet."""
    return (Scale(which=Which(collection="jets", btag=True), factor=factor),)


def jet_resolution(constant: float) -> Steps:
    """Smear the four-vector of every jet by a relative width."""
    return (Smear(which=Which(collection="jets"), constant=constant),)


BARREL = 1.3
"""|eta| at which the barrel of the hadron calorimeter of CMS ends."""


def jet_eta_response(size: float) -> Steps:
    """Multiply the four-vector of every jet: by 1 + size in the barrel, by 1 - size beyond."""
    barrel, beyond = Which(collection="jets", eta_max=BARREL), Which(collection="jets", eta_min=BARREL)
    return Scale(which=barrel, factor=1.0 + size), Scale(which=beyond, factor=1.0 - size)


def endcap_jet_loss(probability: float) -> Steps:
    """Lose jets of the outer endcap, 1.7 <= |eta| < 2.5."""
    return (Lose(which=Which(collection="jets", eta_min=1.7, eta_max=2.5), probability=probability),)


PRESETS: Mapping[str, Steps] = {
    **{f"leading-leptons-x{factor:g}": leading_leptons(factor) for factor in (1.5, 3.0, 5.0, 7.0, 10.0)},
    "bjet-scale-0.5": bjet_scale(0.5),
    **{f"jet-scale-up-{percent}": jet_scale(1.0 + percent / 100) for percent in range(1, 6)},
    **{f"jet-scale-down-{percent}": jet_scale(1.0 - percent / 100) for percent in range(1, 6)},
    "lepton-scale-up-1": lepton_scale(1.01),
    "lepton-scale-down-1": lepton_scale(0.99),
    "jet-resolution-5": jet_resolution(0.05),
    "jet-resolution-10": jet_resolution(0.10),
    "jet-eta-response-5": jet_eta_response(0.05),
    "endcap-jet-loss-10": endcap_jet_loss(0.10),
    "endcap-jet-loss-20": endcap_jet_loss(0.20),
    "mild-detector": (*jet_eta_response(0.05), *jet_resolution(0.10), *endcap_jet_loss(0.10)),
}
"""Distortions by name. Numbers after up, down, resolution, response and loss are per cent."""


def preset(name: str) -> Steps:
    """Distortions of a name.

    Raises:
        UnknownNameError: there is none of that name.

    >>> preset("bjet-scale-0.5")[0].factor
    0.5
    """
    if name not in PRESETS:
        raise UnknownNameError(f"no distortion called '{name}'; {suggest(name, PRESETS)}")
    return PRESETS[name]


def _named(value: Any) -> Any:
    """Put the distortions in the place of their names, alone or in a list."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return value
    return [step for item in items for step in (preset(item) if isinstance(item, str) else (item,))]


Distortions = Annotated[tuple[Distortion, ...], BeforeValidator(_named)]
"""Type of a setting that holds distortions: a list of mappings and names of :data:`PRESETS`, or one name."""


class _Parsed(Settings):
    steps: Distortions


def parse_distortions(values: Any, where: str = "distortions") -> Steps:
    """Read distortions as they stand in YAML: a list of mappings and of names of :data:`PRESETS`, or one name.

    Raises:
        ConfigError: a name, a key or a value is wrong; one line says which.

    >>> steps = parse_distortions(["bjet-scale-0.5", {"kind": "lose", "which": {"collection": "photons"}}])
    >>> [step.kind for step in steps]
    ['scale', 'lose']
    """
    return _Parsed.parse({"steps": values}, where).steps
