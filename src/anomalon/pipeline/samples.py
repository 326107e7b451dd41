"""From the configured samples to selected events: simulate or read, select, compute features, account for all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import ConfigError
from anomalon.events import Events, Sample
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.compatible import check_data_distinct, check_stores, only_sample
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.reading import KEYS as READING_KEYS
from anomalon.pipeline.reading import event_filters, read_settings, reading_key
from anomalon.pipeline.sample_configuration import SampleConfig
from anomalon.pipeline.table import Table, luminosity_for
from anomalon.search.results import Blinding
from anomalon.selection import Cutflow, apply
from anomalon.selection.cutflow import Count
from anomalon.simulation.stored import simulate_to_store
from anomalon.sources import expand, ingest
from anomalon.store import Store, StoreWriter, is_store, sha256

CHUNK = 50_000
"""Events in memory at a time."""

READ_CODE = ("sources", "events", "store", "ledger", "selection/luminosity_mask", "selection/triggers")
SELECT_CODE = ("events", "kinematics", "selection", "features", "store", "pipeline/samples", "pipeline/table")
SIMULATION_CODE = ("simulation", "events", "kinematics", "store")
GENERATED = "generated"
EVENTS = "events"
"""Folder of the selected events in the stage of a selection."""


@dataclass(frozen=True)
class SelectedSample:
    """What the selection left of one sample.

    Attributes:
        table: the features of the events, and who they are.
        events: the events themselves, in the order of the table.
    """

    config: SampleConfig
    sample: Sample
    table: Table
    events: Store
    cutflow: Cutflow
    ledger: Ledger

    @property
    def n_read(self) -> int:
        """Events that the selection looked at."""
        return self.ledger.entries[-1].read

    def visible_ledger(self, state: Blinding) -> list[LedgerEntry]:
        """The ledger as far as blinding shows it: what the selection left of blinded data is not told."""
        *files, selection = self.ledger.entries
        if self.sample.is_data and state.applies:
            hidden = {"cut or selected (blinded)": selection.cut + selection.written}
            selection = replace(selection, written=0, cut=0, skipped={**selection.skipped, **hidden})
        return [*files, selection]


def select_samples(
    search: SearchConfig, cache: StageCache, progress: Progress, stages: dict[str, str]
) -> list[SelectedSample]:
    """Obtain and select every sample; each stage is taken from the cache where it was made before."""
    stores = [obtain(config, search, cache, progress) for config in search.samples]
    check_stores(search.samples, stores)
    selected = []
    for config, store in zip(search.samples, stores, strict=True):
        key = {
            "store": store.digest,
            "sample": config.model_dump(mode="json", exclude={"files", "events"}),
            "selection": search.selection.model_dump(mode="json"),
            "features": search.features,
            "columns": search.feature_set().names,
            "fields": search.event_fields,
            "luminosity": search.luminosity_fb,
            "code": code_digest(*SELECT_CODE),
        }

        def produce(folder: Path, store: Store = store, config: SampleConfig = config) -> None:
            progress.start(f"select {config.name}", store.n_events)
            save_selected(select(store, config, search, progress, folder / EVENTS), folder)

        folder = cache.make(f"select-{config.name}", key, produce)
        stages[f"select-{config.name}"] = folder.name
        selected.append(load_selected(config, folder))
    check_data_distinct([s.table for s in selected])
    return selected


def obtain(config: SampleConfig, search: SearchConfig, cache: StageCache, progress: Progress) -> Store:
    """The store of a sample: simulated or read once and then reused, or a store that the user has."""
    if config.simulate:
        return _simulated(config, search, cache, progress)
    paths = expand(config.files)
    if len(paths) == 1 and is_store(paths[0]):
        for key in (key for key in READING_KEYS if getattr(config, key)):
            raise ConfigError(f"sample '{config.name}': {key} means nothing for a store, which has been read already")
        return Store(paths[0])
    for path in paths:
        if path.is_dir():
            raise ConfigError(
                f"sample '{config.name}': {path} is a store; a sample takes one store alone, or files that are none"
            )
    return _read(config, paths, search, cache, progress)


def _simulated(config: SampleConfig, search: SearchConfig, cache: StageCache, progress: Progress) -> Store:
    settings = search.simulation_settings(config)
    key = {"settings": settings.model_dump(mode="json"), "code": code_digest(*SIMULATION_CODE)}

    def produce(folder: Path) -> None:
        progress.start(f"simulate {config.name}", config.events)
        simulate_to_store(
            settings,
            folder / "store",
            workers=search.simulation.workers,
            overwrite=True,
            progress=lambda done, _, rate: progress.update(done, f"{rate:.0f} events/s"),
        )

    return Store(cache.make(f"simulate-{config.name}", key, produce) / "store")


def _read(
    config: SampleConfig, paths: tuple[Path, ...], search: SearchConfig, cache: StageCache, progress: Progress
) -> Store:
    filters, settings = event_filters(config), read_settings(config, search.event_fields, search.luminosity_fb)
    key = {
        "files": [(str(p), sha256(p)) for p in paths],
        "settings": settings.model_dump(mode="json"),
        **reading_key(config),
        "code": code_digest(*READ_CODE),
    }

    def produce(folder: Path) -> None:
        progress.start(f"read {config.name}")
        ingest(
            paths,
            folder / "store",
            settings,
            overwrite=True,
            on_progress=lambda done, _: progress.update(done),
            filters=filters,
        )

    return Store(cache.make(f"read-{config.name}", key, produce) / "store")


def select(store: Store, config: SampleConfig, search: SearchConfig, progress: Progress, kept: Path) -> SelectedSample:
    """Select the events of a store chunk by chunk, compute their features, and keep them in a store of their own."""
    feature_set, selection = search.feature_set(), search.selection
    sample = config.describe(only_sample(store))
    luminosity = luminosity_for([sample], search.luminosity_fb)
    tables, flows, read = [], [], 0
    fields = search.event_fields
    with StoreWriter(kept, overwrite=True) as writer:
        for part in store.iterate(fields, CHUNK) if store.n_events else [store.load(fields)]:
            events = Events(ak.with_field(part.array, np.zeros(len(part), dtype=np.int32), "dataset"), (sample,))
            chosen = apply(selection, events, luminosity)
            writer.append(chosen.events)
            tables.append(Table.of(chosen.events, feature_set, luminosity))
            flows.append(chosen.cutflow)
            read += len(part)
            progress.update(read)
        events_kept = writer.finish()
    table = Table.concatenate(tables)
    entry = LedgerEntry(f"selection of {config.name}", read=read, written=len(table), cut=read - len(table))
    ledger = (store.ledger or Ledger()).add(entry)
    cutflow = _with_generated(sum(flows[1:], flows[0]), sample, read, luminosity)
    return SelectedSample(config, sample, table, events_kept, cutflow, ledger)


def _with_generated(cutflow: Cutflow, sample: Sample, read: int, luminosity: float | None) -> Cutflow:
    """Put the events generated first: a store may hold fewer of them (it was skimmed)."""
    generated, total = sample.n_generated or read, sample.sum_gen_weights
    cutflow = Cutflow(("stored", *cutflow.cuts[1:]), cutflow.counts)
    counts = {name: listed[0] for name, listed in cutflow.counts.items()}
    if not sample.is_data and generated > read and total is not None:
        norm = 1.0 if luminosity is None else sample.normalisation(luminosity)
        weight = norm * total / generated
        counts[sample.process] = Count(generated, norm * total, generated * weight * weight)
    return cutflow.starting_with(GENERATED, counts)


def load_selected(config: SampleConfig, folder: Path) -> SelectedSample:
    """Read a selection stage."""
    saved = json.loads((folder / "selected.json").read_text(encoding="utf-8"))
    counts = {name: tuple(Count(**c) for c in listed) for name, listed in saved["cutflow"]["counts"].items()}
    return SelectedSample(
        config,
        Sample.parse(saved["sample"]),
        Table.load(folder),
        Store(folder / EVENTS),
        Cutflow(tuple(saved["cutflow"]["cuts"]), counts),
        Ledger.from_dict(saved["ledger"]),
    )


def save_selected(selected: SelectedSample, folder: Path) -> None:
    """Write a selection stage."""
    selected.table.save(folder)
    saved: dict[str, Any] = {
        "sample": selected.sample.model_dump(mode="json"),
        "cutflow": asdict(selected.cutflow),
        "ledger": selected.ledger.check().to_dict(),
    }
    (folder / "selected.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
