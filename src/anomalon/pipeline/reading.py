"""How a sample's files are read in a search: the same choices as the options of ``anomalon read``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomalon.config import load_yaml
from anomalon.errors import ConfigError
from anomalon.selection.luminosity_mask import LuminosityMask
from anomalon.selection.triggers import TriggerList
from anomalon.sources import ReadSettings
from anomalon.sources.filters import EventFilter
from anomalon.store import sha256

if TYPE_CHECKING:
    from anomalon.pipeline.sample_configuration import SampleConfig

ANY_YEAR = 0
"""Year of a trigger list that is given without one: it holds for all events."""
KEYS = (
    "luminosity_mask", "triggers", "year", "mapping", "checksums", "skip_bad", "lenient", "keep_duplicates",
    "sqrt_s_gev",
)  # fmt: skip
"""Keys of a sample that mean nothing where no file is read."""
_SETTINGS = ("mapping", "checksums", "skip_bad", "lenient", "keep_duplicates", "sqrt_s_gev")
_FILES = ("luminosity_mask", "mapping", "checksums")


def trigger_paths(given: Any) -> Any:
    """Year -> trigger paths, from such a mapping, a list that holds for all years, or the name of a YAML file.

    >>> trigger_paths(["HLT_IsoMu24"])
    {0: ('HLT_IsoMu24',)}
    """
    if isinstance(given, str) and given.endswith((".yaml", ".yml")):
        return load_yaml(given)
    if isinstance(given, (list, tuple)):
        return {ANY_YEAR: tuple(given)}
    return given


def trigger_list(paths: Mapping[int, tuple[str, ...]], year: int | None, where: str) -> TriggerList:
    """Check trigger paths and the year of simulated events.

    Raises:
        ConfigError: a list is empty, or no list is of the year.
    """
    if paths.get(ANY_YEAR) == ():
        raise ConfigError(f"{where}: triggers: an empty list; leave it out or name a path")
    return TriggerList.parse({"paths": paths, "year": year}, where=where)


def event_filters(config: SampleConfig) -> list[EventFilter]:
    """The luminosity mask and the trigger list of a sample.

    Raises:
        InputFileError: the mask is missing or no mask.
    """
    filters: list[EventFilter] = []
    if config.luminosity_mask is not None:
        filters.append(LuminosityMask.load(config.luminosity_mask))
    if config.triggers is not None:
        filters.append(trigger_list(config.triggers, config.year, f"sample '{config.name}'"))
    return filters


def read_settings(config: SampleConfig, fields: tuple[str, ...], luminosity: float) -> ReadSettings:
    """Settings for the files of a sample; ``luminosity`` in fb^-1 is that of collision data, if all can be read."""
    chosen = {key: getattr(config, key) for key in _SETTINGS}
    chosen["luminosity_fb"] = luminosity if config.role == "data" else None
    return ReadSettings.parse({"process": config.name, "fields": fields, **chosen}, where=f"sample '{config.name}'")


def reading_key(config: SampleConfig) -> dict[str, Any]:
    """What the events that were read depend on besides the files: choices, and what the named files hold."""
    hashes = {key: _sha256(getattr(config, key)) for key in _FILES}
    return {"reading": config.model_dump(mode="json", include=set(KEYS)), "reading_sha256": hashes}


def _sha256(path: Path | None) -> str | None:
    """Hash of a file; None where there is none, which its reader will say."""
    return sha256(path) if path is not None and path.is_file() else None
