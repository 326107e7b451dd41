"""Classifiers compared: fitted in folds, judged on events that they have not seen, beside the best cut.

One call behind ``anomalon classify``. Samples and fitted classifiers are stages of a cache, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

import anomalon
from anomalon.errors import RunError
from anomalon.features import Features
from anomalon.models.folds import FoldedDiscriminator
from anomalon.pipeline.cache import StageCache, digest
from anomalon.pipeline.classification_configuration import ClassificationConfig
from anomalon.pipeline.classification_judging import judge
from anomalon.pipeline.classification_rows import Row, rows
from anomalon.pipeline.classification_samples import Classes, load_classes
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.run_directory import MANIFEST, RunDirectory, write_json
from anomalon.report.classification_page import render
from anomalon.report.figures_classify import Plane, classification_figures
from anomalon.report.style import to_png, to_svg
from anomalon.search.classification import Classification, as_markdown

CACHE = ".anomalon-cache"
RESULTS, TABLE, PAGE = "results.json", "table.md", "report.html"
_POINTS = 2000
"""Events of each class in the picture of a boundary."""
_PIXELS = 240


@dataclass(frozen=True)
class ClassificationOptions:
    """How a comparison is run; nothing here changes its results.

    Attributes:
        resume: show a finished run of the same configuration instead of running it again.
        overwrite: replace a finished run.
        cache: folder of samples and fitted classifiers; by default beside the output.
        figures: whether to draw.
        progress: who listens.
    """

    resume: bool = False
    overwrite: bool = False
    cache: Path | None = None
    figures: bool = True
    progress: Progress = field(default_factory=Silent)


def run_classification(
    config: ClassificationConfig, output: Path, options: ClassificationOptions | None = None
) -> Classification:
    """Run a comparison and write ``results.json``, ``table.md``, ``report.html``, ``models/`` and ``figures/``.

    Raises:
        OutputExistsError: ``output`` is there and neither ``resume`` nor ``overwrite`` is on.
        RunError: ``resume``, but the run there has another configuration.
        EmptySelectionError: a class has too few events.
        TrainingError: a training diverged.
    """
    options, run = options or ClassificationOptions(), RunDirectory(output)
    if options.resume and run.finished:
        return _finished(run, config)
    run.check_free(options.overwrite or options.resume)
    with run.making():
        cache = StageCache(options.cache or output.parent / CACHE, resume=True)
        found = _compare(config, run.begin(), cache, options)
        run.finish()
    return found


def config_digest(config: ClassificationConfig) -> str:
    """Digest of everything in the configuration that can change a result."""
    return digest(config.model_dump(mode="json", exclude={"simulation": {"workers"}}))


def _finished(run: RunDirectory, config: ClassificationConfig) -> Classification:
    """What a finished run has found.

    Raises:
        RunError: it was another configuration.
    """
    if run.manifest()["config_digest"] != config_digest(config):
        raise RunError(f"{run.path}: a finished run of another configuration; choose another --output, or --overwrite")
    return Classification.parse(json.loads((run.path / RESULTS).read_text(encoding="utf-8")), where=str(run.path))


def _compare(
    config: ClassificationConfig, folder: Path, cache: StageCache, options: ClassificationOptions
) -> Classification:
    """Fit, judge and write."""
    classes = load_classes(config, cache, options.progress)
    made = list(rows(config, classes, cache, options.progress))
    found = judge(made, classes, config, options.progress)
    (folder / RESULTS).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / TABLE).write_text(as_markdown(found), encoding="utf-8")
    plain = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(plain, encoding="utf-8")
    for row in made:
        if row.model is not None:
            shutil.copytree(row.model, folder / "models" / row.name)
    if options.figures:
        options.progress.start("draw")
        _draw(found, folder, plane_of(classes, made))
    manifest = {"anomalon": anomalon.__version__, "config_digest": config_digest(config), "files": {}}
    write_json(folder / MANIFEST, {**manifest, "unblinded": None})
    return found


def _draw(found: Classification, folder: Path, plane: Plane | None) -> None:
    """Figures as PNG and SVG, and the page that holds them."""
    (folder / "figures").mkdir()
    pictures = {}
    for name, title, figure in classification_figures(found, plane):
        pictures[name] = (title, to_png(figure))
        (folder / "figures" / f"{name}.png").write_bytes(pictures[name][1])
        (folder / "figures" / f"{name}.svg").write_bytes(to_svg(figure))
    (folder / PAGE).write_text(render(found, pictures), encoding="utf-8")


def plane_of(classes: Classes, made: Sequence[Row]) -> Plane | None:
    """Probabilities over the plane of two features, where there are only two and the optimum is known."""
    if classes.optimal is None:
        return None
    features = classes.learned.features
    axes = [np.linspace(column.min() - 1.0, column.max() + 1.0, _PIXELS) for column in features.values.T]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2).astype(np.float32)
    points = Features(grid, np.ones(grid.shape, dtype=np.bool_), features.names)
    fitted = {row.name: FoldedDiscriminator.load(row.model) for row in made if row.model is not None}
    shown = np.concatenate([np.flatnonzero(classes.learned.labels == k)[:_POINTS] for k in (0, 1)])
    return Plane(
        axes=(axes[0], axes[1]),
        optimal=classes.optimal(points).reshape(_PIXELS, _PIXELS),
        probabilities={name: one.predict(points).reshape(_PIXELS, _PIXELS) for name, one in fitted.items()},
        points=features.values[shown],
        labels=classes.learned.labels[shown],
    )
