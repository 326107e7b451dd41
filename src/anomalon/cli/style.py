"""``anomalon style``: a detector's style put on a simulation, and events as images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.pipeline.calibration_tables import CalibrationResult, Comparison

style = typer.Typer(
    name="style",
    no_args_is_help=True,
    help="Put a detector's style on a simulation; draw events as images without loss.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_JSON = typer.Option("--json", help="Print the result as JSON.")


@style.command()
def diagnose(
    source: Annotated[str, typer.Argument(help="Events of one detector: a store or event files.", show_default=False)],
    target: Annotated[str, typer.Argument(help="Other events, as the other detector sees them.", show_default=False)],
    objects: Annotated[str, typer.Option(help="Objects that the target's cut is on.")] = "jets",
    pt_min: Annotated[float, typer.Option(help="The cut on their pT, GeV; applied to both.")] = 0.0,
    at_least: Annotated[int, typer.Option(min=0, help="Events have so many of them.")] = 0,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0, help="Same seed, same numbers.")] = 1,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Rank what differs between two samples, each difference beside what chance shows.

    Example: anomalon style diagnose stores/nominal stores/other --objects jets --pt-min 30
    """
    from anomalon.pipeline.calibration import diagnosed
    from anomalon.style.objects import Freedom

    values = {"objects": objects, "pt_min": pt_min, "at_least": at_least}
    found = diagnosed(source, target, Freedom.parse(values, where="anomalon style diagnose"), seed=seed)
    if json:
        print_json([{**item.model_dump(mode="json"), "significance": item.significance} for item in found])
        return
    rows = [(d.variable, d.distance, d.floor, d.significance, "follows" if d.derived else "") for d in found]
    print_table("What differs", ("variable", "distance", "floor", "significance", ""), rows)


@style.command()
def calibrate(
    config: Annotated[Path, typer.Argument(help="YAML: source, target, selection, methods.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to make: results.json, table.md, calibrators.")
    ],
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Learn what turns one detector's events into another's, by one or several methods, and judge them.

    Source and target are different events of one process. The diagnosis names what differs; the methods move that
    alone, and missing momentum, masses and sums follow. Where the target is simulation with distortions put on, the
    closed fraction against the truth is told. docs/style.md explains the tables and names a configuration for each.

    Example: anomalon style calibrate examples/style-bjet-scale.yaml --output runs/style
    """
    with listener() as listening:
        listening.start("load libraries")
        from anomalon.config import load_yaml
        from anomalon.pipeline.calibration import CalibrationConfig
        from anomalon.pipeline.calibration import calibrate as run

        settings = CalibrationConfig.parse(load_yaml(config), where=str(config))
        found = run(settings, output, progress=listening)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _say(found, output)


@style.command()
def apply(
    calibrator: Annotated[Path, typer.Argument(help="A folder of calibrators/.", show_default=False)],
    source: Annotated[str, typer.Argument(help="A store or event files, of any process.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The store to make.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is already there.")] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Put a fitted calibration on events; the target's cuts are still to be applied.

    Example: anomalon style apply runs/style/calibrators/1-response stores/tth --output stores/tth-calibrated
    """
    from anomalon.pipeline.calibration import apply_calibrator

    with progress("calibrating") as report:
        store = apply_calibrator(calibrator, source, output, overwrite=overwrite, on_progress=report)
    if json:
        print_json({"output": str(store.path), "events": store.n_events})
    else:
        console().print(f"{store.n_events:,} events in {store.path}", markup=False, highlight=False)


@style.command()
def images(
    stores: Annotated[list[Path], typer.Argument(help="Stores; all their events share the maps.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to make: mosaic-00001.png ..., events.parquet.")
    ],
    bits: Annotated[int, typer.Option(help="Of a variable: 8, 12 (green carries the rest) or 16.")] = 12,
    columns: Annotated[int, typer.Option(help="Secondary variables: 10, or 9 for blocks of 12 x 9.")] = 10,
    map_: Annotated[str, typer.Option("--map", help="rank makes variables uniform; log keeps their shape.")] = "rank",
    like: Annotated[
        Path | None, typer.Option(help="A mosaic, or a folder of them, whose bits and maps are taken.")
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Draw events with two leptons and two b-jets as mosaics of 25 x 40 blocks, without loss.

    A block has a row for each of pT, eta, phi of the four objects and a column for each of MET, sums and masses. The
    maps stand in the PNG; anomalon.style.images.read_images gives the variables back within half a step.

    Example: anomalon style images stores/ttbar --output pictures
    """
    from anomalon.errors import ConfigError
    from anomalon.style.images import ImageSettings, write_images

    if like is not None and (bits, columns, map_) != (12, 10, "rank"):
        raise ConfigError("--like: bits, columns and map are those of its pictures; leave the other options out")
    settings = ImageSettings.parse({"bits": bits, "columns": columns, "map": map_}, where="anomalon style images")
    found = write_images(stores, output, settings, like=like)
    if json:
        print_json(found.to_dict())
    else:
        where = f"{found.mosaics} mosaics of {found.codec.bits} bits: {output}"
        console().print(f"{found.drawn:,} of {found.read:,} events in {where}", markup=False, highlight=False)


@style.command()
def transfer(
    config: Annotated[Path, typer.Argument(help="YAML: source, target, networks, layers, ratios.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to make: results.json, table.md, cells, figures.")
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Keep the cells that an interrupted run has made.")] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Neural style transfer of event pictures, judged on the variables of events: why it does not work.

    Pictures of the source get the style of pictures of the target, for every network, choice of layers, start and
    ratio; they are read back into variables. docs/style.md explains the table. For what works see calibrate.

    Example: anomalon style transfer examples/style-gatys.yaml --output runs/gatys
    """
    with listener() as listening:
        listening.start("load libraries")
        from anomalon.config import load_yaml
        from anomalon.pipeline.style_transfer import StyleTransferConfig, transfer_style
        from anomalon.pipeline.style_transfer_tables import HEADER, rows

        settings = StyleTransferConfig.parse(load_yaml(config), where=str(config))
        found = transfer_style(settings, output, resume=resume, progress=listening)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    print_table("Style transfer", HEADER, [tuple(row) for row in rows(found)])
    console().print(f"table, pictures and figures in {output}", markup=False, highlight=False)


def _say(found: Comparison, output: Path) -> None:
    from anomalon.pipeline.calibration_tables import learned

    differences = [(d.variable, d.distance, d.floor, d.significance) for d in found.diagnosis[:8]]
    print_table("What differs", ("variable", "distance", "floor", "significance"), differences)
    header = ("method", "process", "closed", "ceiling", "by region", "AUC", "untreated")
    rows = [row for one in found.calibrations for row in _rows(one, found.freedom.objects)]
    print_table(f"Calibrated: {found.freedom.objects}", header, rows)
    for line in (line for one in found.calibrations for line in learned(one)):
        console().print(line, markup=False, highlight=False)
    console().print(f"tables and calibrators in {output}", markup=False, highlight=False)


def _rows(one: CalibrationResult, objects: str) -> list[tuple[str | float, ...]]:
    rows: list[tuple[str | float, ...]] = []
    for name, judged in {"own": one.judged, **one.transfer}.items():
        pt, regions = judged.closures.get(f"{objects}.pt"), judged.closures.get("pt by region")
        shares = (pt and pt.closed, pt and pt.ceiling, regions and regions.closed)
        numbers = ["-" if share is None else f"{share:.3f}" for share in shares]
        rows.append((one.label, name, *numbers, judged.test.auc, judged.untreated.auc))
    return rows
