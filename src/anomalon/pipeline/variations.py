"""Varied events of a search: other weights for the same events, and distorted events selected and scored anew.

Templates are made of test events alone, scaled to the whole sample like :meth:`Parts.test_weight`. For a distortion
each sample is read from its store again; the test events are picked first, by the same hash of their identity, then
distorted, selected, described by features and scored. No distortion at all gives the test events of the search again.
Only simulation is varied; collisions are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, EventIds, assign_split
from anomalon.distortions import Distortion, End, distort, required_fields
from anomalon.events import Events
from anomalon.features import Features
from anomalon.hashing import Hashes, hash_events, splitmix64
from anomalon.likelihood.templates import Template
from anomalon.models.detector import Detector
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.compatible import only_sample
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.fit import Fitted
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.sample_configuration import SampleConfig
from anomalon.pipeline.samples import CHUNK, SELECT_CODE, obtain
from anomalon.pipeline.table import Table, is_normalised, luminosity_for
from anomalon.search.systematics import Expected, Shift, SystematicsSettings, fill
from anomalon.selection import apply
from anomalon.store import Store
from anomalon.streaming import ROWS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Where = Callable[[Features, Floats], Ints]
"""Features and scores of events to the bin of each, shape (event,): bins of all channels counted on, -1 for none."""

CODE = (
    *SELECT_CODE, "hashing", "objects", "distortions", "batches", "models", "networks", "preprocessing", "scaling",
    "pipeline/variations",
)  # fmt: skip
FACTORS = "factors."


@dataclass(frozen=True)
class Varied:
    """Test events of one sample at one end of a distortion.

    Attributes:
        sample: its name.
        systematic: name of the distortion.
        end: down or up.
        table: features, identity and weight of the usable events, the weights scaled to the whole sample.
        score: of the detector, shape (event,); NaN where an input is not finite.
    """

    sample: str
    systematic: str
    end: End
    table: Table
    score: Floats


@dataclass(frozen=True)
class Varying:
    """A search after its training, to be varied.

    Attributes:
        search: the configuration.
        settings: what is varied.
        parts: the selected events.
        fitted: the detector whose score the templates may use.
        score: its scores of the rows of ``parts.table``, shape (event,).
        cache: of stages; distorted events are kept there.
        progress: who listens.
        stages: stage -> folder, filled with what was made or found.
    """

    search: SearchConfig
    settings: SystematicsSettings
    parts: Parts
    fitted: Fitted
    score: Floats
    cache: StageCache
    progress: Progress
    stages: dict[str, str] = field(default_factory=dict)

    @property
    def samples(self) -> tuple[str, ...]:
        """Simulated samples with expected yields, in the order of the configuration."""
        known = {s.name for s in self.parts.table.samples if is_normalised(s) and not s.is_data}
        return tuple(s.name for s in self.search.samples if s.name in known)

    def templates(self, where: Where, bins: Sequence[int]) -> dict[str, tuple[Template, ...]]:
        """Sample -> one template per channel, with every shape and normalisation.

        Args:
            where: the bin of each event.
            bins: number of bins of each channel.

        Raises:
            UnknownNameError: a weight variation that is asked for is not in the events.
            MissingFieldError: a store lacks what a distortion changes.
        """
        found = self.expected(where, int(sum(bins)))
        return {e.process: e.templates(bins, self.settings.shape_p_value) for e in found}

    def expected(self, where: Where, n_bins: int) -> list[Expected]:
        """Expected events of every sample in all bins, with their variations."""
        tested = _Tested.of(self, where, n_bins)
        weights = _weight_shifts(self, tested)
        distorted = _distorted_shifts(self, tested, where)
        made = []
        for number, name in enumerate(self.samples):
            role = _role(self.search, name)
            values, squares = (tested.filled(number, tested.weight**power) for power in (1, 2))
            shifts = {**weights[name], **distorted[name]}
            made.append(Expected(name, role, values, squares, shifts, self.settings.norms_of(name, role)))
        return made

    def distorted(self) -> Iterator[Varied]:
        """Every sample at every end of every distortion, one after the other."""
        for name in self.samples if self.settings.distortions else ():
            config = next(s for s in self.search.samples if s.name == name)
            store = obtain(config, self.search, self.cache, self.progress)
            for systematic, pair in self.settings.distortions.items():
                for end, steps in pair.ends.items():
                    folder = self._stage(config, store, steps, f"{systematic}-{end}")
                    yield self._loaded(folder, name, systematic, end)

    def _stage(self, config: SampleConfig, store: Store, steps: Sequence[Distortion], what: str) -> Path:
        search = self.search
        key = {
            "store": store.digest,
            "sample": config.model_dump(mode="json", exclude={"files", "events"}),
            "steps": [step.model_dump(mode="json") for step in steps],
            "seed": search.seed,
            "split": search.split.fractions,
            "selection": search.selection.model_dump(mode="json"),
            "features": search.features,
            "columns": search.feature_set().names,
            "luminosity": search.luminosity_fb,
            "detector": self.fitted.folder.parent.name,
            "code": code_digest(*CODE),
        }

        def produce(folder: Path) -> None:
            self.progress.start(f"vary {config.name}: {what}", store.n_events)
            table, score = varied_events(store, config, steps, search, self.fitted.detector, self.progress)
            table.save(folder)
            np.save(folder / "score.npy", score)

        folder = self.cache.make(f"vary-{config.name}-{what}", key, produce)
        self.stages[f"vary-{config.name}-{what}"] = folder.name
        return folder

    def _loaded(self, folder: Path, sample: str, systematic: str, end: End) -> Varied:
        table, score = Table.load(folder), np.load(folder / "score.npy", allow_pickle=False)
        scaled = replace(table, weight=table.weight * test_scale(self.parts, sample))
        return Varied(sample, systematic, end, scaled, score)


def varied_events(
    store: Store,
    config: SampleConfig,
    steps: Sequence[Distortion],
    search: SearchConfig,
    detector: Detector,
    progress: Progress,
) -> tuple[Table, Floats]:
    """Test events of a store, distorted and then selected: the usable ones and their scores, shape (event,).

    Without steps they are the test events of the search. Their weights are not scaled to the whole sample.

    Raises:
        MissingFieldError: the store lacks what a distortion changes.
    """
    feature_set, sample = search.feature_set(), config.describe(only_sample(store))
    luminosity = luminosity_for([sample], search.luminosity_fb)
    fields = sorted({*search.event_fields, *required_fields(steps)})
    tables, scores, read = [], [], 0
    for part in store.iterate(fields, CHUNK) if store.n_events else [store.load(fields)]:
        read += len(part)
        events = Events(ak.with_field(part.array, np.zeros(len(part), dtype=np.int32), "dataset"), (sample,))
        tested = assign_split(EventIds.of(events), search.seed, search.split.fractions) == TEST
        chosen = apply(search.selection, distort(events[tested], steps, seed=search.seed), luminosity).events
        table = Table.of(chosen, feature_set, luminosity)
        usable = table.features.usable()
        tables.append(table[usable])
        scores.append(_scores(detector, chosen, table, search)[usable])
        progress.update(read)
    return Table.concatenate(tables), np.concatenate(scores)


def _scores(detector: Detector, events: Events, table: Table, search: SearchConfig) -> Floats:
    tabulated = detector.settings.features == search.features["set"]
    return detector.score_features(table.features) if tabulated else detector.score(events)


def test_scale(parts: Parts, sample: str) -> float:
    """Selected over tested events of a sample, the scale of :meth:`Parts.test_weight`; 1 where none is tested."""
    own = parts.table.ids.dataset == [s.name for s in parts.table.samples].index(sample)
    tested = int((own & (parts.split == TEST)).sum())
    return float(own.sum() / tested) if tested else 1.0


def _role(search: SearchConfig, sample: str) -> Literal["background", "signal"]:
    return "signal" if any(s.name == sample and s.role == "signal" for s in search.samples) else "background"


@dataclass(frozen=True)
class _Tested:
    """The usable test events of the simulated samples as they are.

    Attributes:
        row: of the table of each, increasing, shape (event,).
        sample: number of its sample among those that are varied, shape (event,).
        index: its bin, shape (event,).
        weight: scaled to the whole sample, shape (event,).
        scale: of each sample, shape (sample,).
    """

    row: Ints
    sample: Ints
    index: Ints
    weight: Floats
    scale: Floats
    n_bins: int

    @classmethod
    def of(cls, varying: Varying, where: Where, n_bins: int) -> _Tested:
        parts, names = varying.parts, varying.samples
        table, known = parts.table, [s.name for s in parts.table.samples]
        number = np.full(len(known), -1)
        number[[known.index(name) for name in names]] = np.arange(len(names))
        sample = number[table.ids.dataset]
        row = np.flatnonzero((sample >= 0) & parts.usable & (parts.split == TEST))
        index = where(table.features[row], varying.score[row])
        row, index = row[index >= 0], index[index >= 0]
        scale = np.array([test_scale(parts, name) for name in names])
        return cls(row, sample[row], index, table.weight[row] * scale[sample[row]], scale, n_bins)

    def filled(self, sample: int, weight: Floats) -> Floats:
        """Sum of weights of the events of a sample in each bin, shape (bin,)."""
        own = self.sample == sample
        return fill(self.index[own], weight[own], self.n_bins)


Shifts = dict[str, dict[str, dict[End, Shift]]]
"""Sample -> systematic -> end -> shift."""


def _weight_shifts(varying: Varying, tested: _Tested) -> Shifts:
    """Shifts of every weight variation."""
    factors = [f.removeprefix(FACTORS) for f in varying.parts.events.fields if f.startswith(FACTORS)]
    names = varying.settings.weight_names(factors)
    found: Shifts = {name: {} for name in varying.samples}
    shape = (3, len(found), tested.n_bins)
    sums = {(name, end): np.zeros(shape) for name, ends in names.items() for end in ends}
    if sums:
        _add_weights(varying, tested, sums)
    for (name, end), filled in sums.items():
        for number, sample in enumerate(found):
            found[sample].setdefault(name, {})[end] = Shift(*filled[:, number])
    return found


def _add_weights(varying: Varying, tested: _Tested, sums: dict[tuple[str, End], Floats]) -> None:
    """Add up w', w'^2 and w w' of the tested events, (3, sample, bin): one pass over the factors of all events."""
    parts, luminosity, start = varying.parts, varying.search.luminosity_fb, 0
    position = np.full(len(parts.table), -1)
    position[tested.row] = np.arange(len(tested.row))
    varying.progress.start("varied weights", parts.events.n_events)
    for part in parts.events.iterate((), ROWS):
        at = position[parts.rows[start : start + len(part)]]
        start += len(part)
        events, own = part[at >= 0], at[at >= 0]
        bins = tested.sample[own] * tested.n_bins + tested.index[own]
        for (name, end), filled in sums.items():
            varied = events.weights(luminosity, f"{name}{end.capitalize()}") * tested.scale[tested.sample[own]]
            weights = (varied, varied**2, varied * tested.weight[own])
            flat = [fill(bins, w, filled[0].size) for w in weights]
            np.add(filled, np.reshape(flat, filled.shape), out=filled)
        varying.progress.update(start)


def _distorted_shifts(varying: Varying, tested: _Tested, where: Where) -> Shifts:
    """Shifts of every distortion; an event counts as the same where it is in the same bin with and without."""
    found: Shifts = {name: {} for name in varying.samples}
    if not varying.settings.distortions:
        return found
    nominal = _names(varying.parts.table[tested.row], tested.index)
    for varied in varying.distorted():
        index = where(varied.table.features, varied.score)
        table, index = varied.table[index >= 0], index[index >= 0]
        same = np.isin(_names(table, index), nominal)
        weights = (table.weight, table.weight**2, table.weight**2 * same)
        shift = Shift(*(fill(index, w, tested.n_bins) for w in weights))
        found[varied.sample].setdefault(varied.systematic, {})[varied.end] = shift
    return found


def _names(table: Table, index: Ints) -> Hashes:
    """Hash of what names each event and of its bin, shape (event,)."""
    ids = table.ids
    hashes = hash_events("bins", ids.names, ids.dataset, [ids.run, ids.lumi, ids.event])
    return splitmix64(hashes ^ index.astype(np.uint64))
