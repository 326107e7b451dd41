"""``anomalon generate``: events from learned generators, and how well they pass for simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.generation.validation import Validation

generate = typer.Typer(
    name="generate",
    no_args_is_help=True,
    help="Generate events, and say whether they can be told from simulation.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@generate.command()
def validate(
    real: Annotated[str, typer.Option("--real", help="Real events that were not trained on: a store or event files.")],
    generated: Annotated[str, typer.Option("--generated", help="Generated events: a store or event files.")],
    train: Annotated[
        str | None, typer.Option("--train", help="What the generator learned from: looks for memorised events.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option("--truth", help="Ten times as many real events as --train: looks for amplification.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for the card: PNG, HTML, JSON.")
    ] = None,
    events: Annotated[
        int | None,
        typer.Option("--events", "-n", min=2, help="Events in each sample; default: all there are, at most 20000."),
    ] = None,
    splits: Annotated[int, typer.Option(min=2, help="Comparisons that give the intervals.")] = 5,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same numbers.")] = 0,
    slots: Annotated[
        str, typer.Option(help="Numbers of objects that are looked at: default, or garcia2024 (17 slots).")
    ] = "default",
    mask_share: Annotated[
        float, typer.Option(help="Keep only the commonest multiplicities, so much of all; 0.95 as in Garcia Ruiz 2024.")
    ] = 1.0,
    detector: Annotated[
        str, typer.Option(help="Detector preset whose acceptance and storing rule must hold; none checks neither.")
    ] = "darkmachines",
    view: Annotated[
        str, typer.Option(help="Columns of the classifiers: judge, or refiner, those that a refinement sees.")
    ] = "judge",
    judges: Annotated[str, typer.Option(help="Classifiers by commas: boosting, mlp; none leaves them out.")] = (
        "boosting,mlp"
    ),
    precision: Annotated[
        float, typer.Option(help="On an AUC of one half: decides how many events are too few to conclude.")
    ] = 0.01,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Compare generated events with real ones: distances, classifiers, mass peaks, balance, tails, memorisation.

    Every number stands beside its floor: the same between two samples of real events of the same size.

    Example: anomalon generate validate --real stores/ttbar-test --generated stores/ttbar-generated --output card
    """
    from anomalon.generation.validation import ValidationSettings
    from anomalon.pipeline.validation import (
        ValidationInputs,
        check_validation_free,
        validate_files,
        write_validation,
    )

    if output is not None:
        check_validation_free(output, overwrite=overwrite)
    values: dict[str, Any] = {
        "events": events,
        "splits": splits,
        "seed": seed,
        "slots": slots,
        "mask_share": mask_share,
        "detector": None if detector == "none" else detector,
        "view": view,
        "judges": () if judges == "none" else tuple(name.strip() for name in judges.split(",") if name.strip()),
        "precision": precision,
    }
    settings = ValidationSettings.parse(values, where="anomalon generate validate")
    with progress("comparing", "comparisons") as report:
        found = validate_files(ValidationInputs(real, generated, train, truth), settings, report)
    if output is not None:
        write_validation(found, output, overwrite=overwrite)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _say(found, output)


def _say(found: Validation, output: Path | None) -> None:
    from anomalon.report.generation_card import VERDICTS, card_rows

    for sample in found.samples:
        what = f"{sample.role}: {sample.events:,} events of weight one from {sample.rows:,} rows"
        _line(f"{what}, {', '.join(sample.processes)}, origin {', '.join(sample.origins)}: {sample.where}")
    for warning in found.warnings:
        _line(f"warning: {warning}")
    rows = [
        (row.title.upper() if row.heading else row.title, row.generated, row.floor, row.ratio,
         VERDICTS[row.verdict][0] if row.verdict else "")
        for row in card_rows(found)
    ]  # fmt: skip
    n = found.settings.events or 0
    print_table(f"{n:,} against {n:,} events", ("what", "generated", "floor", "x floor", "verdict"), rows)
    if output is not None:
        _line(f"card written: {output}")


def _line(text: str) -> None:
    console().print(text, markup=False, highlight=False)
