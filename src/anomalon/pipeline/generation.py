"""Generators from stores and to stores: what ``anomalon generate train | sample | card`` call."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anomalon.errors import ConfigError, OutputExistsError, UnknownNameError, suggest
from anomalon.events import Events
from anomalon.generation import trained
from anomalon.generation.condition import Condition
from anomalon.generation.contract import Generator
from anomalon.generation.flatten import FIELDS
from anomalon.generation.registry import get_generator, load_generator
from anomalon.generation.tuning import FineTuning, hold_out
from anomalon.generation.validate import validate
from anomalon.generation.validation import Validation, ValidationSettings
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.pipeline.validation import read_events
from anomalon.sources import expand, open_source
from anomalon.store import StoreWriter
from anomalon.training import EpochReport, TrainingRun
from anomalon.writers import WriterSettings, writer_for

CHUNK = 10_000
"""Events generated at a time."""
CHECKPOINT = "checkpoint"
DEFAULT = "autoregressive"
"""Kind of generator where none is named."""
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingInputs:
    """What a generator is fitted to.

    Attributes:
        paths: stores or event files; each is a sample.
        events: at most so many of each; None for all.
        validation_share: held out for stopping early, chosen by a hash of the events' identity.
        parameters: by name of the sample, numbers such as masses.
    """

    paths: tuple[str, ...]
    events: int | None = None
    validation_share: float = 0.1
    parameters: Mapping[str, Mapping[str, float]] | None = None


def make_generator(values: Mapping[str, Any], where: str = "generator") -> Generator:
    """A generator to be fitted, from its ``kind`` and settings.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: a setting is wrong.
    """
    settings = dict(values)
    family = get_generator(str(settings.pop("kind", DEFAULT)))
    return family(family.Settings.parse(settings, where=where))


def make_tuning(model: str, values: Mapping[str, Any], where: str = "tuning") -> FineTuning:
    """A fine-tuning of a saved generator, or of one that comes along.

    Args:
        model: its folder or name.
        values: settings of :class:`~anomalon.generation.tuning.TuningSettings`; what is the model's (``kind``,
            ``slots``, ``acceptance``) may be repeated.
        where: file of the settings, for messages.

    Raises:
        UnknownNameError: there is no such model.
        ConfigError: it is of another kind, has other slots or another acceptance, or a setting is wrong.
    """
    return FineTuning.of(find_model(model), values, name=model, where=where)


def train_generator(
    generator: Generator | FineTuning,
    inputs: TrainingInputs,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] | None = None,
) -> Generator:
    """Fit a generator and save it; the folder appears when it is complete, and a killed training can go on.

    Args:
        generator: of :func:`make_generator`, or of :func:`make_tuning` to start from a fitted one.
        inputs: the events.
        output: folder of the model.
        resume: go on with a training that was killed.
        overwrite: replace a model that is there.
        progress: called after every epoch, for families that train in epochs.

    Raises:
        OutputExistsError: ``output`` is there.
        TrainingError: too few events.
    """
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output}: already there; choose another name or overwrite it (--overwrite)")
    partial = output.with_name(f"{output.name}.partial")
    if not resume:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, exist_ok=True)
    learned, checked = hold_out(_events(inputs), inputs.validation_share)
    run = TrainingRun(checkpoint_dir=partial / CHECKPOINT, resume=resume, progress=progress)
    fitted = generator.fit(learned, checked, parameters=inputs.parameters, run=run)
    made = partial / "model"
    shutil.rmtree(made, ignore_errors=True)
    fitted.save(made)
    if output.exists():
        shutil.rmtree(output)
    made.replace(output)
    shutil.rmtree(partial)
    return fitted


def _events(inputs: TrainingInputs) -> Events:
    parts = [_some(path, inputs.events) for path in inputs.paths]
    return Events.concatenate(parts)


def _some(path: str, most: int | None) -> Events:
    """The first events of a path, whole ones of a sample with several versions of an event included."""
    found, number = [], 0
    for file in expand([path]):
        for part in open_source(file).iterate(FIELDS):
            found.append(part if most is None else part[: most - number])
            number += len(found[-1])
            if most is not None and number >= most:
                return Events.concatenate(found)
    return Events.concatenate(found)


def find_model(name: str, *, refine: bool = True) -> Generator:
    """A saved generator by its folder, or one that comes with anomalon by its name.

    Args:
        name: of either.
        refine: whether to use its refinement, where it has one.

    Raises:
        UnknownNameError: neither.
        ModelFileError: damaged.
    """
    path = Path(name)
    if not path.is_dir() and name not in trained.names():
        raise UnknownNameError(
            f"no model '{name}': not a folder, and none that comes along; {suggest(name, trained.names())}"
        )
    generator = load_generator(path if path.is_dir() else trained.folder(name))
    if not refine:
        generator.refinement = None
    return generator


ANYTHING = Condition()
"""No restriction."""


@dataclass(frozen=True)
class Wanted:
    """Which generated events, and where they go.

    Attributes:
        events: how many.
        seed: of all random numbers.
        condition: restrictions.
    """

    events: int
    seed: int = 1
    condition: Condition = ANYTHING


@dataclass(frozen=True)
class Sampled:
    """What was generated: events, drawn ones that were rejected included, and where they are."""

    output: Path
    events: int
    rejected: float


def sample_to(
    generator: Generator, wanted: Wanted, output: Path, *, overwrite: bool = False, progress: Report | None = None
) -> Sampled:
    """Generate events into a store, or into a file of another format by its ending; memory is bounded by a chunk.

    The events do not depend on the chunks: the first thousand of a million are those of a thousand.

    Raises:
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
        UnknownNameError: the ending names no format.
        ConfigError, EmptySelectionError: the condition cannot be met.
    """
    counted = [0]
    parts = _chunks(generator, wanted, counted, progress)
    if output.suffix:
        with writer_for(output)(output, WriterSettings(), overwrite=overwrite) as file:
            for events in parts:
                file.append(events)
    else:
        with StoreWriter(output, overwrite=overwrite) as store:
            for events in parts:
                store.append(events)
            entry = LedgerEntry(f"generator {generator.kind}", read=wanted.events, written=wanted.events)
            store.finish(ledger=Ledger((entry,)))
    return Sampled(output, wanted.events, 1.0 - wanted.events / max(counted[0], 1))


def _chunks(generator: Generator, wanted: Wanted, counted: list[int], progress: Report | None) -> Iterator[Events]:
    for start in range(0, max(wanted.events, 1), CHUNK):
        n = min(CHUNK, wanted.events - start)
        made = generator.generate(n, wanted.seed, wanted.condition, start=start, total=wanted.events)
        counted[0] += made.tried
        yield made.events
        if progress is not None:
            progress(start + n, wanted.events)


def judge(
    generator: Generator,
    real: str,
    train: str | None,
    settings: ValidationSettings,
    *,
    seed: int = 1,
    progress: Report | None = None,
) -> Validation:
    """Compare as many generated events as all comparisons need with real ones that were not trained on.

    Args:
        generator: to be judged.
        real: a store or event files.
        train: what it learned from; None leaves out the look for memorised events.
        settings: of the comparison.
        seed: of the generated events.
        progress: called with comparisons done and in all.
    """
    events = read_events(real)
    number = (settings.events or len(events)) * settings.splits
    parts = list(_chunks(generator, Wanted(number, seed), [0], None))
    known = None if train is None else read_events(train)
    return validate(events, Events.concatenate(parts), train=known, settings=settings, progress=progress)


def parse_condition(process: str | None, parameters: Sequence[str], require: Sequence[str]) -> Condition:
    """A condition as it is given on the command line.

    Args:
        process: one of the generator's.
        parameters: such as ``mass=500``.
        require: such as ``leptons>=3``, ``b=2``, ``j<=4``.

    Raises:
        ConfigError: one cannot be read.

    >>> parse_condition(None, ["mass=500"], ["leptons>=3", "b=2"]).exactly
    {'b': 2}
    """
    values: dict[str, dict[str, Any]] = {"at_least": {}, "at_most": {}, "exactly": {}, "parameters": {}}
    for text in parameters:
        name, _, number = text.partition("=")
        values["parameters"][name.strip()] = _number(number, text, "--set", "NAME=NUMBER, such as mass=500")
    for text in require:
        key, sign = next(((k, s) for k, s in _SIGNS if s in text), ("", ""))
        name, _, number = text.partition(sign) if sign else (text, "", "")
        found = _number(number, text, "--require", "such as leptons>=3, b=2 or j<=4")
        if found != int(found) or found < 0:
            raise ConfigError(f"--require {text}: expected a whole number of objects")
        values[key][name.strip()] = int(found)
    return Condition.parse({"process": process, **values}, where="anomalon generate sample")


_SIGNS = (("at_least", ">="), ("at_most", "<="), ("exactly", "="))


def _number(text: str, given: str, option: str, form: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{option} {given}: cannot be read; expected {form}") from None
    if not np.isfinite(value):
        raise ConfigError(f"{option} {given}: expected a finite number")
    return value
