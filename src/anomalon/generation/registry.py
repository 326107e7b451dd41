"""Generators by name. Third parties join through the entry point ``anomalon.generators``, or by registering."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from anomalon.errors import UnknownNameError, suggest
from anomalon.generation.contract import Generator
from anomalon.models.storage import read_manifest

_GENERATORS: dict[str, Any] = {
    "autoregressive": "anomalon.generation.autoregressive:Autoregressive",
    "beta-vae": "anomalon.generation.vae:BetaVAE",
    "flow-matching": "anomalon.generation.set_flow:SetFlow",
    "garcia2024-wgan": "anomalon.generation.gan:WGAN",
    "garcia2024-wgan-gp": "anomalon.generation.gan:WGANGP",
    "garcia2024-wgan-gp-small": "anomalon.generation.gan:SmallWGANGP",
    "garcia2024-wgan-small": "anomalon.generation.gan:SmallWGAN",
    "marginals": "anomalon.generation.marginals:Marginals",
    "spline-flow": "anomalon.generation.spline_flow:SplineFlow",
}


def generator_names() -> tuple[str, ...]:
    """Names of the registered generators."""
    return tuple(_all())


def get_generator(name: str) -> type[Generator]:
    """Class of a generator.

    Raises:
        UnknownNameError: there is no such generator; the message suggests near ones.

    >>> get_generator("marginals").__name__
    'Marginals'
    """
    known = _all()
    if name not in known:
        raise UnknownNameError(f"no generator '{name}'; {suggest(name, known)}")
    found = known[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(import_module(module), attribute)
    elif not isinstance(found, type):
        found = found.load()
    if not (isinstance(found, type) and issubclass(found, Generator)):
        raise UnknownNameError(f"'{name}' is registered as a generator and is none: {found!r}")
    return found


def register_generator(name: str, generator: type[Generator]) -> None:
    """Add a generator, or replace the one of that name."""
    _GENERATORS[name] = generator


def load_generator(folder: Path) -> Generator:
    """Read a saved generator of any registered kind.

    Raises:
        ModelFileError: the files are damaged.
        UnknownNameError: the kind is not registered here.
    """
    return get_generator(str(read_manifest(folder, Generator._manifest, ("kind",))["kind"])).load(folder)


def _all() -> dict[str, Any]:
    return {**_installed(), **_GENERATORS}


@cache
def _installed() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="anomalon.generators")}
