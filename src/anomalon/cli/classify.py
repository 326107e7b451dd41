"""``anomalon classify``: two classes told apart, beside the best cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.search.classification import Classification

_LEFT_OUT = ("inputs", "KS p (b, s)", "s")
"""Columns that a terminal has no room for: the page has them."""


def classify(
    config: Annotated[Path, typer.Argument(help="YAML: samples or a toy, features, classifiers.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run directory to make.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; a finished one is shown, not run again.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Samples and fitted classifiers; default: .anomalon-cache beside OUTPUT.")
    ] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw; without it is faster.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Train classifiers in folds and judge them on events that they have not seen, beside the best cut.

    Every row has AUC and accuracy with intervals, the background that is left where a tenth of the signal is kept, the
    expected significance behind a cut that other events have chosen, an overtraining test and calibrated probabilities.
    docs/classification.md explains the table.

    Example: anomalon classify examples/classify-gaussians.yaml --output runs/gaussians
    """
    with listener() as progress:
        progress.start("load libraries")
        from anomalon.pipeline.classification import ClassificationOptions, run_classification
        from anomalon.pipeline.classification_configuration import ClassificationConfig

        options = ClassificationOptions(
            resume=resume, overwrite=overwrite, cache=cache, figures=figures, progress=progress
        )
        found = run_classification(ClassificationConfig.load(config), output, options)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _say(found, output)


def _say(found: Classification, output: Path) -> None:
    from anomalon.search.classification import header, introduction, rows

    kept = [i for i, name in enumerate(header(found)) if name not in _LEFT_OUT]
    print_table(found.title, [header(found)[i] for i in kept], [[row[i] for i in kept] for row in rows(found)])
    for line in introduction(found):
        console().print(line, markup=False, highlight=False)
    console().print(f"tables, figures and models in {output}", markup=False, highlight=False)
