"""A comparison of classifiers as one HTML file that asks for nothing from outside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from anomalon.search.classification import Classification, header, introduction, rows


def render(found: Classification, pictures: Mapping[str, tuple[str, bytes]]) -> str:
    """The page as text; ``pictures`` are titles and PNGs by name."""
    embedded = [
        (title, f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}") for title, png in pictures.values()
    ]
    text: str = _template().render(
        found=found, lines=introduction(found), header=header(found), rows=list(rows(found)), pictures=embedded
    )
    return text


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("anomalon.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("classification.html.j2")
