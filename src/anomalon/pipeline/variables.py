"""Variables of a comparison by name: features of a set, or columns of the events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.events import Events
from anomalon.features import FeatureSet

Floats = npt.NDArray[np.float64]

COLLECTIONS = ("electrons", "muons", "photons", "jets", "fatjets")
EVENT_COLUMNS = ("gen_weight", "run", "lumi")
_OBJECT = re.compile(rf"(?P<head>{'|'.join(COLLECTIONS)})\.(?P<tail>\w+)(?:\[(?P<place>\d+)\])?")


@dataclass(frozen=True)
class Entries:
    """Values of a variable and the weight of each: one entry per event, or per object.

    Attributes:
        values: shape (entry,), NaN where an event misses the variable.
        weights: shape (entry,).
    """

    values: Floats
    weights: Floats


@dataclass(frozen=True)
class Variables:
    """Names that are checked once and evaluated on any events.

    ``met.pt`` is a column of the event; ``jets.pt`` has an entry per jet, ``jets.pt[0]`` is the leading one and
    ``jets.n`` their number; any other name is a feature.

    Args:
        names: of the variables.
        feature_set: whose features may be named.

    Raises:
        UnknownNameError: a name is neither a feature nor a column.
        ConfigError: no names are given.
    """

    names: tuple[str, ...]
    feature_set: FeatureSet

    def __post_init__(self) -> None:
        if not self.names:
            raise ConfigError("variables: none are given; name some, such as --variables met.pt,lep1_pt")
        for name in self.names:
            if not self._is_feature(name) and not _is_column(name):
                allowed = [
                    *self.feature_set.names,
                    "met.pt",
                    "met.phi",
                    *EVENT_COLUMNS,
                    "jets.pt",
                    "jets.n",
                    "muons.pt",
                ]
                raise UnknownNameError(f"no variable '{name}'; {suggest(name, allowed)}")

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read."""
        found = {field for name in self.names if _is_column(name) for field in _fields_of(name)}
        return frozenset(found) | (self.feature_set.requires if self._features() else frozenset())

    def evaluate(self, events: Events, weights: Floats) -> dict[str, Entries]:
        """Values and weights of every variable.

        Args:
            events: with the fields of :attr:`requires`.
            weights: of the events, shape (event,).
        """
        entries = {name: _column(events, weights, name) for name in self.names if _is_column(name)}
        if self._features():
            computed = self.feature_set.transform(events)
            for name in self._features():
                i = computed.index(name)
                values = np.where(computed.mask[:, i], computed.values[:, i], np.nan).astype(np.float64)
                entries[name] = Entries(values, weights)
        return {name: entries[name] for name in self.names}

    def _features(self) -> Sequence[str]:
        return [name for name in self.names if self._is_feature(name)]

    def _is_feature(self, name: str) -> bool:
        return name in self.feature_set.names


def _is_column(name: str) -> bool:
    return name in ("met.pt", "met.phi", *EVENT_COLUMNS) or _OBJECT.fullmatch(name) is not None


def _fields_of(name: str) -> list[str]:
    match = _OBJECT.fullmatch(name)
    if match is None:
        return [name] if name.startswith("met") else []
    return [f"{match['head']}.{'pt' if match['tail'] == 'n' else match['tail']}", f"{match['head']}.pt"]


def _column(events: Events, weights: Floats, name: str) -> Entries:
    match = _OBJECT.fullmatch(name)
    if match is None:
        head, _, tail = name.partition(".")
        values = events.array[head][tail] if tail else events.array[head]
        return Entries(_floats(values), weights)
    column = events.array[match["head"]]["pt" if match["tail"] == "n" else match["tail"]]
    if match["tail"] == "n":
        return Entries(_floats(ak.num(column, axis=1)), weights)
    if match["place"] is None:
        counts = ak.to_numpy(ak.num(column, axis=1))
        return Entries(_floats(ak.flatten(column, axis=1)), np.repeat(weights, counts))
    place = int(match["place"])
    padded = ak.pad_none(ak.values_astype(column, np.float64), place + 1, axis=1)[:, place]
    return Entries(_floats(ak.fill_none(padded, np.nan)), weights)


def _floats(values: Any) -> Floats:
    return np.asarray(ak.to_numpy(values), dtype=np.float64)
