"""The soft part of missing transverse momentum: what is in no object of the event."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from anomalon.config import Settings
from anomalon.distortions.flat import Draws, Objects, rebuilt
from anomalon.events import COLLECTIONS, Events


class Soft(Settings):
    """Multiply the soft momentum, -(MET + sum of pT of all objects), by a factor; objects stay.

    MET' = MET + (factor - 1) (MET + sum of pT), as transverse vectors. Objects in two collections at once, such as an
    electron that is also among the jets, would count twice.

    Attributes:
        factor: of the soft momentum; not negative.
    """

    kind: Literal["soft"] = "soft"
    factor: float = Field(ge=0)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        momenta = (f"{name}.{column}" for name in COLLECTIONS for column in ("pt", "phi"))
        return frozenset({*momenta, "met.pt", "met.phi"})

    def apply(self, events: Events, draws: Draws) -> Events:
        """Distort events."""
        del draws
        pt, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
        total = np.stack([pt * np.cos(phi), pt * np.sin(phi)])
        for name in COLLECTIONS:
            objects = Objects.read(events, name)
            total += objects.momentum(np.arange(len(objects)))
        return rebuilt(events, {}, (self.factor - 1.0) * total)
