"""The card of a generator as one HTML file that asks for nothing from outside, and as PNG and JSON beside it."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from anomalon.generation.validation import Validation
from anomalon.report import numbers
from anomalon.report.generation_card import (
    LABELS,
    VERDICTS,
    card_figure,
    card_rows,
    histograms_figure,
    metric_row,
    spread_text,
)
from anomalon.report.style import to_pdf, to_png

RESULT = "validation.json"


def write_card(validation: Validation, folder: Path) -> None:
    """Write ``card.png``, ``card.pdf``, ``card.html`` and ``validation.json`` into a folder that is there."""
    figure = card_figure(validation)
    (folder / "card.png").write_bytes(to_png(figure, dpi=160.0))
    (folder / "card.pdf").write_bytes(to_pdf(figure))
    (folder / "card.html").write_text(render_card(validation), encoding="utf-8")
    (folder / RESULT).write_text(validation.model_dump_json(indent=1) + "\n", encoding="utf-8")


def render_card(validation: Validation) -> str:
    """The page as text."""
    picture = base64.b64encode(to_png(histograms_figure(validation), dpi=120.0)).decode("ascii")
    generated = validation.sample("generated")
    text: str = _template().render(
        v=validation,
        title=f"Generated {', '.join(generated.processes if generated else ())}",
        rows=card_rows(validation),
        quantities=[metric_row(m) for m in validation.metrics if m.name.startswith("w1_") and m.name != "w1_derived"],
        picture=f"data:image/png;base64,{picture}",
        words={verdict: words for verdict, (words, *_) in VERDICTS.items()},
        labels=LABELS,
        spread=spread_text,
    )
    return text


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("anomalon.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"integer": numbers.integer, "percent": numbers.percent}
    return environment.get_template("generation_card.html.j2")
