"""Calibrations compared: diagnosed, fitted, judged; one call behind ``anomalon style calibrate``.

Where the target is a distorted simulation the truth is known, and the closed fraction says how much of the difference
is gone. Otherwise diagnosis and two-sample test say what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from anomalon.config import Settings
from anomalon.distortions import Distortions, distort
from anomalon.errors import ConfigError
from anomalon.events import Events
from anomalon.generation.flatten import unweighted
from anomalon.metrics.two_sample import TwoSampleTest
from anomalon.models.storage import new_folder
from anomalon.pipeline.calibration_tables import CalibrationResult, Comparison, Judged, as_markdown
from anomalon.pipeline.progress import Progress, Silent
from anomalon.sources import expand, open_source
from anomalon.store import Store, StoreWriter
from anomalon.style.attribution import attribute
from anomalon.style.closure import Closure, closures, combined
from anomalon.style.contract import Calibrator
from anomalon.style.diagnosis import Difference, diagnose
from anomalon.style.objects import Freedom, ObjectType
from anomalon.style.registry import calibrator, load_calibrator
from anomalon.style.two_sample import tell_apart

Report = Callable[[int, int], None]
"""Called with (done, in all)."""

RESULTS = "results.json"
TABLE = "table.md"
_BY_REGION = "pt by region"


class Pair(Settings):
    """Files of two samples of one process."""

    source: tuple[str, ...] = Field(min_length=1)
    target: tuple[str, ...] = Field(min_length=1)


class CalibrationConfig(Pair):
    """What is calibrated towards what, by which methods, and how it is judged.

    Attributes:
        source, target: stores or files; different events of one process.
        distortions: put on the target by hand, so that the truth is known.
        seed: of distortions, deals and tests.
        selection: the cuts of the target, behind the distortions.
        objects: what is moved; ``auto`` takes what the diagnosis finds to be the cause.
        calibrators: settings of the methods, each with its ``kind``.
        floor: files of a further sample like the target: what the two-sample test shows where nothing differs.
        transfer: other processes, by name, to which the fitted maps are applied.
        test_events: events of each sample in the two-sample tests.
    """

    distortions: Distortions = ()
    seed: int = Field(default=1, ge=0)
    selection: Freedom = Freedom()
    objects: ObjectType | Literal["auto"] = "auto"
    calibrators: tuple[dict[str, Any], ...] = Field(default=({"kind": "response"},), min_length=1)
    floor: tuple[str, ...] = ()
    transfer: dict[str, Pair] = Field(default_factory=dict)
    test_events: int = Field(default=12_000, ge=500)


def calibrate(config: CalibrationConfig, output: Path, *, progress: Progress | None = None) -> Comparison:
    """Run a comparison of calibrations and write ``results.json``, ``table.md`` and the fitted ``calibrators/``.

    Raises:
        OutputExistsError: the output is there already.
        ConfigError: the diagnosis finds nothing to calibrate and none was named, or a calibrator's setting is wrong.
        EmptySelectionError: a sample has too few events or objects.
    """
    progress = progress or Silent()
    list(_calibrators(config, config.selection))  # a mistake in their settings is told before anything is read
    with new_folder(output) as folder:
        progress.start("read")
        samples = _Samples(config)
        source, target = samples.source(config), samples.target(config)
        progress.start("diagnose")
        if config.objects == "auto":
            found, differences = attribute(samples.load(config.source), target, config.selection, seed=config.seed)
        else:
            found, differences = None, diagnose(source, target, seed=config.seed)
        freedom = _freedom(config, found)
        untreated = samples.untreated(config)
        floor = None
        if config.floor:
            other = samples.selected(samples.distorted(samples.load(config.floor)))
            floor = samples.test(other, target)
        results = []
        for number, made in enumerate(_calibrators(config, freedom), 1):
            label = _label(config.calibrators[number - 1])
            progress.start(f"calibrate: {label}")
            results.append(_calibrated(made, samples, config, label))
            made.save(folder / "calibrators" / f"{number}-{made.kind}")
        comparison = Comparison(
            config=config.model_dump(mode="json"), events=(len(source), len(target)), freedom=freedom,
            diagnosis=differences, untreated=untreated, floor=floor, calibrations=tuple(results),
        )  # fmt: skip
        (folder / RESULTS).write_text(comparison.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / TABLE).write_text(as_markdown(comparison), encoding="utf-8")
    return comparison


def diagnosed(source: str, target: str, selection: Freedom, *, seed: int = 1) -> tuple[Difference, ...]:
    """Differences between the events of two stores or files, behind the same cuts, the most significant first."""
    a, b = (selection.selected(unweighted(read_events((path,)), seed)) for path in (source, target))
    return diagnose(a, b, seed=seed)


def apply_calibrator(
    folder: Path, source: str, output: Path, *, overwrite: bool = False, on_progress: Report | None = None
) -> Store:
    """Put a saved calibration on the events of a store or file, into a new store.

    Raises:
        ModelFileError: the calibration is damaged.
        StoreError: the output is there already and ``overwrite`` is false.
    """
    found = load_calibrator(folder)
    sources = [open_source(path) for path in expand((source,))]
    total, done = sum(item.n_events for item in sources), 0
    with StoreWriter(output, overwrite=overwrite) as writer:
        for events in (events for item in sources for events in item.iterate()):
            writer.append(found.transform(events))
            done += len(events)
            if on_progress is not None:
                on_progress(done, total)
        return writer.finish()


def read_events(files: tuple[str, ...]) -> Events:
    """All events; stores of one process with other seeds have samples of one name, which get numbers."""
    parts = []
    for number, path in enumerate(expand(files)):
        for events in open_source(path).iterate():
            renamed = [s.model_copy(update={"name": f"{s.name}-{number}"}) for s in events.samples] if number else None
            parts.append(Events(events.array, renamed or events.samples))
    return Events.concatenate(parts)


class _Samples:
    """Samples as they are compared: of weight one, distorted where that is asked for, behind the cuts."""

    def __init__(self, config: CalibrationConfig) -> None:
        self.config = config
        self._known: dict[tuple[str, ...], Events] = {}
        self._tests: dict[tuple[str, ...], TwoSampleTest] = {}

    def load(self, files: tuple[str, ...]) -> Events:
        if files not in self._known:
            self._known[files] = unweighted(read_events(files), self.config.seed)
        return self._known[files]

    def distorted(self, events: Events) -> Events:
        return distort(events, self.config.distortions, seed=self.config.seed)

    def selected(self, events: Events) -> Events:
        return self.config.selection.selected(events)

    def untreated(self, pair: Pair) -> TwoSampleTest:
        key = (*pair.source, "to", *pair.target)
        if key not in self._tests:
            self._tests[key] = self.test(self.source(pair), self.target(pair))
        return self._tests[key]

    def test(self, first: Events, second: Events) -> TwoSampleTest:
        return tell_apart(first, second, most=self.config.test_events, seed=self.config.seed)

    def source(self, pair: Pair) -> Events:
        return self.selected(self.load(pair.source))

    def target(self, pair: Pair) -> Events:
        return self.selected(self.distorted(self.load(pair.target)))


def _calibrated(made: Calibrator, samples: _Samples, config: CalibrationConfig, label: str) -> CalibrationResult:
    """Fit one method, and judge it on its own process and on the others."""
    start = time.perf_counter()
    made.fit(samples.load(config.source), samples.target(config))  # what is below the cut may rise above it
    seconds = time.perf_counter() - start
    judged = {name: _judged(made, samples, pair) for name, pair in {"": config, **config.transfer}.items()}
    own = judged.pop("")
    return CalibrationResult(
        label=label, kind=made.kind, seconds=seconds, summary=made.summary(), judged=own, transfer=judged
    )


def _judged(made: Calibrator, samples: _Samples, pair: Pair) -> Judged:
    config, raw = samples.config, samples.load(pair.source)
    calibrated, target = samples.selected(made.transform(raw)), samples.target(pair)
    test, before = samples.test(calibrated, target), samples.untreated(pair)
    left = diagnose(calibrated, target, seed=config.seed)
    found: dict[str, Closure] = {}
    if config.distortions:
        objects = made.settings.freedom.objects
        twins = samples.selected(distort(raw, config.distortions, seed=config.seed + 1))
        found = closures(samples.selected(raw), calibrated, twins, target, also=(objects,))
        found[_BY_REGION] = combined([found[f"{objects}.pt, {region}"] for region in ("barrel", "beyond")], _BY_REGION)
    return Judged(untreated=before, test=test, closures=found, left=left)


def _calibrators(config: CalibrationConfig, freedom: Freedom) -> Iterator[Calibrator]:
    common: Mapping[str, Any] = {"freedom": freedom.model_dump(), "seed": config.seed}
    made = [calibrator({**common, **one}, where=f"calibrators.{i}") for i, one in enumerate(config.calibrators, 1)]
    yield from made


def _label(settings: Mapping[str, Any]) -> str:
    """Name of a method with what was set: ``quantiles (response: False)``, ``response + efficiency``."""
    if "steps" in settings:
        return " + ".join(_label(step) for step in settings["steps"])
    chosen = ", ".join(f"{name}: {value}" for name, value in settings.items() if name != "kind")
    return f"{settings.get('kind', '')} ({chosen})" if chosen else str(settings.get("kind", ""))


def _freedom(config: CalibrationConfig, found: ObjectType | None) -> Freedom:
    """What is moved, with the cut where it is on the same objects."""
    if config.objects != "auto":
        return config.selection.on(config.objects)
    if found is None:
        raise ConfigError(
            "objects: auto: no object's pT differs between source and target by more than chance: there is nothing to "
            "calibrate; name the objects if you know better"
        )
    return config.selection.on(found)
