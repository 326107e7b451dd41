"""``anomalon export``: events in the formats of other programs, and detectors as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json
from anomalon.errors import ConfigError

if TYPE_CHECKING:
    from anomalon.pipeline.export_events import ExportSummary


def export(
    source: Annotated[
        Path,
        typer.Argument(help="A store, or a file that anomalon reads; with --onnx a finished run.", show_default=False),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file or store to make.")] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a detector of a run as ONNX, from features to scores.")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="With --onnx: which detector; default: the main one.")] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="store, hdf5, root (TTree), rntuple, darkmachines or numpy. Default: by the ending of the output.",
        ),
    ] = None,
    fields: Annotated[
        str | None, typer.Option(help="Event fields to write, by commas: electrons,muons,met. Default: all.")
    ] = None,
    selected: Annotated[
        bool, typer.Option("--selected", help="Only events of the selection of --set: leptons, or trilepton.")
    ] = False,
    set_: Annotated[str, typer.Option("--set", help="The feature set whose selection is meant.")] = "trilepton",
    sample: Annotated[str | None, typer.Option(help="Only the events of this sample.")] = None,
    max_objects: Annotated[int | None, typer.Option(help="Objects per collection and event, the hardest.")] = None,
    luminosity: Annotated[float, typer.Option(help="Luminosity of the weights beside the events, fb^-1.")] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write events in another format: store, HDF5, ROOT (TTree, RNTuple), Dark Machines CSV, NumPy.

    ROOT files have the names of CMS NanoAOD and hold one sample each; HDF5 and NumPy hold padded objects with a mask.
    For tables of features see anomalon features.

    Example: anomalon export stores/wz --output wz.root

    Example: anomalon export runs/trilepton --onnx autoencoder.onnx --detector autoencoder
    """
    if onnx is not None:
        _network(source, onnx, detector, overwrite=overwrite, json=json)
        return
    if output is None:
        raise ConfigError("export: --output FILE is missing (or --onnx FILE, for a detector of a run)")
    from anomalon import features
    from anomalon.pipeline.export_events import Skim, export_events
    from anomalon.selection import for_features
    from anomalon.writers import WriterSettings

    features.get(set_)  # a name that is not there would mean the default selection
    names = None if fields is None else tuple(name.strip() for name in fields.split(","))
    values = {"max_objects": max_objects, "luminosity_fb": luminosity}
    with progress("exporting") as report:
        summary = export_events(
            source,
            output,
            format_=format_,
            skim=Skim(names, for_features(set_) if selected else None, sample),
            settings=WriterSettings.parse(values, where="anomalon export"),
            overwrite=overwrite,
            on_progress=report,
        )
    if json:
        print_json(summary.to_dict())
    else:
        _say(summary)


def _network(run: Path, output: Path, detector: str | None, *, overwrite: bool, json: bool) -> None:
    from anomalon.pipeline.onnx_export import export_detector

    made = export_detector(run, output, detector, overwrite=overwrite)
    if json:
        values = {"output": str(made.path), "detector": made.detector, "inputs": made.inputs}
        print_json({**values, "largest_difference": made.difference, "events_compared": made.events})
        return
    text = f"{made.detector} with {len(made.inputs)} inputs as ONNX: {made.path}"
    console().print(text, markup=False, highlight=False, soft_wrap=True)
    agreement = f"scores of {made.events:,} random events agree to {made.difference:.1g} (relative) with onnxruntime"
    console().print(agreement, markup=False, highlight=False)


def _say(summary: ExportSummary) -> None:
    lines = [f"{summary.written:,} of {summary.read:,} events as {summary.format}: {summary.output}"]
    if summary.left_out:
        lines.append(f"left out, for the format has no place for it: {', '.join(summary.left_out)}")
    lines += [f"cut off: {n:,} of the softest {name}" for name, n in summary.cut_off.items()]
    for line in lines:
        console().print(line, markup=False, highlight=False)
