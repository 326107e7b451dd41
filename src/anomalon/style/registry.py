"""Calibrations by name. Third parties join through the entry point ``anomalon.calibrators``, or by registering."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.models.storage import read_manifest
from anomalon.style.contract import Calibrator

_CALIBRATORS: dict[str, Any] = {
    "response": "anomalon.style.response:ParametricResponse",
    "quantiles": "anomalon.style.quantiles:QuantileMorphing",
    "sliced-transport": "anomalon.style.transport:SlicedTransport",
    "entropic-transport": "anomalon.style.transport:EntropicTransport",
    "flow-matching": "anomalon.style.flow_matching:FlowMatching",
    "efficiency": "anomalon.style.efficiency:Efficiency",
    "reweighting": "anomalon.style.reweighting:Reweighting",
    "chain": "anomalon.style.chain:Chain",
}


def calibrator_names() -> tuple[str, ...]:
    """Names of the registered calibrations."""
    return tuple(_all())


def get_calibrator(name: str) -> type[Calibrator]:
    """Class of a calibration.

    Raises:
        UnknownNameError: there is no such calibration; the message suggests near ones.

    >>> get_calibrator("response").__name__
    'ParametricResponse'
    """
    known = _all()
    if name not in known:
        raise UnknownNameError(f"no calibration '{name}'; {suggest(name, known)}")
    found = known[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(import_module(module), attribute)
    elif not isinstance(found, type):
        found = found.load()
    if not (isinstance(found, type) and issubclass(found, Calibrator)):
        raise UnknownNameError(f"'{name}' is registered as a calibration and is none: {found!r}")
    return found


def calibrator(values: Mapping[str, Any], where: str = "calibrator") -> Calibrator:
    """A calibration from plain values, of which ``kind`` names it.

    Raises:
        ConfigError: the kind is missing or unknown, or a setting is wrong.

    >>> calibrator({"kind": "quantiles", "conditional": True}).settings.conditional
    True
    """
    if "kind" not in values:
        raise ConfigError(f"{where}: key 'kind' is required; {suggest('', calibrator_names())}")
    try:
        found = get_calibrator(str(values["kind"]))
    except UnknownNameError as error:
        raise ConfigError(f"{where}: {error}") from None
    settings = {name: value for name, value in values.items() if name != "kind"}
    return found(found.Settings.parse(settings, where=where))


def register_calibrator(name: str, found: type[Calibrator]) -> None:
    """Add a calibration, or replace the one of that name."""
    _CALIBRATORS[name] = found


def load_calibrator(folder: Path) -> Calibrator:
    """Read a saved calibration of any registered kind.

    Raises:
        ModelFileError: the files are damaged.
        UnknownNameError: the kind is not registered here.
    """
    return get_calibrator(str(read_manifest(folder, Calibrator._manifest, ("kind",))["kind"])).load(folder)


def _all() -> dict[str, Any]:
    return {**_installed(), **_CALIBRATORS}


@cache
def _installed() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="anomalon.calibrators")}
