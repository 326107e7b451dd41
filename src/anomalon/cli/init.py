"""``anomalon init``: a commented starter configuration."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from anomalon.cli._tables import console


def init(
    config: Annotated[Path, typer.Argument(help="The file to write.")] = Path("search.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
) -> None:
    """Write a commented starter configuration for anomalon search.

    Example: anomalon init search.yaml && anomalon search search.yaml --output runs/first
    """
    from anomalon.pipeline.outputs import check_free, complete

    config.parent.mkdir(parents=True, exist_ok=True)
    check_free([config], overwrite=overwrite)
    text = resources.files("anomalon.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
    with complete([config]) as (made,):
        made.write_text(text, encoding="utf-8")
    console().print(
        f"{config} written; run it with: anomalon search {config} --output runs/first",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
