from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from anomalon.report import (
    numbers,
    performance_rows,
    render_report,
    rich_table,
    search_figures,
    to_markdown,
    write_report,
)
from anomalon.report.names import typeset
from anomalon.report.write import slug
from anomalon.search.results import Blinding, Candidate
from tests.report.synthetic import candidate, cutflow, detector, make_results, sample

EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains about tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.open = "", list[str]()
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    results = make_results()
    return render_report(results, islice(search_figures(results), 2))


def test_the_page_asks_for_nothing_from_outside(html: str) -> None:
    for _, attributes in Page(html).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert not re.search(r"url\(|@import|<script|<iframe|<object", html)
    assert "default-src 'none'" in html


def test_every_tag_is_closed_and_every_link_leads_somewhere(html: str) -> None:
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {a["href"][1:] for tag, a in page.tags if tag == "a"}
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_every_image_has_words_for_those_who_cannot_see_it(html: str) -> None:
    images = [attributes for tag, attributes in Page(html).tags if tag == "img"]
    assert len(images) == 2
    assert all(len(attributes["alt"]) > 20 for attributes in images)


def test_every_number_of_the_table_is_on_the_page(html: str) -> None:
    text, results = Page(html).text, make_results()
    for row in performance_rows(results):
        for estimate in (row.evaluation.auc, *(p.signal_efficiency for p in row.evaluation.working_points)):
            assert numbers.interval_parts(estimate)[0] in text
        assert numbers.significant(row.evaluation.max_sic) in text
    for wanted in (
        "1:11:123457",
        "812 GeV",
        "0.0123",
        "LT, high",
        "NaN in pt: 1",
        "5.12",
        *map(typeset, results.headline),
        *map(typeset, results.notes),
    ):
        assert wanted in text


@pytest.mark.parametrize(
    "changes",
    [
        {"title": EVIL},
        {"headline": (EVIL,)},
        {"candidates": (candidate(1, EVIL),)},
        {"samples": (sample("wprime").model_copy(update={"process": EVIL, "title": EVIL, "caveats": (EVIL,)}),)},
        {"cutflow": tuple({**row, "process": EVIL, "cut": EVIL} for row in cutflow())},
        {"detectors": (detector("met").model_copy(update={"title": EVIL, "inputs": (EVIL,)}),)},
        {"ledger": ({"file": EVIL, "read": 1, "skipped": {EVIL: 1}},)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_name_that_looks_like_a_script_is_only_text(changes: dict[str, object]) -> None:
    html = render_report(make_results(**changes))
    assert "<script" not in html
    assert EVIL in Page(html).text or changes.keys() == {"detectors"}


def test_the_caption_of_a_figure_is_only_text() -> None:
    entry = replace(next(search_figures(make_results())), title=EVIL, caption=f'{EVIL}" onload="x')
    page = Page(render_report(make_results(), [entry]))
    assert not any("onload" in attributes or tag == "script" for tag, attributes in page.tags)


EMPTY = (
    "candidates",
    "evaluations",
    "detectors",
    "samples",
    "cutflow",
    "split",
    "features",
    "flagged",
    "ledger",
    "headline",
    "notes",
)


@pytest.mark.parametrize("name", EMPTY)
def test_the_page_stands_without(name: str) -> None:
    assert Page(render_report(make_results(**{name: ()}))).text


def test_the_page_of_an_empty_search_says_so() -> None:
    text = Page(render_report(make_results(**dict.fromkeys(EMPTY, ()), seconds={}))).text
    for sentence in ("Nothing was evaluated", "No candidates are listed", "There is no cutflow", "No input was read"):
        assert sentence in text


def test_unreliable_numbers_are_marked_and_never_the_best(html: str) -> None:
    rows = [row for row in performance_rows(make_results()) if not row.point(1e-4).reliable]
    assert rows
    assert not any("eps_S at 0.0001" in row.best for row in rows)
    assert html.count("†") >= len(rows)


def test_baselines_and_the_bound_never_win() -> None:
    winners = {row.detector.role for row in performance_rows(make_results()) if row.best}
    assert winners == {"detector"}


def test_blinded_numbers_are_called_withheld() -> None:
    rows = (*cutflow()[:2], {"process": "WZ", "cut": "Z candidate, withheld (blinded)", "raw": None, "weighted": None})
    data = sample("WZ").model_copy(update={"role": "data", "n_selected": None, "yield_expected": None})
    text = Page(render_report(make_results(blinding=Blinding(applies=True), cutflow=rows, samples=(data,)))).text
    assert text.count("withheld") >= 3
    assert "Blinded." in text


def test_the_reason_for_unblinding_is_shown() -> None:
    assert "frozen" in render_report(
        make_results(blinding=Blinding(applies=False, unblinded_reason="selection frozen"))
    )


def test_a_ledger_that_does_not_balance_is_called_so() -> None:
    assert "does not balance" in render_report(make_results(ledger=({"file": "a", "read": 5, "written": 1},)))


def test_the_markdown_table_has_a_row_per_detector_and_two_columns_per_signal() -> None:
    results = make_results()
    lines = to_markdown(results).splitlines()
    assert len(lines) == 2 + len(results.detectors)
    assert {line.count("|") for line in lines} == {2 + 2 * len(results.signals)}
    assert "**0.9749 +0.0025" in lines[2]
    assert "Supervised bound" in lines[-1]


def test_a_pipe_in_a_title_does_not_break_the_markdown_table() -> None:
    results = make_results(detectors=(detector("met").model_copy(update={"title": "a|b"}),))
    assert "a\\|b" in to_markdown(results)


def test_the_terminal_table_prints_every_detector() -> None:
    text = StringIO()
    Console(width=200, file=text).print(rich_table(make_results()))
    assert all(d.title in text.getvalue() for d in make_results().detectors)


def test_the_report_writes_every_figure_twice_and_shows_the_embedded_ones(tmp_path: Path) -> None:
    results, seen = make_results(), list[str]()
    first, second = islice(search_figures(results), 2)
    figures = [first, replace(second, name="hidden", embedded=False), first]
    page = write_report(results, figures, tmp_path / "run", progress=seen.append)
    names = sorted(p.name for p in (tmp_path / "run" / "figures").iterdir())
    assert names == [f"{n}.{end}" for n in ("hidden", "performance", "performance_2") for end in ("pdf", "png")]
    assert page.name == "report.html"
    assert page.read_text(encoding="utf-8").count("<img") == 2
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b/c", "", "W' -> WZ", ".."])
def test_a_figure_name_becomes_a_harmless_file_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", slug(name))


def test_a_candidate_of_many_drivers_and_of_none_is_listed() -> None:
    bare: Candidate = candidate(1).model_copy(update={"drivers": ()})
    assert "1:11:123457" in render_report(make_results(candidates=(bare,)))
