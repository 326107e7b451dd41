"""``anomalon tune``: settings of a detector, found by a study that may be killed and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._tables import console

if TYPE_CHECKING:
    from anomalon.search.tuning_results import TuningResults


def tune(
    config: Annotated[Path, typer.Argument(help="A YAML file, such as examples/tune-vae.yaml.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the study.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials that are to be finished, in place of the configuration's.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A database that many processes share; default: a journal in OUTPUT."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that run trials.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a study, beside other processes or after they were killed.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Samples and trainings; default: .anomalon-cache beside OUTPUT.")
    ] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw; without it is faster.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the summary.")] = False,
) -> None:
    """Try settings of a detector, and write the best as YAML for anomalon search and anomalon benchmark.

    A trial whose process was killed is started again with the same settings: in the end exactly the trials that were
    asked for are finished. The objective looks at validation events only.

    Example: anomalon tune examples/tune-vae.yaml --output runs/tune-vae --workers 2
    """
    with listener() as progress:
        progress.start("load libraries")
        from anomalon.pipeline.tuning import TuningOptions, run_tuning
        from anomalon.pipeline.tuning_configuration import TuningConfig

        given = {"trials": trials, "storage": storage}
        chosen = TuningConfig.load(config, **{key: value for key, value in given.items() if value is not None})
        options = TuningOptions(resume=resume, cache=cache, workers=workers, figures=figures, progress=progress)
        results = run_tuning(chosen, output, options)
    if json:
        typer.echo(results.model_dump_json(indent=1))
    else:
        _say(results, output)


def _say(results: TuningResults, output: Path) -> None:
    complete = sum(t.state == "complete" for t in results.trials)
    lines = [f"{len(results.trials)} of {results.wanted} trials finished, {complete} complete; {results.objective}"]
    if results.running:
        lines.append(f"{results.running} still run in other processes")
    if results.best is not None and results.best.value is not None:
        chosen = ", ".join(f"{key} = {value}" for key, value in results.best.settings.items())
        lines += [f"best: {results.best.value:.5g} with {chosen}", f"{output / 'best-search.yaml'}: anomalon search"]
        lines.append(f"{output / 'best-benchmark.yaml'}: anomalon benchmark")
    for line in (*lines, *(f"warning: {warning}" for warning in results.warnings)):
        console().print(line, markup=False, highlight=False, soft_wrap=True)
