"""The scores that a comparison of classifiers puts side by side: cuts, classifiers in folds, averages, the optimum."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anomalon import metrics
from anomalon.features import Features
from anomalon.models.discriminator import DiscriminatorSettings
from anomalon.models.folds import FoldedDiscriminator, Labelled
from anomalon.models.registry import get_classifier
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.classification_configuration import BEST_CUT, OPTIMUM, AverageConfig, ClassificationConfig
from anomalon.pipeline.classification_samples import Classes
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.run_directory import write_json
from anomalon.search import classification_measures as measures
from anomalon.search.classification import Importance, Kind
from anomalon.search.classification_measures import Scored

Floats = npt.NDArray[np.float64]

CODE = (
    "models/folds", "models/discriminator", "models/probabilities", "models/contract", "networks/perceptron",
    "networks/dense", "networks/computing", "networks/stopping", "networks/checkpoint", "training",
    "preprocessing", "scaling", "batches", "pipeline/classification_rows",
)  # fmt: skip
MODEL, SCORES, NOTES = "model", "scores.npz", "notes.json"


@dataclass(frozen=True)
class Row:
    """A score of all events, before it is judged.

    Attributes:
        title: what it is made of.
        held: score of every event of the folds, by a classifier that has not seen it, shape (event,).
        tested: score of every test event, shape (event,).
        trained: scores of events of the folds by classifiers that have seen them, shape (fold, event); None for cuts.
        singles: scores of separate test events by each fold's classifier, shape (fold, event).
        importance: of its inputs, the largest first.
        fixed: the cut of the fixed accuracy, in units of the score; None for a probability of one half.
        model: folder of the fitted classifier.
        seconds: of all fits.
    """

    name: str
    kind: Kind
    title: str
    inputs: tuple[str, ...]
    held: Floats
    tested: Floats
    trained: Floats | None = None
    singles: Floats | None = None
    importance: tuple[Importance, ...] = ()
    fixed: float | None = None
    model: Path | None = None
    seconds: float = 0.0


def rows(config: ClassificationConfig, classes: Classes, cache: StageCache, progress: Progress) -> Iterator[Row]:
    """The best cut, the fixed ones, the classifiers, and the optimum where it is known."""
    yield best_cut(classes)
    for name, cut in {config.baseline_name: None, **config.cuts}.items():
        yield cut_on(classes, name, fixed=cut)
    known: dict[str, Row] = {}
    for settings in config.classifier_settings():
        if isinstance(settings, AverageConfig):
            known[settings.name] = _average(settings, [known[name] for name in settings.average])
        else:
            known[settings.name] = _fitted(settings, config, classes, cache=cache, progress=progress)
        yield known[settings.name]
    if classes.optimal is not None:
        held, tested = (classes.optimal(part.features) for part in (classes.learned, classes.tested))
        yield Row(OPTIMUM, "bound", "from the densities", config.names, held, tested, fixed=0.0)


def best_cut(classes: Classes) -> Row:
    """The variable and direction of the highest accuracy: an oracle, for it looks at the labels of all events."""
    options = [(name, sign) for name in classes.learned.features.names for sign in (1.0, -1.0)]
    reached = [
        measures.best_accuracy_cut(learned_scores(classes, single(classes.learned, name, sign)))
        for name, sign in options
    ]
    best = max(range(len(options)), key=lambda i: reached[i][1])
    (name, sign), (cut, _) = options[best], reached[best]
    title = f"{name} {'>' if sign > 0 else '<'} {sign * cut:.4g}"
    held, tested = (single(part, name, sign) for part in (classes.learned, classes.tested))
    return Row(BEST_CUT, "cut", title, (name,), held, tested)


def cut_on(classes: Classes, name: str, *, fixed: float | None = None) -> Row:
    """A lower cut on one variable."""
    held, tested = (single(part, name, 1.0) for part in (classes.learned, classes.tested))
    title = f"{name} alone" if fixed is None else f"{name} alone, fixed cut {fixed:g}"
    return Row(name, "cut", title, (name,), held, tested, fixed=fixed)


def single(part: Labelled, name: str, sign: float) -> Floats:
    """One variable as a score (event,); events that lack it come first, the least like signal."""
    values, there = part.features.column(name).astype(np.float64), part.features.mask[:, part.features.index(name)]
    return np.where(there, sign * values, measures.LOWEST)


def learned_scores(classes: Classes, held: Floats) -> Scored:
    """Held-out scores of the events in folds."""
    part = classes.learned
    return Scored(held, part.labels, part.weights, part.fold)


def tested_scores(classes: Classes, tested: Floats) -> Scored:
    """Scores of the test events."""
    part = classes.tested
    return Scored(tested, part.labels, part.weights, part.fold)


def _average(settings: AverageConfig, members: list[Row]) -> Row:
    """Mean log odds."""

    def mean(parts: list[Floats | None]) -> Floats | None:
        there = [part for part in parts if part is not None]
        return np.asarray(np.mean(there, axis=0)) if len(there) == len(parts) else None

    inputs = tuple(dict.fromkeys(name for row in members for name in row.inputs))
    return Row(
        settings.name, "average", "mean log odds of " + ", ".join(settings.average), inputs,
        np.mean([row.held for row in members], axis=0), np.mean([row.tested for row in members], axis=0),
        trained=mean([row.trained for row in members]), singles=mean([row.singles for row in members]),
    )  # fmt: skip


def _fitted(
    settings: DiscriminatorSettings, config: ClassificationConfig, classes: Classes, *, cache: StageCache,
    progress: Progress,
) -> Row:  # fmt: skip
    """A classifier from the cache, or fitted."""
    key = {
        "classifier": settings.to_dict(),
        "events": classes.digest,
        "probabilities": config.probabilities,
        "shuffles": [config.shuffles, config.seed],
        "code": code_digest(*CODE, _module_of(settings.kind)),
    }

    def produce(folder: Path) -> None:
        progress.start(f"fit {settings.name}", classes.learned.n_folds)
        start = time.perf_counter()
        made = FoldedDiscriminator(settings, config.probabilities)
        made.fit(classes.learned, lambda done, _: progress.update(done))
        seconds = time.perf_counter() - start
        made.save(folder / MODEL)
        np.savez(folder / SCORES, **_scores(made, classes))  # type: ignore[arg-type]
        lost = importances(made, classes.learned, shuffles=config.shuffles, seed=config.seed)
        plain = [item.model_dump(mode="json") for item in lost]
        write_json(folder / NOTES, {"seconds": seconds, "inputs": made.inputs, "importance": plain})

    return _read(settings, cache.make(f"classify-{settings.name}", key, produce))


def _module_of(kind: str) -> str:
    """The file of a classifier below the package; other packages' classifiers have none of ours."""
    return get_classifier(kind).__module__.removeprefix("anomalon.").replace(".", "/")


def _scores(made: FoldedDiscriminator, classes: Classes) -> dict[str, Floats]:
    held, trained = made.held_out(classes.learned), made.trained(classes.learned)
    if not classes.separate:
        return {"held": held, "trained": trained, "tested": held}
    singles = np.stack([made.score_of(fold, classes.tested.features) for fold in range(len(made.members))])
    return {"held": held, "trained": trained, "tested": singles.mean(axis=0), "singles": singles}


def _read(settings: DiscriminatorSettings, folder: Path) -> Row:
    notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
    with np.load(folder / SCORES, allow_pickle=False) as arrays:
        scores = {name: arrays[name] for name in arrays.files}
    return Row(
        settings.name, "classifier", settings.kind, tuple(notes["inputs"]), **scores, model=folder / MODEL,
        importance=tuple(Importance.parse(item) for item in notes["importance"]), seconds=notes["seconds"],
    )  # fmt: skip


def importances(made: FoldedDiscriminator, sample: Labelled, *, shuffles: int, seed: int) -> list[Importance]:
    """Held-out AUC lost when one input is shuffled among the events of a fold, the largest first."""
    if not shuffles:
        return []
    whole = _auc(made.held_out(sample), sample)
    found = []
    for k, name in enumerate(made.inputs):
        rng = np.random.default_rng([seed, k])
        losses = [whole - _auc(made.held_out(_shuffled(sample, name, rng)), sample) for _ in range(shuffles)]
        found.append(Importance(name=name, loss=float(np.mean(losses)), spread=float(np.std(losses))))
    return sorted(found, key=lambda item: -item.loss)


def _shuffled(sample: Labelled, name: str, rng: np.random.Generator) -> Labelled:
    """The sample with one column permuted inside every fold."""
    features = sample.features
    order = np.arange(len(sample))
    for fold in np.unique(sample.fold):
        rows = np.flatnonzero(sample.fold == fold)
        order[rows] = rng.permutation(rows)
    k = features.index(name)
    values, mask = features.values.copy(), features.mask.copy()
    values[:, k], mask[:, k] = values[order, k], mask[order, k]
    shuffled = Features(values, mask, features.names)
    return Labelled(shuffled, sample.labels, sample.weights, sample.fold, sample.n_folds)


def _auc(scores: Floats, sample: Labelled) -> float:
    b, s = sample.labels == 0, sample.labels == 1
    return metrics.auc(scores[b], scores[s], background_weights=sample.weights[b], signal_weights=sample.weights[s])
