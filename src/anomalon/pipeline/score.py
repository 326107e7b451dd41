"""A finished run's detector on other files: read, select, score, withhold what is blinded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import anomalon
from anomalon.errors import ConfigError, InputFileError, RunError
from anomalon.events import Events
from anomalon.features import Features
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.models.detector import Detector
from anomalon.models.training_inputs import InputShift
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.outputs import check_free, complete
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.run_directory import RunDirectory, regions
from anomalon.pipeline.samples import CHUNK
from anomalon.pipeline.table import Table, luminosity_for
from anomalon.search.blinding import blind_cutflow, blinding, check_reason, handed_out
from anomalon.search.results import Blinding
from anomalon.selection import Cutflow, apply
from anomalon.sources import Source, expand, open_source
from anomalon.sources.duplicates import SeenEvents
from anomalon.sources.remote import origin
from anomalon.store import MANIFEST, sha256

MINIMUM_TO_COMPARE = 20
"""Fewer selected events than this say nothing about the shape of a feature."""
MOST_TO_COMPARE = 50_000
"""Enough selected events to know the shape of a feature."""


@dataclass(frozen=True)
class ScoreSummary:
    """What became of the files that were scored; of blinded data only what may be told.

    Attributes:
        detector: name of the detector.
        threshold: its threshold.
        read: events read.
        rows: rows written.
        above: rows above the threshold; None while blinded.
        not_finite: events without a score, because an input is not finite, per feature.
        cutflow: rows of the cutflow.
        ledger: one entry per file.
        blinding: whether and why.
        unlike: features that look unlike the training sample's.
        compared: whether there were enough events to compare the features.
    """

    detector: str
    threshold: float
    read: int
    rows: int
    above: int | None
    not_finite: dict[str, int]
    cutflow: list[dict[str, Any]]
    ledger: Ledger
    blinding: Blinding
    unlike: tuple[InputShift, ...]
    compared: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "anomalon": anomalon.__version__,
            "detector": self.detector,
            "threshold": self.threshold,
            "events_read": self.read,
            "rows": self.rows,
            "rows_above_threshold": self.above,
            "not_finite": self.not_finite,
            "blinding": self.blinding.model_dump(mode="json"),
            "features_compared": self.compared,
            "features_unlike_training": [asdict(shift) for shift in self.unlike],
            "cutflow": self.cutflow,
            "ledger": self.ledger.to_dict(),
        }

    def lines(self, output: Path) -> list[str]:
        """A few lines for people."""
        lines = [f"{self.read:,} events read, {self.rows:,} scored with '{self.detector}': {output}"]
        if self.blinding.applies:
            lines.append("collision data above the threshold is withheld, its number included (--unblind REASON)")
        elif self.above is not None:
            lines.append(f"{self.above:,} above the threshold {self.threshold:.4g}")
        for name, n in self.not_finite.items():
            lines.append(f"warning: {n} events without a score: {name} is not finite")
        if not self.compared:
            few = f"fewer than {MINIMUM_TO_COMPARE} selected events"
            lines.append(f"{few}: features not compared with the training sample")
        if self.unlike:
            worst = ", ".join(f"{s.feature} (distance {s.distance:.2f})" for s in self.unlike[:5])
            lines.append(
                f"warning: {len(self.unlike)} features look unlike the training sample's, so scores may say more about "
                f"the detector or the simulation than about new physics: {worst}"
            )
        return lines


def score_files(  # noqa: PLR0913 one argument per option of the command
    run: str | Path,
    files: Sequence[str | Path],
    output: str | Path,
    *,
    detector: str | None = None,
    unblind: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ScoreSummary:
    """Score files with a detector of a finished run, into ``output`` (Parquet) and a summary (JSON) beside it.

    Every file is opened and checked for the fields before anything is scored. There is one row per selected event, and
    an empty table where nothing is selected.

    Raises:
        RunError: not a finished run, or its configuration or model has changed since.
        BlindedError: the reason for unblinding is empty.
        UnknownNameError: the run has no such detector.
        MissingFieldError: a file lacks a field that the features need.
        InputFileError: a file cannot be read, or is given twice.
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
    """
    check_reason(unblind)
    targets = _targets(Path(output))
    check_free(targets, overwrite=overwrite)
    search, model = _load(Path(run), detector)
    fields = search.feature_set().requires | search.selection.requires | model.settings.feature_set().requires
    sources = [open_source(path) for path in expand(files)]
    _refuse_twins(sources)
    scoring = _Scoring(search, model, progress or Silent())
    for source in sources:
        next(iter(source.iterate(fields, 1)))
    for source in sources:
        scoring.add(source, source.iterate(fields, CHUNK))
    summary, columns = scoring.finish(unblind)
    with complete(targets) as (scores, notes):
        pq.write_table(pa.table(columns), scores, compression="zstd")
        notes.write_text(json.dumps(summary.to_dict(), indent=1) + "\n", encoding="utf-8")
    return summary


class _Scoring:
    """Accumulates selected rows, cutflow and ledger over files."""

    def __init__(self, search: SearchConfig, detector: Detector, progress: Progress) -> None:
        self.search, self.detector, self.progress = search, detector, progress
        self.seen = SeenEvents()
        self.tables: list[Table] = []
        self.flows: list[Cutflow] = []
        self.entries: list[LedgerEntry] = []
        self.scores: list[npt.NDArray[np.float64]] = []
        self.not_finite: Counter[str] = Counter()
        self.sample: list[Features] = []
        self.names: dict[int, set[str]] = {}

    def add(self, source: Source, parts: Iterator[Events]) -> None:
        self.progress.start(f"score {source.path.name}", source.n_events)
        read = written = duplicated = 0
        number = len(self.entries)
        for part in parts:
            events, twice = self._without_duplicates(self._named(part, number))
            written += self._select(events)
            read, duplicated = read + len(part), duplicated + twice
            self.progress.update(read)
        cut = read - duplicated - written
        name = origin(source.path)
        self.entries.append(LedgerEntry(name, read=read, written=written, cut=cut, duplicated=duplicated))

    def _named(self, events: Events, number: int) -> Events:
        """Give a file's samples names of their own: files of one name may be collision data and simulation."""
        others = {name for other, names in self.names.items() if other != number for name in names}
        renamed = [
            s.model_copy(update={"name": f"{s.name} ({number + 1})"}) if s.name in others else s for s in events.samples
        ]
        self.names[number] = {s.name for s in renamed}
        return Events(events.array, renamed)

    def _without_duplicates(self, events: Events) -> tuple[Events, int]:
        new = self.seen.add(events) | ~events.is_data()
        return events[new], int((~new).sum())

    def _select(self, events: Events) -> int:
        luminosity = luminosity_for(events.samples, self.search.luminosity_fb)
        chosen = apply(self.search.selection, events, luminosity)
        table = Table.of(chosen.events, self.search.feature_set(), luminosity)
        self._score(table, chosen.events)
        self.tables.append(table)
        self.flows.append(chosen.cutflow)
        return len(table)

    def _score(self, table: Table, events: Events) -> None:
        """Score a part; of its features only a sample is kept."""
        settings = self.detector.settings
        seen = table.features if settings.features == self.search.features["set"] else None
        seen = (settings.feature_set().transform(events) if seen is None else seen).select(self.detector.inputs)
        self.scores.append(self.detector.score_features(seen))
        self.not_finite.update(seen.not_finite())
        if sum(map(len, self.sample)) < MOST_TO_COMPARE:
            self.sample.append(seen)

    def _shifts(self, table: Table, shown: npt.NDArray[np.bool_]) -> list[InputShift]:
        """How far the inputs of the first events that may be seen are from the training sample's."""
        sample = Features.concatenate(self.sample)
        first = shown[: len(sample)]
        return self.detector.compare_inputs(sample[first], table.weight[: len(sample)][first])

    def finish(self, unblind: str | None) -> tuple[ScoreSummary, dict[str, Any]]:
        table = Table.concatenate(self.tables)
        state = blinding(np.asarray([s.is_data for s in table.samples], dtype=bool), unblind)
        threshold = self.detector.threshold
        if threshold is None:
            raise RunError(f"detector '{self.detector.name}' of this run has no threshold; run the search again")
        score = np.concatenate(self.scores)
        shown = handed_out(score, threshold, table.is_data, state)
        columns = _columns(table, score, shown, threshold)
        data = {s.process for s in table.samples if s.is_data}
        compared = len(table) >= MINIMUM_TO_COMPARE
        shifts = self._shifts(table, shown) if compared else []
        summary = ScoreSummary(
            detector=self.detector.name,
            threshold=threshold,
            read=sum(e.read for e in self.entries),
            rows=int(shown.sum()),
            above=None if state.applies else int((score > threshold).sum()),
            not_finite={} if state.applies else dict(self.not_finite),
            cutflow=blind_cutflow(sum(self.flows[1:], self.flows[0]).rows(), data, state),
            ledger=Ledger(tuple(_visible(e, state) for e in self.entries)).check(),
            blinding=state,
            unlike=tuple(sorted((s for s in shifts if s.unlike), key=lambda s: -s.distance)),
            compared=compared,
        )
        return summary, columns


def _columns(table: Table, score: Any, shown: Any, threshold: float) -> dict[str, Any]:
    return {
        "run": table.ids.run[shown],
        "lumi": table.ids.lumi[shown],
        "event": table.ids.event[shown],
        "sample": pa.array(table.sample_name[shown].tolist(), pa.string()),
        "process": pa.array(table.process[shown].tolist(), pa.string()),
        "weight": table.weight[shown],
        "score": score[shown],
        "region": pa.array(regions(score[shown], threshold), pa.string()),
    }


def _visible(entry: LedgerEntry, state: Blinding) -> LedgerEntry:
    if not state.applies:
        return entry
    values = entry.to_dict() | {"written": 0, "cut": 0}
    return LedgerEntry(**{**values, "skipped": {"cut, scored or withheld (blinded)": entry.cut + entry.written}})


def _load(folder: Path, name: str | None) -> tuple[SearchConfig, Detector]:
    run = RunDirectory(folder)
    search = run.config()
    return search, run.detector(search.main if name is None else name)


def _targets(output: Path) -> tuple[Path, Path]:
    """The files to write: scores and, beside them, the summary."""
    if output.suffix != ".parquet":
        raise ConfigError(f"{output}: scores are written as Parquet; give a name that ends in .parquet")
    return output, output.with_suffix(".json")


def _refuse_twins(sources: Sequence[Source]) -> None:
    """Refuse simulation that is given twice under two names; of collision data, each event counts once anyway."""
    seen: dict[tuple[int, str], Path] = {}
    files = [s.path / MANIFEST if s.path.is_dir() else s.path for s in sources]
    sizes = [file.stat().st_size for file in files]
    for source, file, size in zip(sources, files, sizes, strict=True):
        # hashing takes time, and only files of one size can be equal
        if sizes.count(size) > 1 and not all(sample.is_data for sample in source.info().samples):
            twin = seen.setdefault((size, sha256(file)), source.path)
            if twin is not source.path:
                raise InputFileError(f"{source.path}: the same as {twin} (equal sha256); give it once")
