"""Events as text in the form of the Dark Machines challenge (arXiv:2105.14027), plain or gzipped.

One event per line: ``event ID; process ID; event weight; MET; METphi; obj,E,pt,eta,phi; ...`` with energies in MeV to
six significant digits, objects in the order b, j, e-, e+, m-, m+, g and by decreasing pT, at most 20 of them. Energy
is written, not mass: the mass of a light object does not survive.
"""

from __future__ import annotations

import gzip
from typing import IO, Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import InvalidEventsError
from anomalon.events import Events
from anomalon.writers.contract import EventWriter, output_weights

SYMBOLS = ("b", "j", "e-", "e+", "m-", "m+", "g")
MAX_OBJECTS = 20
MEV = 1000.0
_PLACES = {"run", "lumi", "event", "dataset", "gen_weight", "factors", "met", "electrons", "muons", "photons", "jets"}


class DarkMachinesWriter(EventWriter):
    """Dark Machines CSV; the weight is the event weight at the settings' luminosity."""

    format = "darkmachines"
    description = "Dark Machines CSV (MeV, 6 digits, at most 20 objects), gzipped where the name ends in .gz"
    endings = (".csv", ".csv.gz")
    _file: IO[bytes] | None = None

    def _append(self, events: Events) -> None:
        events.require(("met.pt", "met.phi"), "the Dark Machines form")
        self.left_out = tuple(sorted(set(events.fields) - _PLACES))
        file = self._opened()
        head = _event_part(events, output_weights(events, self.settings.luminosity_fb), str(self.path))
        objects = self._hardest(_objects(events, str(self.path)))
        counts = ak.to_numpy(ak.num(objects.pt, axis=1))
        texts = _object_texts(objects)
        ends = np.cumsum(counts)
        spans = zip(head, (ends - counts).tolist(), ends.tolist(), strict=True)
        lines = (";".join([first, *texts[start:end]]) for first, start, end in spans)
        file.write("".join(f"{line}\n" for line in lines).encode())

    def _hardest(self, objects: ak.Array) -> ak.Array:
        most = min(self.settings.max_objects or MAX_OBJECTS, MAX_OBJECTS)
        surplus = int(np.maximum(ak.to_numpy(ak.num(objects.pt, axis=1)) - most, 0).sum())
        if not surplus:
            return objects
        self._count_cut_off("objects", surplus)
        place = ak.argsort(ak.argsort(objects.pt, axis=1, ascending=False, stable=True), axis=1)
        return objects[place < most]

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            zipped = self.path.name.endswith(".gz")
            # without a time stamp, so that the same events give the same bytes
            opened: Any = gzip.GzipFile(self.partial, "wb", mtime=0, compresslevel=6) if zipped else None
            self._file = opened or self.partial.open("wb")
        return self._file

    def _close(self, *, complete: bool) -> None:
        if complete:
            self._opened()
        if self._file is not None:
            self._file.close()


def _event_part(events: Events, weights: npt.NDArray[np.float64], where: str) -> list[str]:
    met = ak.to_numpy(events.array.met.pt).astype(np.float64) * MEV, ak.to_numpy(events.array.met.phi)
    _refuse_not_finite(np.isfinite(weights) & np.isfinite(met[0]) & np.isfinite(met[1]), events, where)
    for sample in events.samples:
        if set(sample.process) & set(";,\n\r"):
            raise InvalidEventsError(f"{where}: process '{sample.process}' has a separator in its name; rename it")
    numbers = ak.to_numpy(events.array.event).tolist()
    rows = zip(numbers, events.processes().tolist(), weights.tolist(), met[0].tolist(), met[1].tolist(), strict=True)
    return [f"{number};{name};{w:.6g};{pt:.6g};{phi:.6g}" for number, name, w, pt, phi in rows]


def _objects(events: Events, where: str) -> ak.Array:
    """All objects of an event in the order of the form: records of symbol, energy, pt (MeV), eta, phi."""
    parts = []
    for collection, kinds in (("jets", "bj"), ("electrons", "e"), ("muons", "m"), ("photons", "g")):
        if events.has(collection):
            parts += _kinds(events, collection, kinds, where)
    if not parts:
        raise InvalidEventsError(f"{where}: the events have no objects at all; read them with --fields jets,muons,...")
    return ak.concatenate(parts, axis=1)


def _kinds(events: Events, collection: str, kinds: str, where: str) -> list[ak.Array]:
    objects = events.array[collection]
    events.require([f"{collection}.{c}" for c in ("pt", "eta", "phi", "mass")], "the Dark Machines form")
    if kinds == "bj":
        tagged = objects.btag if "btag" in objects.fields else ak.zeros_like(objects.pt, dtype=np.bool_)
        return [_record(objects[tagged], "b"), _record(objects[~tagged], "j")]
    if kinds == "g":
        return [_record(objects, "g")]
    events.require([f"{collection}.charge"], "the Dark Machines form")
    if ak.any(objects.charge == 0):
        raise InvalidEventsError(f"{where}: {collection} with charge 0; the Dark Machines form has only - and +")
    return [_record(objects[objects.charge < 0], f"{kinds}-"), _record(objects[objects.charge > 0], f"{kinds}+")]


def _record(objects: ak.Array, symbol: str) -> ak.Array:
    pt, eta, mass = (ak.values_astype(objects[name], np.float64) for name in ("pt", "eta", "mass"))
    energy = np.sqrt(mass**2 + (pt * np.cosh(eta)) ** 2)
    place = ak.values_astype(ak.full_like(pt, SYMBOLS.index(symbol)), np.int64)
    return ak.zip({"symbol": place, "energy": energy * MEV, "pt": pt * MEV, "eta": eta, "phi": objects.phi})


def _object_texts(objects: ak.Array) -> list[str]:
    flat = [ak.to_numpy(ak.flatten(objects[name], axis=1)) for name in ("symbol", "energy", "pt", "eta", "phi")]
    if not np.isfinite(np.stack(flat)).all():
        raise InvalidEventsError("an object has a value that is not finite; the Dark Machines form cannot hold it")
    names = [SYMBOLS[i] for i in flat[0].tolist()]
    rows = zip(names, *(column.tolist() for column in flat[1:]), strict=True)
    return [f"{name},{energy:.6g},{pt:.6g},{eta:.6g},{phi:.6g}" for name, energy, pt, eta, phi in rows]


def _refuse_not_finite(good: npt.NDArray[np.bool_], events: Events, where: str) -> None:
    if not good.all():
        event = int(ak.to_numpy(events.array.event)[np.argmin(good)])
        raise InvalidEventsError(f"{where}: event {event} has a weight or MET that is not finite; select before export")
