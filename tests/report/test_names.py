from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from anomalon.report.names import LONGEST, process_names, typeset
from anomalon.report.numbers import below
from anomalon.report.sections import caveats, smallest_fraction
from anomalon.report.style import drawing, legend_on_top, new_axes, room_for_names
from tests.report.synthetic import make_results, sample


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("W' -> WZ", "W\N{PRIME} → WZ"),
        ("140 fb^-1", "140 fb⁻¹"),
        ("the W's mass in 'cms'", "the W's mass in 'cms'"),
        ("a < b ^ c", "a < b ^ c"),
    ],
)
def test_only_arrows_primes_and_exponents_are_typeset(text: str, expected: str) -> None:
    assert typeset(text) == expected


def test_legends_name_backgrounds_by_what_decays_and_signals_by_their_title() -> None:
    wz = sample("WZ").model_copy(update={"title": "WZ -> 3 leptons + neutrino"})
    assert process_names(make_results(samples=(wz, sample("wprime")))) == {
        "WZ": "WZ",
        "wprime": "W\N{PRIME} → WZ → 3 leptons, 2 TeV",
    }


def test_a_title_that_is_shared_or_too_long_gives_way_to_the_process() -> None:
    one, two = (sample("wprime").model_copy(update={"process": name, "title": "W'"}) for name in ("a", "b"))
    long = sample("c1n2_450").model_copy(update={"title": "x" * (LONGEST + 1)})
    assert process_names(make_results(samples=(one, two, long))) == {"a": "a", "b": "b", "c1n2_450": "c1n2_450"}


def test_two_samples_of_one_process_keep_its_name_once() -> None:
    again = sample("WZ").model_copy(update={"name": "WZ-extension"})
    assert process_names(make_results(samples=(sample("WZ"), again))) == {"WZ": "WZ"}


def test_nothing_above_is_a_limit_and_never_zero() -> None:
    results = make_results()
    assert smallest_fraction(results) == pytest.approx(1 / 180)
    assert below(0.0, smallest_fraction(results)) == "<0.006"
    assert below(0.0, 1 / 17736) == "<6×10⁻⁵"  # noqa: RUF001
    assert smallest_fraction(make_results(split=())) is None


def test_equal_caveats_are_listed_once() -> None:
    own = sample("WZ").model_copy(update={"caveats": ("leading order", "no photon")})
    results = make_results(samples=(own, sample("ZZ")))
    assert caveats(results) == (("leading order", "all samples"), ("no photon", "WZ"))


def test_long_names_widen_the_figure_and_leave_the_panel_its_size() -> None:
    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    before = axes.get_position().width * figure.get_figwidth()
    room_for_names(figure, ["a rather long name of a process"])
    assert figure.get_figwidth() > 6
    assert axes.get_position().width * figure.get_figwidth() == pytest.approx(before)


def test_a_legend_above_the_frame_stays_inside_the_figure() -> None:
    with drawing():
        figure, axes = new_axes()
        for name in ("WZ", "ZZ", "Drell-Yan", "W' → WZ, 2 TeV", "chargino-neutralino (450, 300)", "chargino (800, 50)"):
            axes.plot([0, 1], label=name)
        legend_on_top(axes)
        figure.canvas.draw()
        box = axes.get_legend().get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
