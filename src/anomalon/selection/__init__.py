"""Selections: named cuts and channels, events in, masks and a cutflow out; a registry of them by kind.

>>> get("leptons", count=2, pt_min=[25, 25]).count
2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from anomalon.config import parse_under
from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.selection.cutflow import Cutflow, Selected, Selection, apply
from anomalon.selection.leptons import Leptons, LeptonSelection, find_leptons
from anomalon.selection.objects import ObjectSelection
from anomalon.selection.top_pairs import TopPairs, TopPairSelection, find_top_pairs
from anomalon.selection.trilepton import TrileptonSelection, Triplets, find_triplets

__all__ = [
    "AnySelection",
    "Cutflow",
    "LeptonSelection",
    "Leptons",
    "ObjectSelection",
    "Selected",
    "Selection",
    "TopPairSelection",
    "TopPairs",
    "TrileptonSelection",
    "Triplets",
    "apply",
    "available",
    "find_leptons",
    "find_top_pairs",
    "find_triplets",
    "for_features",
    "get",
    "parse",
]

DEFAULT = "trilepton"
"""Kind of a selection that does not say."""

_REGISTRY: dict[str, type[TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection]] = {
    "trilepton": TrileptonSelection,
    "leptons": LeptonSelection,
    "top-pairs": TopPairSelection,
    "objects": ObjectSelection,
}


def available() -> tuple[str, ...]:
    """Kinds of selections."""
    return tuple(_REGISTRY)


def get(kind: str, **settings: Any) -> TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection:
    """Return a selection by kind, with its settings.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: a setting is unknown or out of range.
    """
    return parse({"kind": kind, **settings}, where=f"selection '{kind}'")


def for_features(name: str) -> TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection:
    """The selection that a feature set goes with, with its defaults: that of its name, otherwise the trilepton one.

    >>> type(for_features("leptons")).__name__, type(for_features("rmm")).__name__
    ('LeptonSelection', 'TrileptonSelection')
    """
    return parse({"kind": name if name in _REGISTRY else DEFAULT})


def parse(
    fragment: Any, where: str = "selection"
) -> TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection:
    """Return the selection of a fragment of a configuration; without ``kind`` it is a trilepton selection.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: the fragment is no mapping, or a setting is unknown or out of range.

    >>> parse({"kind": "leptons", "count": 2, "pt_min": [25, 25]}).m_ll_min is None
    True
    """
    if isinstance(fragment, TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection):
        return fragment
    kind, settings = _chosen(fragment, where)
    return kind.parse(settings, where=where)


def _chosen(
    fragment: Any, where: str = "selection"
) -> tuple[type[TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection], Any]:
    """Class of a fragment and its settings."""
    if not isinstance(fragment, Mapping):
        raise ConfigError(f"{where} = {fragment!r}: expected a mapping of keys to values")
    kind = fragment.get("kind", DEFAULT)
    if not isinstance(kind, str) or kind not in _REGISTRY:
        raise UnknownNameError(f"no selection {kind!r}; {suggest(str(kind), _REGISTRY)}")
    return _REGISTRY[kind], {key: value for key, value in fragment.items() if key != "kind"}


def _validated(fragment: Any) -> TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection:
    """A field's value; mistakes stay those of its keys, so that the whole path can be told."""
    if isinstance(fragment, TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection):
        return fragment
    kind, settings = _chosen(fragment)
    return parse_under(kind, settings, "selection")


AnySelection = Annotated[
    TrileptonSelection | LeptonSelection | TopPairSelection | ObjectSelection, BeforeValidator(_validated)
]
"""A selection as a field of settings: takes a fragment or a selection."""
