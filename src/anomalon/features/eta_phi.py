"""Events as pictures of a calorimeter that is unrolled: pT per cell of (eta, phi), one picture per type of object.

A cell holds the summed pT of the objects in it. Azimuth has no end: the last column of cells touches the first. The
missing momentum has no eta: its picture has an equal share of it in every cell of its column.

Pictures of jets, as in de Oliveira et al., arXiv:1511.05190, here of whole events with a picture per object type.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Deposits = tuple[Ints, Floats, Ints, Floats]
"""Event, pT in GeV, row of eta and azimuth of each deposit."""
Channel = Literal["jet", "bjet", "electron", "muon", "photon", "met"]

COLLECTION_OF: dict[str, str] = {
    "jet": "jets", "bjet": "jets", "electron": "electrons", "muon": "muons", "photon": "photons",
}  # fmt: skip
CHANNELS: tuple[Channel, ...] = ("jet", "bjet", "electron", "muon", "photon", "met")
_ROWS = 4096
"""Events whose cells are summed at a time: their sums are in double precision, twice the size of the values."""
_FULL_TURN = 2.0 * np.pi


class EtaPhiImages(Settings):
    """pT in GeV per cell, picture by picture, in each row by row of eta.

    Where ``channels`` names ``bjet``, a ``jet`` is one without b-tag; otherwise all jets are ``jet``.

    Attributes:
        channels: types of objects, one picture each; objects of others are not seen.
        eta_max: end of the pictures in absolute eta; objects beyond are not seen.
        eta_cells: rows of a picture.
        phi_cells: columns of a picture.
        pt_min: objects need more pT than this, in GeV.
        rotate: ``leading`` turns the event around the beam until its hardest object is in the middle of the column of
            phi = 0, so that an event and the same event turned are one; ``none`` leaves it.

    >>> images = EtaPhiImages(channels=("muon", "met"), eta_max=2.0, eta_cells=2, phi_cells=4)
    >>> event = {"muons": [{"pt": 30.0, "eta": 0.5, "phi": 3.1}], "met": {"pt": 8.0, "phi": -1.5}}
    >>> images.pictures(images.transform(Events.from_dicts([event])).values)[0].tolist()
    [[[0.0, 0.0, 0.0, 0.0], [30.0, 0.0, 0.0, 0.0]], [[0.0, 4.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]]]
    """

    channels: tuple[Channel, ...] = Field(default=CHANNELS, min_length=1)
    eta_max: float = Field(default=3.0, gt=0)
    eta_cells: Annotated[int, Field(ge=1, le=200)] = 12
    phi_cells: Annotated[int, Field(ge=1, le=400)] = 16
    pt_min: float = Field(default=0.0, ge=0)
    rotate: Literal["none", "leading"] = "leading"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pictures, rows of eta, columns of phi."""
        return (len(self.channels), self.eta_cells, self.phi_cells)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, such as ``jet_3_11_pt``: row, from eta = -eta_max, and column, from phi = 0, of a cell."""
        return tuple(
            f"{channel}_{row}_{column}_pt"
            for channel in self.channels for row in range(self.eta_cells) for column in range(self.phi_cells)
        )  # fmt: skip

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        collections = {COLLECTION_OF[channel] for channel in self.channels if channel != "met"}
        fields = {f"{name}.{column}" for name in collections for column in ("pt", "eta", "phi")}
        met = {"met.pt", "met.phi"} if "met" in self.channels else set()
        return frozenset(fields | met | ({"jets.btag"} if "bjet" in self.channels else set()))

    def transform(self, events: Events) -> Features:
        """Compute the pictures, float32 (event, cell); no value is ever missing.

        An object whose pT, eta or phi is not finite makes the first cell of its picture NaN.

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "feature set 'eta-phi-images'")
        values = np.empty((len(events), int(np.prod(self.shape))), dtype=np.float32)
        for start in range(0, len(events), _ROWS):
            values[start : start + _ROWS] = self._cells(events[start : start + _ROWS])
        return Features(values, np.broadcast_to(np.True_, values.shape), self.names)

    def pictures(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Values of :meth:`transform`, (event, cell), as (event, channel, eta, phi); nothing is copied."""
        return values.reshape(len(values), *self.shape)

    def _cells(self, events: Events) -> Floats:
        """Cells of some events, (event, cell)."""
        n = len(events)
        found = [self._deposits(events, channel) for channel in self.channels]
        axis = self._axis(found, n) if self.rotate == "leading" else np.zeros(n)
        sums = np.zeros((n * self.shape[0], self.eta_cells * self.phi_cells))
        for number, (owner, pt, row, phi) in enumerate(found):
            column, whole = self._column(phi - axis[owner])
            at = np.where(whole & np.isfinite(pt), row * self.phi_cells + column, 0)
            np.add.at(sums, (owner * self.shape[0] + number, at), np.where(whole, pt, np.nan))
        return sums.reshape(n, -1)

    def _deposits(self, events: Events, channel: Channel) -> Deposits:
        """Event, pT (GeV), row and phi of what a picture holds."""
        if channel == "met":
            met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
            owner = np.repeat(np.arange(len(events)), self.eta_cells)
            row = np.tile(np.arange(self.eta_cells), len(events))
            return owner, met[owner] / self.eta_cells, row, phi[owner]
        tagged = COLLECTION_OF[channel] == "jets" and "bjet" in self.channels
        lists = events.lists(COLLECTION_OF[channel], ("pt", "eta", "phi", *(("btag",) if tagged else ())))
        owner, place = lists.objects_of(np.arange(len(events)))
        pt, eta, phi = (lists[name][place].astype(np.float64) for name in ("pt", "eta", "phi"))
        keep = ~((pt <= self.pt_min) | (np.abs(eta) >= self.eta_max))  # what is not a number stays, to be told
        if tagged:
            keep &= lists["btag"][place].astype(np.bool_) == (channel == "bjet")
        broken = ~np.isfinite(eta)
        row = np.where(broken, 0.0, (eta + self.eta_max) / (2.0 * self.eta_max) * self.eta_cells).astype(np.int64)
        pt = np.where(broken, np.nan, pt)
        return owner[keep], pt[keep], np.clip(row[keep], 0, self.eta_cells - 1), phi[keep]

    def _axis(self, found: list[Deposits], n: int) -> Floats:
        """Azimuth of the hardest object of each event, of the missing momentum where there is none, 0 without either.

        Shape (event,).
        """
        axis = np.zeros(n)
        objects = [d for d, channel in zip(found, self.channels, strict=True) if channel != "met"]
        met = [d for d, channel in zip(found, self.channels, strict=True) if channel == "met"]
        for deposits in (met, objects):
            if deposits:
                owner, pt, phi = (np.concatenate([d[i] for d in deposits]) for i in (0, 1, 3))
                order = np.lexsort((np.nan_to_num(pt), owner))
                axis[owner[order]] = np.nan_to_num(phi[order])  # the last of an event, the hardest, stays
        return axis

    def _column(self, phi: Floats) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Column of azimuths, the first one around 0, and whether they are numbers."""
        whole = np.isfinite(phi)
        turns = np.where(whole, phi, 0.0) / _FULL_TURN
        return np.floor(turns * self.phi_cells + 0.5).astype(np.int64) % self.phi_cells, whole
