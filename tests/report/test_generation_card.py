from __future__ import annotations

import io
import json

import numpy as np
import pytest
from matplotlib.image import imread

from anomalon.generation.derived import QUANTITIES
from anomalon.generation.validation import Spread, Validation, ValidationSettings
from anomalon.report.generation_card import (
    LABELS,
    VERDICTS,
    balance_of,
    card_figure,
    card_rows,
    metric_row,
    shown_shapes,
    spread_text,
)
from anomalon.report.generation_page import render_card, write_card
from anomalon.report.style import to_png


def spread(value, half=0.1):
    return {"value": value, "low": value - half, "high": value + half}


def metric(name, group, verdict="floor", **more):
    values = {"name": name, "title": name, "group": group, "generated": spread(2.0), "floor": spread(1.0)}
    return {**values, "ratio": spread(2.0), "verdict": verdict, "bar": 1.5, **more}


@pytest.fixture
def validation() -> Validation:
    counts = tuple(range(1, 11))
    rate = {"generated": spread(0.0, 0.0), "real": spread(0.0, 0.0), "generated_events": 0, "real_events": 0}
    sample = {"rows": 10, "events": 9, "without_slot": 0.0, "where": "<events>"}
    return Validation.parse(
        {
            "anomalon_version": "1.2.3",
            "settings": {"events": 1000},
            "samples": [
                {**sample, "role": "real", "origins": ("simulation",), "processes": ("ttbar",)},
                {**sample, "role": "generated", "origins": ("generated",), "processes": ("t<b>tbar",)},
            ],
            "disjoint": True,
            "metrics": [
                metric("auc_boosting", "judges", "near", ratio=None, symmetric=spread(0.55)),
                metric("w1_derived", "physics", "off"),
                *(metric(f"w1_{name}", "physics") for name in QUANTITIES),
                metric("ws", "marginals"),
            ],
            "rates": [{"name": "below_shell", "title": "E < p", "verdict": "off", **rate}],
            "tails": [],
            "shapes": [
                {
                    "quantity": name, "edges": tuple(np.linspace(0, 1, 11)), "real": counts, "generated": counts[::-1],
                    "real_events": 60, "generated_events": 55, "distance": 0.1,
                }
                for name in QUANTITIES
            ],
            "correlations": [],
            "warnings": ["a <script> of a warning"],
        }
    )  # fmt: skip


def test_every_quantity_has_a_label():
    assert not set(QUANTITIES) - set(LABELS)


def test_the_card_is_a_landscape_page(validation):
    image = imread(io.BytesIO(to_png(card_figure(validation), dpi=60)))
    assert image.shape[:2] == (540, 960)
    assert image.min() < 0.3


def test_the_card_shows_the_judges_first_and_the_blind_distances_last(validation):
    headings = [row.title for row in card_rows(validation) if row.heading]
    assert headings[0].startswith("Can it be told")
    assert "blind" in headings[-1]
    assert {row.verdict for row in card_rows(validation)} == {None, *VERDICTS}


def test_the_balance_is_the_one_that_the_detectors_met_is_made_for(validation):
    assert balance_of(validation) == "balance_calo"
    cms = validation.model_copy(update={"settings": ValidationSettings(detector="cms")})
    assert balance_of(cms) == "balance"
    assert "balance" in [shape.quantity for shape in shown_shapes(cms)]


def test_twelve_histograms_are_shown_of_all(validation):
    assert len(shown_shapes(validation)) == 12
    assert len(shown_shapes(validation.model_copy(update={"shapes": validation.shapes[:3]}))) <= 3


def test_a_card_without_histograms_and_metrics_is_drawn_too(validation):
    empty = validation.model_copy(update={"shapes": (), "metrics": (), "rates": ()})
    assert to_png(card_figure(empty), dpi=40)
    assert "Generated" in render_card(empty)


def test_numbers_have_the_digits_of_their_error(validation):
    assert spread_text(validation.metric("ws").ratio) == "2.00 ± 0.10"
    assert metric_row(validation.metric("auc_boosting")).ratio == ""
    assert spread_text(Spread(value=0.9999943, low=0.9999927, high=0.9999959)) == ">0.9999"


def test_what_users_wrote_is_text_on_the_page_and_verdicts_are_words(validation):
    page = render_card(validation)
    assert all(words in page for words, *_ in VERDICTS.values())
    assert "<script>" not in page
    assert "t&lt;b&gt;tbar" in page
    assert "&lt;events&gt;" in page
    assert "://" not in page


def test_the_folder_holds_the_card_and_its_numbers(validation, tmp_path):
    write_card(validation, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "card.html",
        "card.pdf",
        "card.png",
        "validation.json",
    ]
    assert Validation.parse(json.loads((tmp_path / "validation.json").read_text())) == validation
