"""Events: the one ragged table that every source fills.

Conventions, written once and linked from everywhere else:

- GeV, rad, pb, fb^-1; phi in (-pi, pi]; objects of a type sorted by decreasing pT.
- Per event ``run, lumi, event`` (int64), ``dataset`` (index into :attr:`Events.samples`), ``gen_weight`` (float64;
  1 for collision data) and, where they exist, ``factors``: named per-event weights such as ``fake``, whose
  variations are ``fakeUp`` and ``fakeDown``.
- ``electrons, muons, photons, jets``: lists of ``pt, eta, phi, mass``; leptons also ``charge`` and, where the source
  has them, ``isolation, d0_significance, id``; jets also ``btag`` (bool) and ``btag_score``. ``met`` has ``pt, phi``.
- ``fatjets``, where the source has them: ``pt, eta, phi, mass`` and the N-subjettiness ``tau1 ... tau4``, to be read as
  ``fatjets["tau2"]``: the attribute ``fatjets.tau2`` is the vector's own, the squared mass.
- A source that was asked for fewer fields leaves the others out; :meth:`Events.require` names what is missing.
- The event weight is computed from the samples, never stored (:meth:`Events.weights`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import InvalidEventsError, MissingFieldError, UnknownNameError, suggest
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import Lists, lists_of, make_objects, numbers_of, record, sort_by_pt

DEFAULT_LUMINOSITY = 140.0
"""Integrated luminosity in fb^-1 where none is given."""

EVENT_FIELDS = ("run", "lumi", "event", "dataset", "gen_weight")
COLLECTIONS = ("electrons", "muons", "photons", "jets")
OPTIONAL_COLLECTIONS = ("fatjets",)
"""Collections that few sources have: absent, not empty, in all others."""

_OBJECT_DEFAULTS: dict[str, dict[str, tuple[Any, Any]]] = {
    "electrons": {"mass": (M_ELECTRON, np.float32), "charge": (0, np.int32)},
    "muons": {"mass": (M_MUON, np.float32), "charge": (0, np.int32)},
    "photons": {"mass": (0.0, np.float32)},
    "jets": {"mass": (0.0, np.float32), "btag": (False, np.bool_)},
    "fatjets": {"mass": (0.0, np.float32)},
}


_LARGEST_WEIGHT = 1e30
"""Far above any yield (all proton-proton collisions of the LHC are 1e17), far below an overflow of squares."""


class Sample(Settings):
    """Where events come from and how they are normalised.

    ``sum_gen_weights`` is taken before any selection; ``cross_section_pb`` is None where it is not known, and then
    only relative weights exist. ``filter_efficiency`` is 1 where the cross section already contains the filter.
    """

    name: str
    process: str
    origin: Literal["data", "simulation", "generated"] = "simulation"
    cross_section_pb: float | None = None
    cross_section_error_pb: float | None = None
    k_factor: float = 1.0
    filter_efficiency: float = 1.0
    luminosity_fb: float | None = None
    sum_gen_weights: float | None = None
    n_generated: int | None = None
    sqrt_s_gev: float = 13000.0
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_data(self) -> bool:
        """Whether the sample is collision data."""
        return self.origin == "data"

    def normalisation(self, luminosity: float) -> float:
        """Factor that turns ``gen_weight`` into expected events at ``luminosity`` (fb^-1); 1 for collision data.

        sigma[pb] * 1000 * k * filter_efficiency * L[fb^-1] / sum of generator weights before any selection.

        Raises:
            InvalidEventsError: the cross section or the sum of weights is not known, the sum is not positive, or the
                factor is beyond any sense.
        """
        if self.is_data:
            return 1.0
        if self.cross_section_pb is None or self.sum_gen_weights is None:
            missing = "cross_section_pb" if self.cross_section_pb is None else "sum_gen_weights"
            raise InvalidEventsError(
                f"sample '{self.name}' has no {missing}: give it (anomalon read --cross-section PB), "
                "or use relative weights (luminosity=None)"
            )
        if not self.sum_gen_weights > 0:
            raise InvalidEventsError(
                f"sample '{self.name}': sum_gen_weights = {self.sum_gen_weights}, must be positive"
            )
        factor = (
            self.cross_section_pb * 1000.0 * self.k_factor * self.filter_efficiency * luminosity / self.sum_gen_weights
        )
        if not 0 < factor < _LARGEST_WEIGHT:
            raise InvalidEventsError(
                f"sample '{self.name}': normalisation {factor:g} per generator weight is impossible (cross section "
                f"{self.cross_section_pb:g} pb, luminosity {luminosity:g} fb^-1); check their units"
            )
        return factor


class Events:
    """A ragged table of collisions and the samples that they belong to.

    Args:
        array: awkward record array with the fields of this module's conventions.
        samples: the samples that ``array.dataset`` counts into.

    Raises:
        InvalidEventsError: an event points to a sample that is not there, or an event field is missing.

    >>> muon = {"pt": 30, "eta": 0.1, "phi": 1.0, "charge": 1}
    >>> events = Events.from_dicts([{"muons": [muon], "met": {"pt": 12, "phi": 0}}])
    >>> len(events), float(events.array.muons.pt[0, 0])
    (1, 30.0)
    """

    def __init__(self, array: ak.Array, samples: Sequence[Sample]) -> None:
        missing = [name for name in EVENT_FIELDS if name not in array.fields]
        if missing:
            raise InvalidEventsError(f"events lack {', '.join(missing)}; each event needs {', '.join(EVENT_FIELDS)}")
        self.array = array
        self.samples = tuple(samples)
        dataset = self.numbers("dataset")
        if len(dataset) and not 0 <= dataset.min() <= dataset.max() < len(self.samples):
            raise InvalidEventsError(f"dataset index {dataset.max()} points past the {len(self.samples)} samples")

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, where: slice | npt.NDArray[Any] | ak.Array) -> Events:
        """Return the events at a slice, a boolean mask (event,) or an index array."""
        return Events(self.array[where], self.samples)

    def __repr__(self) -> str:
        return f"Events({len(self)}, samples={[s.name for s in self.samples]}, fields={self.fields})"

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the event fields and object collections that are present."""
        return tuple(self.array.fields)

    def has(self, name: str) -> bool:
        """Whether a field (``met``) or a column of a collection (``jets.btag``) is present."""
        head, _, tail = name.partition(".")
        return head in self.array.fields and (not tail or tail in self.array.layout[head].fields)

    def require(self, names: Iterable[str], why: str) -> None:
        """Refuse events that lack a field.

        Raises:
            MissingFieldError: names what is missing, what needs it and what is there.
        """
        missing = [name for name in names if not self.has(name)]
        if missing:
            raise MissingFieldError(f"{why} needs {', '.join(missing)}; found {', '.join(self.fields)}")

    def lists(self, name: str, columns: Sequence[str]) -> Lists:
        """Columns of a collection as flat arrays, for fast loops; nothing is copied where the events allow it.

        >>> muons = [{"pt": 30, "eta": 0.1, "phi": 1.0}, {"pt": 20, "eta": 0.1, "phi": 1.0}]
        >>> lists = Events.from_dicts([{}, {"muons": muons}]).lists("muons", ["pt"])
        >>> lists.starts.tolist(), lists.stops.tolist(), lists.columns["pt"].tolist()
        ([0, 0], [0, 2], [30.0, 20.0])
        """
        return lists_of(self.array.layout[name], columns)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column with one value per event, such as ``event`` or ``met.pt``, shape (event,)."""
        layout = self.array.layout
        for part in name.split("."):
            layout = layout[part]
        return numbers_of(layout)

    def is_data(self) -> npt.NDArray[np.bool_]:
        """Whether each event is collision data, shape (event,)."""
        return self._per_sample([s.is_data for s in self.samples], np.bool_)

    def processes(self) -> npt.NDArray[np.str_]:
        """Name of each event's process, shape (event,)."""
        return self._per_sample([s.process for s in self.samples], np.str_)

    def of_process(self, name: str) -> npt.NDArray[np.bool_]:
        """Whether each event is of a process, shape (event,)."""
        return self._per_sample([s.process == name for s in self.samples], np.bool_)

    def weights(
        self, luminosity: float | None = DEFAULT_LUMINOSITY, variation: str | None = None
    ) -> npt.NDArray[np.float64]:
        """Event weights, shape (event,), computed from the samples.

        w = normalisation x gen_weight x product of the factors; 1 for collision data.

        Args:
            luminosity: in fb^-1; None leaves the normalisation out (relative weights within a sample).
            variation: name of a varied factor, such as ``fakeUp``, used in place of its nominal one.

        Raises:
            InvalidEventsError: a sample's cross section or sum of weights is not known.
            UnknownNameError: no factor has that variation.
        """
        used = np.flatnonzero(np.bincount(self.numbers("dataset"), minlength=len(self.samples)))
        norm = np.ones(len(self.samples))
        if luminosity is not None:
            norm[used] = [self.samples[i].normalisation(luminosity) for i in used]
        weight = self._per_sample(norm, np.float64) * self.numbers("gen_weight")
        weight = weight * self._product_of_factors(variation)
        return np.where(self.is_data(), 1.0, weight)

    def _product_of_factors(self, variation: str | None) -> npt.NDArray[np.float64]:
        names = self.array.factors.fields if "factors" in self.array.fields else []
        if variation is not None and variation not in names:
            raise UnknownNameError(f"no weight variation '{variation}'; {suggest(variation, names)}")
        product = np.ones(len(self))
        for name in names:
            if not name.endswith(("Up", "Down")):
                varied = variation in (f"{name}Up", f"{name}Down")
                product *= ak.to_numpy(self.array.factors[variation if varied else name])
        return product

    def _per_sample(self, values: Any, dtype: Any) -> npt.NDArray[Any]:
        if not len(self):
            return np.zeros(0, dtype=dtype)
        per_event: npt.NDArray[Any] = np.asarray(values, dtype=dtype)[self.numbers("dataset")]
        return per_event

    @classmethod
    def concatenate(cls, parts: Iterable[Events]) -> Events:
        """Join events; equal samples become one, and only the fields that all parts have are kept.

        A per-event factor that only some parts have is 1 in the others: leaving it out would change the weights.

        Raises:
            InvalidEventsError: nothing to join, or two samples share a name but not their content.
        """
        chunks = list(parts)
        if not chunks:
            raise InvalidEventsError("no events to join: the list of parts is empty")
        samples = merge_samples(part.samples for part in chunks)
        order = {sample.name: i for i, sample in enumerate(samples)}
        factors = sorted({name for part in chunks if part.has("factors") for name in part.array.factors.fields})
        tables = [fill_factors(part.array, factors) for part in chunks]
        common = [f for f in tables[0].fields if all(f in table.fields for table in tables)]
        arrays = []
        for part, table in zip(chunks, tables, strict=True):
            index = part._per_sample([order[s.name] for s in part.samples], np.int32)
            arrays.append(ak.with_field(table[common], index, "dataset"))
        return cls(ak.concatenate(arrays), samples)

    @classmethod
    def from_dicts(cls, rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample] | None = None) -> Self:
        """Build events by hand: one mapping per event.

        Missing collections are empty, missing masses are the particle's, missing weights are 1, and events are numbered
        from 0. ``dataset`` may be an index or the name of a sample; without samples there is one, called ``by-hand``.

        Raises:
            InvalidEventsError: a key is unknown or an object lacks pt, eta or phi.

        >>> Events.from_dicts([{"muon": []}])
        Traceback (most recent call last):
        ...
        anomalon.errors.InvalidEventsError: event 0: unknown field 'muon'; did you mean 'muons'?
        """
        known = tuple(samples) if samples is not None else (Sample(name="by-hand", process="by-hand"),)
        names = {sample.name: i for i, sample in enumerate(known)}
        _check_rows(rows)
        columns: dict[str, Any] = {
            "run": _column(rows, "run", 1, np.int64),
            "lumi": _column(rows, "lumi", 1, np.int64),
            "event": np.asarray([row.get("event", i) for i, row in enumerate(rows)], dtype=np.int64),
            "dataset": np.asarray([names.get(d, d) for d in (row.get("dataset", 0) for row in rows)], dtype=np.int32),
            "gen_weight": _column(rows, "gen_weight", 1.0, np.float64),
        }
        optional = [name for name in OPTIONAL_COLLECTIONS if any(name in row for row in rows)]
        columns |= {name: _collection(rows, name) for name in (*COLLECTIONS, *optional)}
        columns["met"] = make_objects(
            {k: np.asarray([row.get("met", {}).get(k, 0.0) for row in rows], dtype=np.float32) for k in ("pt", "phi")}
        )
        factors = sorted({name for row in rows for name in row.get("factors", {})})
        if factors:
            columns["factors"] = ak.zip(
                {f: np.asarray([row.get("factors", {}).get(f, 1.0) for row in rows], dtype=np.float64) for f in factors}
            )
        return cls(make_events(columns), known)


def make_events(columns: Mapping[str, Any]) -> ak.Array:
    """Zip event columns into the record array of :class:`Events`; every collection is sorted by decreasing pT."""
    table = dict(columns)
    for name in (*COLLECTIONS, *OPTIONAL_COLLECTIONS):
        if name in table and "pt" in table[name].fields:
            table[name] = sort_by_pt(table[name])
    return ak.Array(record(table))


def fill_factors(array: ak.Array, names: Sequence[str]) -> ak.Array:
    """Give an event table every named per-event factor; those that it lacks are 1."""
    have = array.factors.fields if "factors" in array.fields else []
    if sorted(have) == sorted(names):
        return array
    columns = {name: array.factors[name] if name in have else np.ones(len(array)) for name in sorted(names)}
    return ak.with_field(array, ak.zip(columns), "factors")


def merge_samples(groups: Iterable[Sequence[Sample]]) -> tuple[Sample, ...]:
    """Union of samples by name, in order of appearance.

    Raises:
        InvalidEventsError: two samples share a name but not their content.
    """
    merged: dict[str, Sample] = {}
    for sample in (s for group in groups for s in group):
        if merged.setdefault(sample.name, sample) != sample:
            raise InvalidEventsError(f"two different samples are called '{sample.name}'; rename one of them")
    return tuple(merged.values())


def _check_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    allowed = {*EVENT_FIELDS, *COLLECTIONS, *OPTIONAL_COLLECTIONS, "met", "factors"}
    for i, row in enumerate(rows):
        for key in row:
            if key not in allowed:
                raise InvalidEventsError(f"event {i}: unknown field '{key}'; {suggest(key, allowed)}")
        for name in (*COLLECTIONS, *OPTIONAL_COLLECTIONS):
            for j, item in enumerate(row.get(name, ())):
                missing = [k for k in ("pt", "eta", "phi") if k not in item]
                if missing:
                    raise InvalidEventsError(f"event {i}: {name}[{j}] lacks {', '.join(missing)}")


def _column(rows: Sequence[Mapping[str, Any]], name: str, default: Any, dtype: Any) -> npt.NDArray[Any]:
    return np.asarray([row.get(name, default) for row in rows], dtype=dtype)


def _collection(rows: Sequence[Mapping[str, Any]], name: str) -> ak.Array:
    objects = [item for row in rows for item in row.get(name, ())]
    counts = np.asarray([len(row.get(name, ())) for row in rows], dtype=np.int64)
    columns = {k: np.asarray([o[k] for o in objects], dtype=np.float32) for k in ("pt", "eta", "phi")}
    for key, (default, dtype) in _OBJECT_DEFAULTS[name].items():
        columns[key] = np.asarray([o.get(key, default) for o in objects], dtype=dtype)
    for key in ("isolation", "d0_significance", "id", "btag_score", "tau1", "tau2", "tau3", "tau4"):
        if objects and all(key in o for o in objects):
            columns[key] = np.asarray([o[key] for o in objects], dtype=np.float32)
    return ak.unflatten(make_objects(columns), counts)
