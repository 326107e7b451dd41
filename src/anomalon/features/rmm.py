"""The rapidity-mass matrix: masses, rapidity differences and transverse quantities of all objects of an event.

Chekanov, arXiv:1805.11650; the matrix of Frette 2023 (University of Oslo) has 6 light jets, 6 b jets, 5 electrons and 5
muons. Rapidity cells use half the rapidity difference, as the public C++ reference and the thesis' code do, although
the thesis prints the whole one. :mod:`anomalon.features.rmm_layout` has the cells and their names.

Cells of absent objects are 0 by definition, so no value is ever missing. Objects beyond the rows of their type are
dropped, those of the lowest pT first.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError, suggest
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.features.rmm_layout import Layout, layout_of

Kind = Literal["jet", "bjet", "electron", "muon", "photon"]
Count = Annotated[int, Field(ge=1, le=50)]

COLLECTION_OF: dict[str, str] = {
    "jet": "jets", "bjet": "jets", "electron": "electrons", "muon": "muons", "photon": "photons",
}  # fmt: skip
COUNTS: dict[Kind, Count] = {"jet": 6, "bjet": 6, "electron": 5, "muon": 5}
"""Rows of the matrix of Frette 2023: with the missing momentum 23 x 23 cells."""
COORDINATES = ("pt", "eta", "phi", "mass")
COLLECTIONS = tuple(dict.fromkeys(COLLECTION_OF.values()))


class RapidityMassMatrix(Settings):
    """Cells of the rapidity-mass matrix, row by row.

    Where ``counts`` names ``bjet``, a ``jet`` is one without b-tag: jets that the source calls neither light nor b
    (between its two cuts) are light here, while Frette 2023 drops them. Without ``bjet`` all jets are ``jet``.

    Attributes:
        counts: types of objects and the number of rows of each, in the order of the rows.
        sqrt_s: energy of the collisions in GeV, by which energies are divided.
        c: factor on the rapidity cells, which brings them to the size of the others.
        normalise: whether energies are divided by ``sqrt_s``; otherwise they are in GeV, and their names say so.
        pt_min: per type, objects need more pT than this, in GeV.
        eta_max: per type, objects need a smaller absolute eta than this.

    >>> muons = [{"pt": 40.0, "eta": 0.0, "phi": 0.0}, {"pt": 40.0, "eta": 0.0, "phi": 3.14159265}]
    >>> features = RapidityMassMatrix(normalise=False).transform(Events.from_dicts([{"muons": muons}]))
    >>> features.values.shape, round(float(features.column("m(muon1,muon2)_GeV")[0]), 3)
    ((1, 529), 80.0)
    """

    counts: dict[Kind, Count] = Field(default_factory=lambda: dict(COUNTS), min_length=1)
    sqrt_s: float = Field(default=13000.0, gt=0)
    c: float = Field(default=0.15, gt=0)
    normalise: bool = True
    pt_min: dict[Kind, float] = Field(default_factory=dict)
    eta_max: dict[Kind, float] = Field(default_factory=dict)

    @field_validator("counts", "pt_min", "eta_max", mode="before")
    @classmethod
    def _known_types(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in COLLECTION_OF:
                raise ConfigError(f"no object type '{name}'; {suggest(str(name), COLLECTION_OF)}")
        return values

    @property
    def layout(self) -> Layout:
        """Rows, cells and their names."""
        return layout_of(tuple(self.counts.items()), not self.normalise)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return self.layout.names

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        collections = {COLLECTION_OF[kind] for kind in self.counts}
        fields = {f"{name}.{column}" for name in collections for column in COORDINATES}
        return frozenset(fields | {"met.pt", "met.phi"} | ({"jets.btag"} if "bjet" in self.counts else set()))

    def transform(self, events: Events) -> Features:
        """Compute the cells, float32 (event, cell); the mask is one True for all.

        Raises:
            MissingFieldError: the events lack a field.
        """
        from anomalon.features.rmm_kernel import fill  # noqa: PLC0415 numba is slow to import

        events.require(sorted(self.requires), "feature set 'rmm'")
        size = self.layout.size
        cells = np.empty((len(events), size, size), dtype=np.float32)
        units = (1.0 / self.sqrt_s if self.normalise else 1.0, self.c)
        met = tuple(_plain(events.numbers(name), np.float32) for name in ("met.pt", "met.phi"))
        collections = tuple(self._objects(events, name) for name in COLLECTIONS)
        fill(met, collections, self._rows(), units, cells)
        values = cells.reshape(len(events), size * size)
        return Features(values, np.broadcast_to(np.True_, values.shape), self.names)

    def matrix(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values of :meth:`transform`, (event, cell), as matrices, (event, row, column); nothing is copied."""
        return self.layout.matrix(values)

    def _objects(self, events: Events, name: str) -> Any:
        """A collection for the loop; without objects where no row is for them."""
        from anomalon.features.rmm_kernel import Objects  # noqa: PLC0415

        kinds = [kind for kind in self.counts if COLLECTION_OF[kind] == name]
        if not kinds or not len(events):
            nothing = _plain(np.zeros(0), np.float32)
            starts, kind = _plain(np.zeros(len(events) + 1), np.int64), _plain(nothing, np.int8)
            return Objects(starts, nothing, nothing, nothing, nothing, kind)
        tag = ("btag",) if name == "jets" and "bjet" in self.counts else ()
        lists = events.lists(name, (*COORDINATES, *tag))
        first, stop = int(lists.starts[0]), int(lists.stops[-1])  # the columns may hold other events' objects too
        columns = {column: lists[column][first:stop] for column in lists.columns}
        starts = _plain(np.append(lists.starts, stop) - first, np.int64)
        pt, eta, phi, mass = (_plain(columns[column], np.float32) for column in COORDINATES)
        kind = self._kind(columns, "jet" if name == "jets" else kinds[0])
        return Objects(starts, pt, eta, phi, mass, _plain(kind, np.int8))

    def _kind(self, columns: dict[str, npt.NDArray[Any]], kind: str) -> npt.NDArray[np.int8]:
        """Which of the kernel's kinds each object is, -1 where it fails a cut; without rows it goes nowhere."""
        from anomalon.features.rmm_kernel import KINDS  # noqa: PLC0415

        found = np.full(len(columns["pt"]), KINDS.index(kind), dtype=np.int8)
        if "btag" in columns:
            found[columns["btag"]] = KINDS.index("bjet")
        for name in self.pt_min.keys() | self.eta_max.keys():
            keep = columns["pt"] > self.pt_min.get(name, -np.inf)
            keep &= abs(columns["eta"]) < self.eta_max.get(name, np.inf)
            found[(found == KINDS.index(name)) & ~keep] = -1
        return found

    def _rows(self) -> Any:
        from anomalon.features.rmm_kernel import KINDS, Rows  # noqa: PLC0415

        blocks = {block.kind: (block.first, block.stop) for block in self.layout.blocks}
        return Rows(*np.array([blocks.get(kind, (0, 0)) for kind in KINDS], dtype=np.int64).T.copy())


def _plain(values: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    """Contiguous and read-only, so that the loop is compiled once; copied only where it has another type."""
    view = np.ascontiguousarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view
