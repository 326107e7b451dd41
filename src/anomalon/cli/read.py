"""``anomalon read``: event files into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._names import names_in
from anomalon.cli._progress import progress
from anomalon.cli._tables import console, print_json, print_table

if TYPE_CHECKING:
    from anomalon.events import Sample
    from anomalon.store import Store

# Options of several lines.
Fields = Annotated[
    str | None, typer.Option(help="Event fields to store, by commas: electrons,muons,met.pt. Default: all.")
]
Factors = Annotated[
    str | None,
    typer.Option(
        help="Factors of the weight that are read only when asked for, with their variations, by commas; or all. "
        "NanoAOD: scale, muR, muF, isr, fsr, pdf_N, and pileup, prefiring, which change the yields."
    ),
]
Triggers = Annotated[
    str | None, typer.Option(help="Any of these HLT paths, by commas, or a YAML file: year -> list of paths.")
]


def read(
    files: Annotated[
        list[str], typer.Argument(help="Files, patterns in quotes, directories or URLs.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The store to make (a directory).")],
    process: Annotated[str | None, typer.Option(help="Name of the process: all files become one sample.")] = None,
    cross_section: Annotated[float | None, typer.Option(help="Cross section in pb.", metavar="PB")] = None,
    k_factor: Annotated[float, typer.Option(help="Ratio to the cross section of a higher order.")] = 1.0,
    filter_efficiency: Annotated[float, typer.Option(help="Fraction that passes the generator's filter.")] = 1.0,
    luminosity: Annotated[float | None, typer.Option(help="Luminosity of collision data, fb^-1.", metavar="FB")] = None,
    sqrt_s: Annotated[
        float | None, typer.Option("--sqrt-s", help="Centre-of-mass energy in GeV; default: the file's, or 13000.")
    ] = None,
    fields: Fields = None,
    factors: Factors = None,
    chunk: Annotated[int, typer.Option(help="Events in memory at a time; does not change the result.")] = 50_000,
    mapping: Annotated[Path | None, typer.Option(help="YAML: which column of a flat file is which field.")] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Text: leave bad lines out and count them.")] = False,
    luminosity_mask: Annotated[Path | None, typer.Option(help="JSON of good lumi blocks: data outside is cut.")] = None,
    triggers: Triggers = None,
    year: Annotated[int | None, typer.Option(help="Year of simulation, for trigger lists of several years.")] = None,
    checksums: Annotated[Path | None, typer.Option(help="List from sha256sum; a changed file is refused.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="List damaged files in the ledger and go on.")] = False,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Simulation whose jobs reuse event numbers.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is already there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the ledger as JSON.")] = False,
) -> None:
    """Read event files (CMS, ATLAS, Delphes, Dark Machines, flat ...) into a store, and account for every event.

    The format is found by what a file holds. File names are not believed: name the process yourself.

    Example: anomalon read "dy_*.root" --process DY --cross-section 6077 --output stores/dy
    """
    from anomalon.cli._filters import read_filters
    from anomalon.sources import ReadSettings, ingest

    settings = ReadSettings.parse(
        {
            "process": process,
            "cross_section_pb": cross_section,
            "k_factor": k_factor,
            "filter_efficiency": filter_efficiency,
            "luminosity_fb": luminosity,
            "sqrt_s_gev": sqrt_s,
            "fields": None if fields is None else names_in(fields),
            "factors": names_in(factors),
            "skip_bad": skip_bad,
            "keep_duplicates": keep_duplicates,
            "mapping": mapping,
            "lenient": lenient,
            "checksums": checksums,
            "chunk": chunk,
        },
        where="anomalon read",
    )
    with progress("reading") as report:
        filters = read_filters(luminosity_mask, triggers, year)
        store = ingest(files, output, settings, overwrite=overwrite, on_progress=report, filters=filters)
    if json:
        print_json(_as_json(store))
    else:
        _print_ledger(store)


def _as_json(store: Store) -> dict[str, object]:
    ledger = store.ledger
    return {
        "output": str(store.path),
        "events": store.n_events,
        "samples": [sample.model_dump(mode="json") for sample in store.samples],
        "ledger": None if ledger is None else ledger.to_dict(),
    }


def _print_ledger(store: Store) -> None:
    entries = store.ledger.entries if store.ledger is not None else ()
    rows = [(e.file, e.read, e.duplicated, sum(e.skipped.values()), e.written, e.error or "read") for e in entries]
    print_table("Ledger", ("file", "read", "duplicated", "skipped", "written", "status"), rows)
    for sample in store.samples:
        console().print(f"sample {sample.name}: {_normalisation(sample)}", markup=False, highlight=False)
        for file, missing in sample.provenance.get("triggers_missing", {}).items():
            paths = ", ".join(path for listed in missing.values() for path in listed)
            console().print(
                f"warning: {file}: has no {paths}; the other triggers decide", markup=False, highlight=False
            )
    console().print(f"{store.n_events:,} events in {store.path}", markup=False, highlight=False)


def _normalisation(sample: Sample) -> str:
    if sample.is_data:
        luminosity = "unknown" if sample.luminosity_fb is None else f"{sample.luminosity_fb:g} fb^-1"
        return f"collision data, luminosity {luminosity}"
    sigma = "unknown (--cross-section)" if sample.cross_section_pb is None else f"{sample.cross_section_pb:g} pb"
    weights = sample.sum_gen_weights
    source = sample.provenance.get("sum_gen_weights_from", "")
    return f"process {sample.process}, cross section {sigma}, sum of generator weights {weights} from {source}"
