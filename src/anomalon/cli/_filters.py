"""Options of ``anomalon read`` that leave events out: luminosity mask and trigger list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalon.sources.filters import EventFilter

ANY_YEAR = 0
"""Year of a list that is given without one: it holds for all events."""


def read_filters(mask: Path | None, triggers: str | None, year: int | None) -> list[EventFilter]:
    """The filters that the options ask for.

    Args:
        mask: JSON file of good lumi blocks.
        triggers: trigger paths by commas, or a YAML file: year -> list of paths.
        year: of simulated events, where the file has several years.
    """
    from anomalon.selection.luminosity_mask import LuminosityMask
    from anomalon.selection.triggers import TriggerList

    filters: list[EventFilter] = [] if mask is None else [LuminosityMask.load(mask)]
    if triggers is not None:
        filters.append(TriggerList.parse({"paths": _paths(triggers), "year": year}, where="--triggers"))
    return filters


def _paths(text: str) -> dict[Any, Any]:
    from anomalon.config import load_yaml

    if text.endswith((".yaml", ".yml")):
        return load_yaml(text)
    return {ANY_YEAR: tuple(name.strip() for name in text.split(",") if name.strip())}
