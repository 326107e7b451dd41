"""Exaggerated events: background in which everything hard is harder, or in which momentum is missing.

Unlike the distortions beside it these are no model of a detector: momentum need not balance, for what a detector is to
learn from them is what a heavy or an invisible particle would do to an event.
"""

from __future__ import annotations

import numpy as np
from pydantic import model_validator

from anomalon.config import Settings
from anomalon.distortions.flat import Floats, Ints, Mask, Objects, rebuilt
from anomalon.distortions.phase_space import log_uniform
from anomalon.events import Events

_LEPTONS = ("electrons", "muons")


class Exaggeration(Settings):
    """How events are exaggerated: each in one of three ways, with equal chance.

    Leptons, jets and missing momentum scaled by one factor; a vector added to the missing momentum; or leptons and the
    size of the missing momentum scaled, its direction random.

    Attributes:
        factor: smallest and largest factor; its logarithm is uniform.
        met_gev: smallest and largest size of the vector; its logarithm is uniform.
    """

    factor: tuple[float, float] = (1.2, 6.0)
    met_gev: tuple[float, float] = (20.0, 1000.0)

    @model_validator(mode="after")
    def _ranges(self) -> Exaggeration:
        for name, (low, high) in (("factor", self.factor), ("met_gev", self.met_gev)):
            if not 0 < low <= high:
                raise ValueError(f"{name} = {low:g} to {high:g}: expected two positive numbers, the smaller first")
        return self

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return frozenset({"met.pt", "met.phi", *(f"{name}.pt" for name in (*_LEPTONS, "jets"))})

    def make(self, hosts: Events, rng: np.random.Generator) -> tuple[Events, Mask]:
        """One exaggerated event of every host, in their order, and that all hosts made one, shape (host,).

        Raises:
            MissingFieldError: the hosts lack a field.
        """
        hosts.require(sorted(self.requires), "exaggerated events")
        n = len(hosts)
        way = rng.integers(0, 3, n)
        factor = log_uniform(self.factor, n, rng)
        of_leptons = np.where(way != 1, factor, 1.0)
        of_jets = np.where(way == 0, factor, 1.0)
        replaced = {name: _scaled(Objects.read(hosts, name), of_leptons) for name in _LEPTONS}
        replaced["jets"] = _scaled(Objects.read(hosts, "jets"), of_jets)
        return rebuilt(hosts, replaced, self._added(hosts, way, factor, rng)), np.ones(n, dtype=np.bool_)

    def _added(self, hosts: Events, way: Ints, factor: Floats, rng: np.random.Generator) -> Floats:
        """What is added to the missing transverse momentum, (2, event)."""
        met, phi = (hosts.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
        before = met * np.stack([np.cos(phi), np.sin(phi)])
        turned = rng.uniform(-np.pi, np.pi, len(hosts))
        direction = np.stack([np.cos(turned), np.sin(turned)])
        vector = log_uniform(self.met_gev, len(hosts), rng) * direction
        after = [factor * before, before + vector, factor * met * direction]
        return np.asarray(np.choose(way, after) - before)


def _scaled(objects: Objects, factor: Floats) -> Objects:
    pt = objects.columns["pt"] * factor[objects.owner]
    return objects.with_values(np.arange(len(objects)), {"pt": pt.astype(np.float32)})
