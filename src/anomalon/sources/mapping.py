"""Mappings: a YAML file that says which column of a flat file is which event field.

Columns are named as in the file. A ``#`` in a name stands for the number of a slot: with ``slots: 2``, ``mu#_pt``
means ``mu1_pt`` and ``mu2_pt``. A momentum is ``pt, eta, phi`` and perhaps ``mass``, or ``px, py, pz, energy``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from anomalon.config import Settings, load_yaml
from anomalon.errors import MissingFieldError, suggest

POLAR = ("pt", "eta", "phi")
CARTESIAN = ("px", "py", "pz", "energy")
_COMMON = (*POLAR, "mass", *CARTESIAN)
_LEPTON = (*_COMMON, "charge", "isolation", "d0_significance", "id")
ALLOWED: dict[str, tuple[str, ...]] = {
    "electrons": _LEPTON,
    "muons": _LEPTON,
    "photons": (*_COMMON, "isolation", "id"),
    "jets": (*_COMMON, "btag", "btag_score"),
    "fatjets": (*_COMMON, "tau1", "tau2", "tau3", "tau4"),
    "met": ("pt", "phi", "px", "py"),
}
"""What a mapping can fill of each collection and of ``met``."""


class ObjectMapping(Settings):
    """Columns of one collection, or of ``met``.

    Attributes:
        columns: quantity -> column of the file, such as ``pt: mu#_pt``.
        constants: quantities that are the same for all objects, such as ``charge: -1``.
        slots: how many slots ``#`` counts, from 1; or their numbers. A slot whose momentum is empty, NaN or 0 holds
            no object.
        where: keep only objects whose column has one of these values, such as ``PID#: [11, -11]``.
        btag_above: jets are b-tagged where ``btag_score`` is above this.
    """

    columns: dict[str, str]
    constants: dict[str, float] = Field(default_factory=dict)
    slots: tuple[int, ...] = ()
    where: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    btag_above: float | None = None

    @field_validator("slots", mode="before")
    @classmethod
    def _count_slots(cls, value: Any) -> Any:
        return tuple(range(1, value + 1)) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _slots_are_used(self) -> ObjectMapping:
        numbered = [name for name in (*self.columns.values(), *self.where) if "#" in name]
        if numbered and not self.slots:
            raise ValueError(f"column '{numbered[0]}' has a '#': say how many 'slots' it counts")
        if self.slots and not numbered:
            raise ValueError("'slots' without a '#' in any column")
        return self

    @property
    def is_cartesian(self) -> bool:
        """Whether momenta are px, py instead of pT and angles."""
        return "px" in self.columns

    def files(self, column: str) -> tuple[str, ...]:
        """Columns of the file behind one name: one, or one per slot."""
        return tuple(column.replace("#", str(n)) for n in self.slots) if "#" in column else (column,)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        return tuple(dict.fromkeys(f for c in (*self.columns.values(), *self.where) for f in self.files(c)))

    @property
    def quantities(self) -> tuple[str, ...]:
        """Columns of the collection in :class:`anomalon.events.Events`, without a mass that the particle gives."""
        given = [*self.columns, *self.constants, *(["btag"] if self.btag_above is not None else [])]
        momentum = (*POLAR, "mass") if "energy" in given else (("pt", "phi") if "px" in given else ())
        return tuple(dict.fromkeys([*momentum, *(q for q in given if q not in CARTESIAN)]))


class FlatMapping(Settings):
    """Which column of a flat file is which event field.

    Attributes:
        table: name of the tree (ROOT) or of the group or table (HDF5); None where there is only one.
        unit: unit of energies, momenta and masses in the file.
        is_data: whether the events are collision data.
        run: column of the run number; None: 1.
        lumi: column of the luminosity block; None: 1.
        event: column of the event number; None: the number of the row, from 0.
        weight: column of the generator weight; None: 1.

    >>> mapping = FlatMapping.parse({"muons": {"columns": {"pt": "pt#", "eta": "eta#", "phi": "phi#"}, "slots": 2}})
    >>> mapping.sources
    ('pt1', 'pt2', 'eta1', 'eta2', 'phi1', 'phi2')
    """

    table: str | None = None
    unit: Literal["GeV", "MeV"] = "GeV"
    is_data: bool = False
    run: str | None = None
    lumi: str | None = None
    event: str | None = None
    weight: str | None = None
    electrons: ObjectMapping | None = None
    muons: ObjectMapping | None = None
    photons: ObjectMapping | None = None
    jets: ObjectMapping | None = None
    fatjets: ObjectMapping | None = None
    met: ObjectMapping | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> FlatMapping:
        if not self.objects:
            raise ValueError(f"maps nothing; give at least one of {', '.join(ALLOWED)}")
        for head, item in self.objects.items():
            _check_quantities(head, item)
        return self

    @property
    def objects(self) -> dict[str, ObjectMapping]:
        """Collections and ``met`` that are mapped, by name."""
        return {name: item for name in ALLOWED if (item := getattr(self, name)) is not None}

    @property
    def ids(self) -> dict[str, str]:
        """Columns of what every event has: event field -> column."""
        named = {"run": self.run, "lumi": self.lumi, "event": self.event, "gen_weight": self.weight}
        return {name: column for name, column in named.items() if column is not None}

    @property
    def sources(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        inside = (column for item in self.objects.values() for column in item.sources)
        return tuple(dict.fromkeys([*self.ids.values(), *inside]))

    @property
    def fields(self) -> tuple[str, ...]:
        """Dotted names of the event fields that are filled."""
        inside = [f"{head}.{q}" for head, item in self.objects.items() for q in (*item.quantities, *_mass(head))]
        return tuple(dict.fromkeys(["run", "lumi", "event", "dataset", "gen_weight", *inside]))

    def check(self, found: Iterable[str], where: str) -> None:
        """Refuse a mapping that names columns which are not there.

        Raises:
            MissingFieldError: names the column and near ones.
        """
        have = set(found)
        lost = [column for column in self.sources if column not in have]
        if lost:
            raise MissingFieldError(
                f"{where}: no column '{lost[0]}', which the mapping names; {suggest(lost[0], have)}"
            )


def load_mapping(path: str | Path) -> FlatMapping:
    """Read a mapping from a YAML file.

    Raises:
        ConfigError: the file is missing or no mapping; the message says which key and what is allowed.
    """
    return FlatMapping.parse(load_yaml(path), where=str(path))


def _mass(head: str) -> tuple[str, ...]:
    return () if head == "met" else ("mass",)


def _check_quantities(head: str, item: ObjectMapping) -> None:
    given = {*item.columns, *item.constants}
    for name in sorted(given):
        if name not in ALLOWED[head]:
            raise ValueError(f"{head}: unknown quantity '{name}'; {suggest(name, ALLOWED[head])}")
    polar, cartesian = (("pt", "phi"), ("px", "py")) if head == "met" else (POLAR, CARTESIAN)
    whole = [form for form in (polar, cartesian) if given.issuperset(form)]
    mixed = any(name in given for name in polar) and any(name in given for name in cartesian)
    if not whole or mixed:
        raise ValueError(
            f"{head}: needs {', '.join(polar)} or {', '.join(cartesian)}; given {', '.join(sorted(given))}"
        )
    if item.btag_above is not None and "btag_score" not in given:
        raise ValueError(f"{head}: btag_above needs btag_score")
