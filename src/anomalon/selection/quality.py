"""Quality of leptons: isolation, impact parameter, identification.

Raw NanoAOD lists every candidate, so that most "trileptons" of a raw file are jets and decays of heavy flavour: ask
for identification and isolation there. Simulation of this package, ATLAS and Delphes files hold good leptons already.
"""

from __future__ import annotations

from typing import Literal

import awkward as ak
from pydantic import Field

from anomalon.config import Settings
from anomalon.events import Events


class IdMinimum(Settings):
    """Lowest identification per flavour: 1 veto (electrons only), 2 loose, 3 medium, 4 tight; None takes any.

    >>> IdMinimum(muons=3).requires
    frozenset({'muons.id'})
    """

    electrons: float | None = Field(default=None, ge=0, le=4)
    muons: float | None = Field(default=None, ge=0, le=4)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read."""
        return frozenset(f"{name}.id" for name in ("electrons", "muons") if getattr(self, name) is not None)

    def passes(self, leptons: ak.Array, flavour: Literal["electrons", "muons"]) -> ak.Array | bool:
        """Mask (event, lepton) of the leptons of one flavour that pass; True where nothing is asked."""
        minimum = self.electrons if flavour == "electrons" else self.muons
        return True if minimum is None else leptons.id >= minimum


class LeptonQuality(Settings):
    """Cuts on every lepton; all are off by default.

    Attributes:
        isolation_max: maximum relative isolation.
        d0_significance_max: maximum |d0|/sigma.
        id_min: lowest identification per flavour.

    A value that is NaN (not measured) fails a cut that asks for it.
    """

    isolation_max: float | None = Field(default=None, gt=0)
    d0_significance_max: float | None = Field(default=None, gt=0)
    id_min: IdMinimum = IdMinimum()

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read."""
        columns = ["isolation"] if self.isolation_max is not None else []
        columns += ["d0_significance"] if self.d0_significance_max is not None else []
        both = frozenset(f"{flavour}.{column}" for flavour in ("electrons", "muons") for column in columns)
        return both | self.id_min.requires

    def good(self, leptons: ak.Array, flavour: Literal["electrons", "muons"]) -> ak.Array:
        """Mask (event, lepton) of the leptons of one flavour that pass."""
        mask = leptons.pt == leptons.pt
        if self.isolation_max is not None:
            mask = mask & (leptons.isolation < self.isolation_max)
        if self.d0_significance_max is not None:
            mask = mask & (abs(leptons.d0_significance) < self.d0_significance_max)
        return mask & self.id_min.passes(leptons, flavour)

    def apply(self, events: Events) -> Events:
        """Events with only the good leptons; no event is removed.

        Raises:
            MissingFieldError: the events lack a column that a cut needs.
        """
        events.require(sorted(self.requires), "lepton quality")
        array = events.array
        flavours: tuple[Literal["electrons", "muons"], ...] = ("electrons", "muons")
        for flavour in flavours:
            if events.has(flavour):
                array = ak.with_field(array, array[flavour][self.good(array[flavour], flavour)], flavour)
        return Events(array, events.samples)
