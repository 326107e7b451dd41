"""The variables of an event picture: what two leptons and two b-jets are, and what follows from them.

Primary ones are pT, eta and phi of each; secondary ones are missing transverse momentum, sums and masses. Garcia Senas
2018 (Cantabria), section on images.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.events import Events
from anomalon.kinematics import M_ELECTRON, M_MUON, pair_mass, transverse_mass, transverse_momentum_of_sum

Values = npt.NDArray[np.float64]

PRIMARY = tuple(f"{name}.{quantity}" for name in ("l1", "l2", "b1", "b2") for quantity in ("pt", "eta", "phi"))
"""Rows of a picture: leptons and b-jets by decreasing pT; GeV, rad."""
SECONDARY = ("met", "met.phi", "ht", "st", "m_ll", "mt_l1", "mt_l2", "m_bb", "pt_ll", "pt_bb")
"""Columns of a picture; ht is the sum of jets' pT, st adds leptons and met. Nine columns leave out ``pt_bb``."""
REQUIRES = (
    *(f"{name}.{column}" for name in ("electrons", "muons") for column in ("pt", "eta", "phi")),
    *(f"jets.{column}" for column in ("pt", "eta", "phi", "mass", "btag")),
    "met.pt",
    "met.phi",
)
"""Event fields that are read."""


def drawable(events: Events) -> npt.NDArray[np.bool_]:
    """Whether an event has two leptons and two b-jets at least, shape (event,)."""
    leptons = ak.num(events.array.electrons.pt) + ak.num(events.array.muons.pt)
    return np.asarray((leptons >= 2) & (ak.sum(events.array.jets.btag, axis=1) >= 2))


def picture_variables(events: Events) -> Values:
    """Primary, then secondary variables, shape (event, 22).

    Args:
        events: :func:`drawable` ones.

    Raises:
        MissingFieldError: the events lack a collection or column.
    """
    events.require(REQUIRES, "event pictures")
    leptons = _hardest([(events.array.electrons, M_ELECTRON), (events.array.muons, M_MUON)])
    jets = events.array.jets
    bjets = _hardest([(jets[ak.values_astype(jets.btag, bool)], None)])
    met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
    ht = ak.to_numpy(ak.sum(jets.pt, axis=1)).astype(np.float64)
    (l1, l2), (b1, b2) = leptons, bjets
    secondary = [met, phi, ht, ht + l1[0] + l2[0] + met, pair_mass(l1, l2)]
    secondary += [transverse_mass(one[0], one[2], one[3], met, phi) for one in (l1, l2)]
    secondary += [pair_mass(b1, b2)]
    secondary += [transverse_momentum_of_sum([(a[0], a[2]), (b[0], b[2])]) for a, b in ((l1, l2), (b1, b2))]
    return np.stack([*(one[i] for one in (l1, l2, b1, b2) for i in range(3)), *secondary], axis=1)


def _hardest(collections: list[tuple[Any, float | None]]) -> list[tuple[Values, Values, Values, Values]]:
    """(pt, eta, phi, mass) of the two hardest objects of some collections together."""
    columns = [
        ak.concatenate([ak.values_astype(c[name], np.float64) for c, _ in collections], axis=1)
        for name in ("pt", "eta", "phi")
    ]
    masses = [c.mass if mass is None else ak.ones_like(c.pt) * mass for c, mass in collections]
    columns.append(ak.concatenate([ak.values_astype(m, np.float64) for m in masses], axis=1))
    order = ak.argsort(columns[0], axis=1, ascending=False, stable=True)[:, :2]
    pt, eta, phi, mass = (ak.to_numpy(ak.to_regular(column[order])) for column in columns)
    return [(pt[:, i], eta[:, i], phi[:, i], mass[:, i]) for i in (0, 1)]
