"""``anomalon compare``: any set of variables, drawn for any set of samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._listener import listener
from anomalon.cli._names import names_in
from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.pipeline.compare import Compared, CompareOptions
    from anomalon.pipeline.compare_stores import Engine
    from anomalon.search.results import Role

# Options of several lines.
Variables = Annotated[
    str | None,
    typer.Option(
        "--variables",
        "-v",
        help="By commas: features (MET_pt, lep1_pt) and columns of the events (met.pt, jets.pt, jets.pt[0], "
        "jets.n). Default: all features.",
    ),
]
Matrices = Annotated[
    bool,
    typer.Option("--matrices", help="With --set rmm: draw each process's mean rapidity-mass matrix, and one event's."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="A running dask.distributed scheduler, tcp://HOST:PORT, in place of processes here (extra scale); its "
        "workers need the files under the same paths.",
        metavar="ADDRESS",
    ),
]


def compare(
    samples: Annotated[
        list[str], typer.Argument(help="Stores and event files; or one run directory or YAML file.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    variables: Variables = None,
    background: Annotated[str | None, typer.Option(help="Processes to stack, by commas.")] = None,
    signal: Annotated[str | None, typer.Option(help="Processes to overlay, by commas.")] = None,
    data: Annotated[str | None, typer.Option(help="Processes to draw as points, by commas.")] = None,
    set_: Annotated[str, typer.Option("--set", help="The feature set.")] = "trilepton",
    matrices: Matrices = False,
    selected: Annotated[
        bool, typer.Option("--selected", help="Only events of the feature set's selection: leptons, or trilepton.")
    ] = False,
    luminosity: Annotated[float, typer.Option(help="Luminosity of the yields, fb^-1.")] = 140.0,
    variation: Annotated[str | None, typer.Option(help="A varied weight, such as fakeUp.")] = None,
    signal_scale: Annotated[float, typer.Option(help="Factor on the drawn signals.")] = 1.0,
    bins: Annotated[int, typer.Option(help="Most bins of a variable.", min=1, max=1000)] = 40,
    experiment: Annotated[
        str, typer.Option(help="Label of the figures, such as 'CMS Open Data'; none by default.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: by the number of events. Same result.")
    ] = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a comparison that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
) -> None:
    """Draw variables: stacked backgrounds, signals over them, data with a ratio panel; yields as CSV and JSON.

    Roles come from the options, otherwise from the samples: collision data is data, the rest background. Of a run
    directory the features of its search are compared, of collision data only what the run may show.

    Example: anomalon compare stores/wz stores/zz stores/wprime -v met.pt,lep1_pt --signal wprime-wz --output plots
    """
    from anomalon.pipeline.compare import CompareOptions, check_free, write_comparison
    from anomalon.pipeline.compare_stores import Engine
    from anomalon.selection import for_features

    check_free(output, overwrite=overwrite)
    options = CompareOptions(
        luminosity_fb=luminosity,
        selection=for_features(set_) if selected else None,
        variation=variation,
        signal_scale=signal_scale,
        bins=bins,
        experiment=experiment,
    )
    roles = {
        name: role
        for role, text in (("background", background), ("signal", signal), ("data", data))
        for name in names_in(text)
    }
    if matrices:
        other = bool(roles or variables or variation or scheduler)
        _draw_matrices(samples, set_, options, output, overwrite=overwrite, json=json, other=other)
        return
    engine = Engine(workers, scheduler)
    compared = _compare(samples, names_in(variables), set_, roles, options, engine)  # type: ignore[arg-type]
    write_comparison(compared, output, options, overwrite=overwrite)
    if json:
        print_json(compared.to_dict())
    else:
        _say(compared, output)


def _compare(
    samples: list[str],
    names: tuple[str, ...],
    set_: str,
    roles: dict[str, Role],
    options: CompareOptions,
    engine: Engine,
) -> Compared:
    from anomalon import features
    from anomalon.errors import ConfigError
    from anomalon.pipeline.compare_run import compare_search, is_search
    from anomalon.pipeline.compare_stores import compare_stores
    from anomalon.pipeline.variables import Variables

    if not any(is_search(path) for path in samples):
        chosen = Variables(names or features.get(set_).names, features.get(set_))
        with progress("comparing", "parts") as report:
            return compare_stores(samples, chosen, roles=roles, options=options, engine=engine, on_progress=report)
    if len(samples) > 1 or roles or engine.scheduler:
        raise ConfigError(
            f"{samples[0]}: a run or configuration stands alone and has its own roles; leave out the rest"
        )
    with listener() as shown:
        return compare_search(samples[0], names or None, options, progress=shown)


def _draw_matrices(
    samples: list[str], set_: str, options: CompareOptions, output: Path, *, overwrite: bool, json: bool, other: bool
) -> None:
    from anomalon import features
    from anomalon.errors import ConfigError
    from anomalon.pipeline.compare_run import is_search
    from anomalon.pipeline.matrices import mean_matrices, write_matrices

    chosen = features.get(set_)
    if not isinstance(chosen, features.RapidityMassMatrix):
        raise ConfigError(f"--matrices: feature set '{set_}' has no matrices; add --set rmm")
    if other or any(is_search(path) for path in samples):
        raise ConfigError(
            "--matrices draws stores and event files: leave out variables, roles, variations, schedulers and runs"
        )
    with progress("averaging") as report:
        found = mean_matrices(samples, chosen, options, report)
    values = write_matrices(found, chosen, output, overwrite=overwrite)
    if json:
        print_json(values)
        return
    for matrix in found:
        left_out = f", {matrix.not_finite:,} left out as not finite" if matrix.not_finite else ""
        console().print(f"{matrix.process}: {matrix.events:,} events{left_out}", markup=False, highlight=False)
    console().print(f"{len(found)} processes drawn: {output}", markup=False, highlight=False)


def _say(compared: Compared, output: Path) -> None:
    what = "relative weights" if compared.relative else f"{compared.heading.luminosity_fb:g} fb^-1"
    rows = [(y.process, y.role, y.raw, y.events, y.error) for y in compared.yields]
    print_table(f"Yields, {what}", ("process", "role", "raw", "events", "error"), rows)
    for comparison in compared.comparisons:
        if negative := comparison.negative_bins():
            text = f"warning: {comparison.name}: the background is negative in {', '.join(negative)}"
            console().print(text, markup=False, highlight=False)
    console().print(f"{len(compared.comparisons)} variables drawn: {output}", markup=False, highlight=False)
