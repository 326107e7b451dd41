"""The samples of a configuration or of a finished run, compared; of collision data only what the run may show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anomalon.errors import ConfigError
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.compare import Compared, CompareOptions, Part, fill_all, heading_of
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.run_directory import RunDirectory
from anomalon.pipeline.samples import SelectedSample, select_samples
from anomalon.pipeline.table import Table, luminosity_for
from anomalon.pipeline.variables import Entries, Variables

CACHE = ".anomalon-cache"


def is_search(path: str | Path) -> bool:
    """Whether a path is a run directory or a configuration, not events."""
    return RunDirectory(Path(path)).finished or Path(path).suffix in (".yaml", ".yml")


def compare_search(
    path: str | Path,
    names: tuple[str, ...] | None = None,
    options: CompareOptions | None = None,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Compare the features of the selected events of a search.

    Samples come from the cache of the search and are made where it lacks them. Collision data is shown from a finished
    run only, the rows in its ``scores.parquet``: before the search nobody knows which may be shown.

    Args:
        path: a run directory or a YAML configuration.
        names: features; None for all.
        options: luminosity, selection and experiment are the search's own.
        cache: folder of samples; by default that beside the run or the configuration.
        progress: who listens.

    Raises:
        UnknownNameError: no such feature.
        ConfigError: a name is a column of the events, which a search does not keep; collision data without a run.
    """
    run = RunDirectory(Path(path))
    search = run.config() if run.finished else SearchConfig.load(path)
    wanted = Variables(names or search.feature_set().names, search.feature_set()).names
    for name in wanted:
        if name not in search.feature_set().names:
            raise ConfigError(
                f"'{name}' is a column of the events; a search keeps features: compare its stores instead"
            )
    if not run.finished:
        search = search.model_copy(update={"samples": tuple(s for s in search.samples if s.role != "data")})
    if not search.samples:
        raise ConfigError(f"{path}: collision data is compared from a finished run; give its run directory")
    stages = StageCache(cache or Path(path).parent / CACHE)
    selected = select_samples(search, stages, progress or Silent(), {})
    shown = _Shown.of(run) if run.finished else None
    chosen = replace(
        options or CompareOptions(), luminosity_fb=search.luminosity_fb, experiment=search.report.experiment_label
    )
    samples = _Selected(tuple(selected), wanted, shown)
    luminosity = None if samples.relative else search.luminosity_fb
    return fill_all(samples, wanted, chosen, heading_of(chosen, [s.role for s in search.samples], luminosity))


@dataclass(frozen=True)
class _Shown:
    """Events of a run that may stand in one figure, by sample: (run, lumi, event).

    While data is blinded, that is the data handed out and the simulation of the same region.
    """

    events: Mapping[str, frozenset[tuple[int, int, int]]]

    @classmethod
    def of(cls, run: RunDirectory) -> _Shown:
        names = ("sample", "run", "lumi", "event")
        table = pq.read_table(run.path / "scores.parquet", columns=[*names, "region"])
        if run.results().blinding.applies:
            table = table.filter(pc.equal(table["region"], "below"))
        events: dict[str, set[tuple[int, int, int]]] = {}
        for sample, *key in zip(*(table[name].to_pylist() for name in names), strict=True):
            events.setdefault(sample, set()).add((key[0], key[1], key[2]))
        return cls({name: frozenset(keys) for name, keys in events.items()})

    def mask(self, table: Table, sample: str) -> npt.NDArray[np.bool_]:
        own = self.events.get(sample, frozenset())
        ids = zip(table.ids.run.tolist(), table.ids.lumi.tolist(), table.ids.event.tolist(), strict=True)
        return np.fromiter((key in own for key in ids), dtype=np.bool_, count=len(table))


@dataclass(frozen=True)
class _Selected:
    """Selected events of a search."""

    samples: tuple[SelectedSample, ...]
    names: tuple[str, ...]
    shown: _Shown | None

    @property
    def relative(self) -> bool:
        return any(luminosity_for([s.sample], 1.0) is None for s in self.samples)

    def parts(self, *, all_events: bool) -> Iterator[Part]:
        del all_events  # they are in memory
        for item in self.samples:
            table = item.table
            if self.shown is not None:
                table = table[self.shown.mask(table, item.sample.name)]
            entries = {}
            for name in self.names:
                i = table.features.index(name)
                values = np.where(table.features.mask[:, i], table.features.values[:, i], np.nan)
                entries[name] = Entries(values.astype(np.float64), table.weight)
            yield Part(item.config.process_name, item.config.role, entries, table.weight)
