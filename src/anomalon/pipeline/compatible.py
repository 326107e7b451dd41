"""Refuse samples that cannot stand in one search together, before anything is selected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anomalon.errors import ConfigError
from anomalon.events import Sample
from anomalon.pipeline.sample_configuration import SampleConfig
from anomalon.pipeline.table import Table, is_normalised
from anomalon.store import Store


def only_sample(store: Store) -> Sample:
    """The sample of a store.

    Raises:
        ConfigError: the store holds several.
    """
    if len(store.samples) != 1:
        names = ", ".join(s.name for s in store.samples)
        raise ConfigError(f"{store.path}: holds {len(store.samples)} samples ({names}); a search takes one per store")
    return store.samples[0]


def check_stores(configs: Sequence[SampleConfig], stores: Sequence[Store]) -> None:
    """Refuse samples whose roles, events or weights do not go together.

    Raises:
        ConfigError: collision data that is not called so, the same events in two samples, or backgrounds whose weights
            cannot be compared.
    """
    samples = [only_sample(store) for store in stores]
    for config, sample in zip(configs, samples, strict=True):
        _check_role(config, sample)
    _check_distinct(configs, stores)
    _check_normalised([c.describe(s) for c, s in zip(configs, samples, strict=True) if c.role == "background"])


def check_data_distinct(tables: Sequence[Table]) -> None:
    """Refuse collisions that are in two samples of data: primary datasets overlap.

    Raises:
        ConfigError: with the samples; how many they share is not told, for they may be blinded.
    """
    seen: dict[tuple[int, int, int], str] = {}
    for table in (t for t in tables if t.is_data.any()):
        name = table.samples[0].name
        keys = list(zip(*(np.asarray(getattr(table.ids, k)).tolist() for k in ("run", "lumi", "event")), strict=True))
        other = next((seen[key] for key in keys if key in seen), None)
        if other is not None:
            raise ConfigError(
                f"samples '{other}' and '{name}' share collisions (equal run, lumi, event); give the files "
                "of both to one sample: there each is counted once"
            )
        seen |= dict.fromkeys(keys, name)


def _check_role(config: SampleConfig, sample: Sample) -> None:
    if sample.is_data == (config.role == "data"):
        return
    what = "collision data (no branch speaks of a generator)" if sample.is_data else f"made by {sample.origin}"
    advice = "data" if sample.is_data else "background or signal"
    raise ConfigError(f"sample '{config.name}': role {config.role}, but its events are {what}; give role: {advice}")


def _check_distinct(configs: Sequence[SampleConfig], stores: Sequence[Store]) -> None:
    owner: dict[str, str] = {}
    for config, store in zip(configs, stores, strict=True):
        entries = store.ledger.entries if store.ledger is not None else ()
        parts = {s.sha256 for s in store.shards if s.events} | {e.sha256 for e in entries if e.sha256 and e.read}
        for part in parts:
            if part in owner:
                raise ConfigError(
                    f"samples '{owner[part]}' and '{config.name}' hold the same events (equal sha256 of a file): "
                    "detectors would be trained on what they are tested on; give each event to one sample"
                )
        owner |= dict.fromkeys(parts, config.name)


def _check_normalised(backgrounds: Sequence[Sample]) -> None:
    relative = [s.name for s in backgrounds if not is_normalised(s)]
    if relative and len(backgrounds) > 1:
        raise ConfigError(
            f"sample '{relative[0]}': no cross section, or no sum of generator weights, so its weights cannot be "
            "compared with those of the other backgrounds; give cross_section_pb"
        )
