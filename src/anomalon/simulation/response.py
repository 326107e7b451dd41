"""The numbers of a detector: acceptances, efficiencies, resolutions and tagging, as validated tables.

Tables are rows ``(eta_max, coefficient, ...)`` by increasing |eta|; beyond the last row nothing is seen.
Values: the Delphes cards ``delphes_card_CMS.tcl`` and ``delphes_card_ATLAS.tcl`` (arXiv:1307.6346), with three
differences that we state. Jets are anti-kt R = 0.4 (cards: 0.5 and 0.6); leptons and photons are isolated in a cone of
0.3 with sum pT / pT < 0.15 (cards: 0.5 and 0.12 to 0.25); jet energies are smeared as calibrated jets, not towers.
The presets are one table in :mod:`anomalon.simulation.presets`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings

Floats = npt.NDArray[np.float64]
Table = tuple[tuple[float, ...], ...]


class LeptonResponse(Settings):
    """Response to one flavour of lepton, or to photons.

    Attributes:
        pt_min: reconstructed pT in GeV above which objects exist.
        efficiency: (eta_max, below 100 GeV, above): reconstruction and identification together.
        resolution: (eta_max, ...): for muons (a, b), sigma(pT)/pT = sqrt(a^2 + (b pT)^2); for electrons and photons
            (f0, f2, eta0, c, s, n), sigma(E) = (f0 + f2 (|eta| - eta0)^2) sqrt((c E)^2 + s^2 E + n^2).
    """

    pt_min: float = Field(default=10.0, ge=0)
    efficiency: Table
    resolution: Table


class JetResponse(Settings):
    """Response to jets.

    Attributes:
        radius: of the anti-kt algorithm.
        pt_min: reconstructed pT in GeV above which jets exist.
        eta_max: acceptance.
        separation: jets closer than this to an accepted lepton or photon count as soft momentum.
        resolution: (eta_max, n, s, c): sigma(pT)/pT = sqrt((n / pT)^2 + s^2 / pT + c^2).
        btag_eta_max: acceptance of the b-tag.
        btag_cone: a hadron with a b or c quark this close makes a b or c jet.
        btag_b: (a, b, c, d): efficiency a tanh(b pT) c / (1 + d pT).
        btag_c: (a, b, d): a tanh(b pT) / (1 + d pT).
        btag_light: (a, b): a + b pT.
    """

    radius: float = Field(default=0.4, gt=0)
    pt_min: float = Field(default=20.0, gt=0)
    eta_max: float = 4.7
    separation: float = 0.4
    resolution: Table = ((1.7, 2.0, 0.8, 0.05), (3.2, 2.0, 0.9, 0.05), (5.0, 2.0, 1.0, 0.10))
    btag_eta_max: float = 2.5
    btag_cone: float = 0.3
    btag_b: tuple[float, float, float, float] = (0.85, 0.0025, 25.0, 0.063)
    btag_c: tuple[float, float, float] = (0.25, 0.018, 0.0013)
    btag_light: tuple[float, float] = (0.01, 3.8e-5)


class MetResponse(Settings):
    """Response to what is in no lepton, photon or jet.

    Attributes:
        soft_scale: part of the soft momentum that is seen.
        soft_resolution: each component is smeared by this times sqrt(sum of soft pT), in GeV^0.5.
        eta_max: calorimeters end here.
        muon_eta_max: muons further out leave nothing.
        muons: whether muons count; without, their momentum is missing (calorimeter MET).
    """

    soft_scale: float = 0.9
    soft_resolution: float = Field(default=0.5, ge=0)
    eta_max: float = 5.0
    muon_eta_max: float = 2.5
    muons: bool = True


class StoredIf(Settings):
    """One way for an event to be stored: an object of ``collection`` above ``pt_min`` within ``eta_max``.

    Attributes:
        collection: electrons, muons, photons or jets.
        pt_min: in GeV.
        eta_max: acceptance.
        gap: range of |eta| that does not count, such as the one between barrel and endcap.
    """

    collection: Literal["electrons", "muons", "photons", "jets"]
    pt_min: float
    eta_max: float
    gap: tuple[float, float] | None = None


class DetectorSettings(Settings):
    """Everything that turns particles into reconstructed objects.

    Attributes:
        isolation_cone, isolation_max: leptons and photons need sum pT(others) / pT below the maximum in the cone;
            electrons and muons do not count, so that the two of a fast Z do not veto each other.
        isolation_pt_min: particles below this pT in GeV do not count.
        dressing_cone: photons this close belong to the electron (bremsstrahlung).
        merging_cone: two electrons this close make one cluster, as from a photon that converts.
        nonprompt_efficiency: extra efficiency of isolated leptons from hadron decays: the impact-parameter cut.
        stored_if: events are stored where one of these holds; empty stores all. Sums of weights are taken before.
    """

    name: str
    electrons: LeptonResponse
    muons: LeptonResponse
    photons: LeptonResponse
    jets: JetResponse = JetResponse()
    met: MetResponse = MetResponse()
    isolation_cone: float = Field(default=0.3, gt=0)
    isolation_max: float = Field(default=0.15, gt=0)
    isolation_pt_min: float = 0.5
    dressing_cone: float = 0.1
    merging_cone: float = 0.04
    nonprompt_efficiency: float = Field(default=0.3, ge=0, le=1)
    stored_if: tuple[StoredIf, ...] = ()

    @model_validator(mode="after")
    def _tables_increase(self) -> Self:
        for part in ("electrons", "muons", "photons", "jets"):
            for field in ("efficiency", "resolution"):
                edges = [row[0] for row in getattr(getattr(self, part), field, ())]
                if edges != sorted(edges):
                    raise ValueError(f"{part}.{field}: rows must be sorted by increasing eta_max, got {edges}")
        return self


def lookup(table: Table, eta: Floats) -> Floats:
    """Coefficients of each object's row, shape (object, coefficient); 0 beyond the last row.

    >>> lookup(((1.5, 0.9), (2.5, 0.8)), np.array([-1.0, 2.0, 3.0]))[:, 0].tolist()
    [0.9, 0.8, 0.0]
    """
    rows = np.asarray(table, dtype=np.float64)
    padded = np.vstack([rows[:, 1:], np.zeros(rows.shape[1] - 1)])
    return np.asarray(padded[np.searchsorted(rows[:, 0], np.abs(eta))])


def efficiency(table: Table, pt: Floats, eta: Floats) -> Floats:
    """Efficiency from rows (eta_max, below 100 GeV, above)."""
    low, high = lookup(table, eta).T
    return np.asarray(np.where(pt > 100.0, high, low))


def track_resolution(table: Table, pt: Floats, eta: Floats) -> Floats:
    """sigma(pT)/pT of a muon from rows (eta_max, a, b)."""
    a, b = lookup(table, eta).T
    return np.asarray(np.hypot(a, b * pt))


def calorimeter_resolution(table: Table, energy: Floats, eta: Floats) -> Floats:
    """sigma(E)/E of an electron or photon from rows (eta_max, f0, f2, eta0, c, s, n)."""
    f0, f2, eta0, c, s, n = lookup(table, eta).T
    shape = f0 + f2 * (np.abs(eta) - eta0) ** 2
    return np.asarray(shape * np.sqrt((c * energy) ** 2 + s * s * energy + n * n) / energy)


def jet_resolution(table: Table, pt: Floats, eta: Floats) -> Floats:
    """sigma(pT)/pT of a jet from rows (eta_max, n, s, c)."""
    n, s, c = lookup(table, eta).T
    return np.asarray(np.sqrt((n / pt) ** 2 + s * s / pt + c * c))


def btag_efficiency(jets: JetResponse, pt: Floats, flavour: npt.NDArray[Any]) -> Floats:
    """Probability of a b-tag for jets of flavour 5 (b), 4 (c) or 0."""
    a, b, c, d = jets.btag_b
    tag_b = a * np.tanh(b * pt) * c / (1.0 + d * pt)
    a, b, d = jets.btag_c
    tag_c = a * np.tanh(b * pt) / (1.0 + d * pt)
    light = jets.btag_light[0] + jets.btag_light[1] * pt
    return np.asarray(np.select([flavour == 5, flavour == 4], [tag_b, tag_c], light))
