"""Options of ``anomalon read`` that leave events out: luminosity mask and trigger list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from anomalon.cli._names import names_in

if TYPE_CHECKING:
    from anomalon.sources.filters import EventFilter


def read_filters(mask: Path | None, triggers: str | None, year: int | None) -> list[EventFilter]:
    """The filters that the options ask for.

    Args:
        mask: JSON file of good lumi blocks.
        triggers: trigger paths by commas, or a YAML file: year -> list of paths.
        year: of simulated events, where the file has several years.
    """
    from anomalon.pipeline.reading import trigger_list, trigger_paths
    from anomalon.selection.luminosity_mask import LuminosityMask

    filters: list[EventFilter] = [] if mask is None else [LuminosityMask.load(mask)]
    if triggers is not None:
        file = triggers.endswith((".yaml", ".yml"))
        names = triggers if file else names_in(triggers)
        filters.append(trigger_list(trigger_paths(names), year, "--triggers"))
    return filters
