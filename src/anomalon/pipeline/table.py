"""The table of selected events: features, identity and weight of each, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anomalon.batches import EventIds
from anomalon.events import Events, Sample, merge_samples
from anomalon.features import Features, FeatureSet

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Selected events, one row each.

    Attributes:
        features: shape (event, feature).
        ids: run, lumi, event and dataset.
        weight: at the search's luminosity; 1 for collision data, relative where a sample has no normalisation.
        samples: what ``ids.dataset`` counts into.
    """

    features: Features
    ids: EventIds
    weight: Floats
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, where: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Table:
        ids = EventIds(
            self.ids.run[where], self.ids.lumi[where], self.ids.event[where], self.ids.dataset[where], self.ids.names
        )
        return Table(self.features[where], ids, self.weight[where], self.samples)

    @property
    def process(self) -> npt.NDArray[np.str_]:
        """Process of each event, shape (event,)."""
        return self._per_sample([s.process for s in self.samples])

    @property
    def sample_name(self) -> npt.NDArray[np.str_]:
        """Sample of each event, shape (event,)."""
        return self._per_sample([s.name for s in self.samples])

    @property
    def is_data(self) -> npt.NDArray[np.bool_]:
        """Whether each event is collision data, shape (event,)."""
        flags = np.asarray([s.is_data for s in self.samples], dtype=bool)
        return flags[self.ids.dataset] if len(self) else np.zeros(0, dtype=bool)

    def _per_sample(self, values: list[str]) -> npt.NDArray[np.str_]:
        return np.asarray(values, dtype=np.str_)[self.ids.dataset] if len(self) else np.zeros(0, dtype=np.str_)

    @classmethod
    def of(cls, events: Events, feature_set: FeatureSet, luminosity: float | None) -> Table:
        """Compute the rows of selected events."""
        weights = events.weights(luminosity_for(events.samples, luminosity))
        return cls(feature_set.transform(events), EventIds.of(events), weights, events.samples)

    @classmethod
    def concatenate(cls, parts: Sequence[Table]) -> Table:
        """Join the rows of different samples or chunks; samples keep their order."""
        names = tuple(dict.fromkeys(s.name for part in parts for s in part.samples))
        samples = {s.name: s for s in merge_samples(part.samples for part in parts)}
        moved = [np.asarray([names.index(s.name) for s in part.samples])[part.ids.dataset] for part in parts]
        run, lumi, event = (np.concatenate([getattr(p.ids, k) for p in parts]) for k in ("run", "lumi", "event"))
        ids = EventIds(run, lumi, event, np.concatenate(moved).astype(np.int32), names)
        return cls(
            Features.concatenate([part.features for part in parts]),
            ids,
            np.concatenate([part.weight for part in parts]),
            tuple(samples[name] for name in names),
        )

    def save(self, folder: Path) -> None:
        """Write ``table.npz`` (plain arrays) and ``samples.json``."""
        np.savez(
            folder / "table.npz",
            values=self.features.values,
            mask=np.packbits(self.features.mask, axis=1),
            weight=self.weight,
            **{k: getattr(self.ids, k) for k in ("run", "lumi", "event", "dataset")},
        )
        text = {"names": self.features.names, "samples": [s.model_dump(mode="json") for s in self.samples]}
        (folder / "samples.json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Table:
        """Read what :meth:`save` wrote."""
        text = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        names, samples = tuple(text["names"]), tuple(Sample.parse(s) for s in text["samples"])
        with np.load(folder / "table.npz", allow_pickle=False) as arrays:
            mask = np.unpackbits(arrays["mask"], axis=1, count=len(names)).astype(bool)
            run, lumi, event, dataset = (arrays[k] for k in ("run", "lumi", "event", "dataset"))
            ids = EventIds(run, lumi, event, dataset, tuple(s.name for s in samples))
            return cls(Features(arrays["values"], mask, names), ids, arrays["weight"], samples)


def is_normalised(sample: Sample) -> bool:
    """Whether weights of a sample are expected events; otherwise they are relative within it."""
    return sample.is_data or (sample.cross_section_pb is not None and sample.sum_gen_weights is not None)


def luminosity_for(samples: Sequence[Sample], luminosity: float | None) -> float | None:
    """The luminosity, or None (relative weights) where a simulated sample has no normalisation."""
    return luminosity if all(is_normalised(s) for s in samples) else None
