"""``anomalon generate``: events from learned generators, and how well they pass for simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomalon.cli._listener import listener
from anomalon.cli._names import names_in
from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.generation.contract import Generator
    from anomalon.generation.validation import Validation

generate = typer.Typer(
    name="generate",
    no_args_is_help=True,
    help="Generate events, and say whether they can be told from simulation.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Options of several commands, or of several lines.
RealEvents = Annotated[
    str, typer.Option("--real", help="Real events that were not trained on: a store or event files.")
]
LearnedFrom = Annotated[
    str | None, typer.Option("--train", help="What the generator learned from: looks for memorised events.")
]
Splits = Annotated[int, typer.Option(min=2, help="Comparisons that give the intervals.")]
Refine = Annotated[
    bool,
    typer.Option("--refine/--no-refine", help="Use the model's refinement, where it has one; without is faster."),
]
Slots = Annotated[str, typer.Option(help="Numbers of objects that are looked at: default, or garcia2024 (17 slots).")]
MaskShare = Annotated[
    float, typer.Option(help="Keep only the commonest multiplicities, so much of all; 0.95 as in Garcia Ruiz 2024.")
]
StoringRule = Annotated[
    str, typer.Option(help="Detector preset whose acceptance and storing rule must hold; none checks neither.")
]
OverwriteCard = Annotated[bool, typer.Option("--overwrite", help="Replace a card that is already there.")]
NumbersAsJson = Annotated[bool, typer.Option("--json", help="Print every number as JSON.")]


@generate.command()
def train(
    events: Annotated[list[str], typer.Argument(help="Stores or event files to learn from; each is a sample.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the model.")],
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with the generator's kind and settings.", show_default=False)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Fine-tune this model: its folder, or one that comes along."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of generator; default: autoregressive.")] = None,
    slots: Annotated[
        str | None, typer.Option(help="Numbers of objects: default, or garcia2024 (17 slots).", show_default=False)
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Detector preset whose acceptance must hold; default: what is observed.")
    ] = None,
    number: Annotated[
        int | None, typer.Option("--events", "-n", min=1, help="At most so many events of each sample.")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the events that is held out for stopping early.")] = 0.1,
    seed: Annotated[int | None, typer.Option("--seed", "-s", min=0, help="Same seed, same model.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was learned as JSON.")] = False,
) -> None:
    """Fit a generator to events. Weights are removed first, by keeping each event in proportion to its weight.

    With --from few events are enough: slots and acceptance are the model's, and --config has settings of the tuning.

    Example: anomalon generate train stores/ttbar --output models/ttbar --detector darkmachines
    """
    from anomalon.config import load_yaml
    from anomalon.pipeline.generation import TrainingInputs, make_generator, make_tuning, train_generator

    given = {"kind": kind, "slots": slots, "acceptance": detector, "seed": seed}
    values = {**(load_yaml(config) if config else {}), **{k: v for k, v in given.items() if v is not None}}
    where = str(config or "anomalon generate train")
    generator = make_tuning(start, values, where) if start else make_generator(values, where)
    with listener() as report:
        report.start(f"train {generator.kind}")
        inputs = TrainingInputs(tuple(events), number, validation)
        fitted = train_generator(
            generator, inputs, output, resume=resume, overwrite=overwrite,
            progress=lambda one: report.update(one.epoch, f"epoch {one.epoch}, loss {one.loss:.4f}"),
        )  # fmt: skip
    _tell_fit(fitted, output, json=json)


@generate.command()
def sample(
    model: Annotated[str, typer.Argument(help="A model's folder, or one that comes along, such as ttbar.")],
    number: Annotated[int, typer.Option("--events", "-n", min=1, help="Events to generate.")] = 10_000,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A store, or a file: .csv (Dark Machines), .root, .h5; default: a store."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same events.")] = 1,
    process: Annotated[str | None, typer.Option(help="Only this process of the model.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", "-p", metavar="NAME=VALUE", help="Such as a mass, between those learned."),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require", "-r", metavar="OBJECTS", help="Such as 'leptons>=3': nothing is made and thrown away."
        ),
    ] = None,
    refine: Refine = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Generate events, with the origin 'generated' wherever they go; memory does not grow with their number.

    Example: anomalon generate sample ttbar --events 100000 --require 'leptons>=2' --output stores/ttbar-generated
    """
    from anomalon.pipeline.generation import Wanted, find_model, parse_condition, sample_to

    wanted = Wanted(number, seed, parse_condition(process, parameter or [], require or []))
    generator = find_model(model, refine=refine)
    path = output or Path(f"{Path(model).name}-generated-{seed}")
    with progress("generating") as report:
        made = sample_to(generator, wanted, path, overwrite=overwrite, progress=report)
    if json:
        print_json({"output": str(made.output), "events": made.events, "rejected": made.rejected})
    else:
        _line(f"{made.events:,} events in {made.output}; {100 * made.rejected:.1f} % of the drawn ones were rejected")


@generate.command()
def card(
    model: Annotated[str, typer.Argument(help="A model's folder, or one that comes along, such as ttbar.")],
    real: RealEvents,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the card: PNG, HTML, JSON.")],
    train: LearnedFrom = None,
    events: Annotated[int | None, typer.Option("--events", "-n", min=2, help="Events in each sample.")] = None,
    splits: Splits = 5,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same numbers.")] = 0,
    refine: Refine = True,
    overwrite: OverwriteCard = False,
    json: NumbersAsJson = False,
) -> None:
    """Generate as many events as the comparisons need, compare them with real ones, and write the one-page card.

    Example: anomalon generate card models/ttbar --real stores/ttbar-test --train stores/ttbar --output card
    """
    from anomalon.generation.validation import ValidationSettings
    from anomalon.pipeline.generation import find_model, judge
    from anomalon.pipeline.validation import check_validation_free, write_validation

    check_validation_free(output, overwrite=overwrite)
    generator = find_model(model, refine=refine)
    kept = generator.settings.multiplicities.coverage
    values = {"events": events, "splits": splits, "seed": seed, "slots": generator.settings.slots, "mask_share": kept}
    settings = ValidationSettings.parse(values, where="anomalon generate card")
    with progress("comparing", "comparisons") as report:
        found = judge(generator, real, train, settings, seed=seed + 1, progress=report)
    write_validation(found, output, overwrite=overwrite)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _say(found, output)


@generate.command()
def validate(
    real: RealEvents,
    generated: Annotated[str, typer.Option("--generated", help="Generated events: a store or event files.")],
    train: LearnedFrom = None,
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
    splits: Splits = 5,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same numbers.")] = 0,
    slots: Slots = "default",
    mask_share: MaskShare = 1.0,
    detector: StoringRule = "darkmachines",
    view: Annotated[
        str, typer.Option(help="Columns of the classifiers: judge, or refiner, those that a refinement sees.")
    ] = "judge",
    judges: Annotated[str, typer.Option(help="Classifiers by commas: boosting, mlp; none leaves them out.")] = (
        "boosting,mlp"
    ),
    precision: Annotated[
        float, typer.Option(help="On an AUC of one half: decides how many events are too few to conclude.")
    ] = 0.01,
    overwrite: OverwriteCard = False,
    json: NumbersAsJson = False,
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
        "judges": () if judges == "none" else names_in(judges),
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


def _tell_fit(fitted: Generator, output: Path, *, json: bool) -> None:
    report = fitted.report
    if json:
        print_json({"output": str(output), "report": None if report is None else report.model_dump(mode="json")})
        return
    _line(f"model written: {output}")
    if report is not None and report.tuned_from is not None:
        started = report.tuned_from
        _line(f"tuned from {started.name}: {', '.join(started.trained_on)}, {started.learned:,} events")
    if report is not None:
        _line(
            f"learned from {report.learned:,} events of weight one out of {report.read:,} rows; left out: "
            f"{report.beyond_slots:,} with more objects than slots, {report.out_of_reach:,} outside the acceptance, "
            f"{report.filtered:,} of rare multiplicities; multiplicities differ from those seen by "
            f"{report.total_variation:.4f} (total variation, before any was left out)"
        )


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
