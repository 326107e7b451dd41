"""``anomalon info``: what files and stores hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalon.cli._tables import print_json, print_table

if TYPE_CHECKING:
    from anomalon.events import Sample
    from anomalon.sources import SourceInfo


def info(
    paths: Annotated[list[str], typer.Argument(help="Files, patterns in quotes, URLs, stores.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print JSON: one object, or a list for several paths.")] = False,
) -> None:
    """Say what files and stores hold: format, events, fields, samples, and what is missing; of tables, the columns.

    Example: anomalon info nano.root --json
    """
    from anomalon.sources import expand
    from anomalon.sources.contract import with_origin

    infos = [with_origin(_info(path)) for path in expand(paths)]
    if json:
        values = [item.to_dict() for item in infos]
        print_json(values[0] if len(values) == 1 else values)
        return
    for item in infos:
        print_table(item.path, ("", ""), _rows(item))


def _info(path: Path) -> SourceInfo:
    from anomalon.errors import InputFileError
    from anomalon.features.feature_table import describe_table
    from anomalon.sources import open_source

    try:
        return open_source(path).info()
    except InputFileError:
        table = describe_table(path)  # a table of columns is no events before a mapping says so
        if table is None:
            raise
        return table


def _rows(item: SourceInfo) -> list[tuple[str, str]]:
    rows = [("format", item.format), ("events", f"{item.events:,}"), ("fields", _grouped(item.fields))]
    rows += [(f"sample {i}", _sample(sample)) for i, sample in enumerate(item.samples)]
    rows += [(key, str(value)) for key, value in item.details.items() if not isinstance(value, Mapping)]
    if item.missing:
        rows.append(("missing", _missing(item.missing)))
    return rows


def _grouped(fields: Sequence[str]) -> str:
    """Collect dotted names: ``muons (pt, eta)``."""
    groups: dict[str, list[str]] = {}
    for name in fields:
        head, _, tail = name.partition(".")
        groups.setdefault(head, []).extend([tail] if tail else [])
    return "\n".join(f"{head} ({', '.join(tails)})" if tails else head for head, tails in groups.items())


def _missing(missing: Mapping[str, str]) -> str:
    return "\n".join(f"{field} (needs {branches})" for field, branches in missing.items())


def _sample(sample: Sample) -> str:
    sigma = "unknown" if sample.cross_section_pb is None else f"{sample.cross_section_pb:g} pb"
    what = "collision data" if sample.is_data else f"{sample.origin}, cross section {sigma}"
    weights = "" if sample.sum_gen_weights is None else f", sum of generator weights {sample.sum_gen_weights:.8g}"
    return f"{sample.name}: process {sample.process}, {what}{weights}"
