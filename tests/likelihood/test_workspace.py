"""Workspaces: valid for pyhf, told what was mended, and the same likelihood as pyhf's."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from anomalon.errors import ConfigError, InvalidEventsError, MissingExtraError
from anomalon.likelihood.mending import check_channels
from anomalon.likelihood.model import read_likelihood
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.workspace import (
    WorkspaceSettings,
    describe_workspace,
    make_workspace,
    pyhf_model,
    pyhf_parameters,
)
from tests.likelihood.counting import counting, falling

EDGES = np.array([0.0, 50.0, 100.0, 200.0, 400.0])


def template(process, values, *, errors=0.1, shapes=None, norms=None):
    values = np.asarray(values, dtype=np.float64)
    role = "signal" if process == "s" else "background"
    return Template(process, role, values, np.full(len(values), errors), shapes or {}, norms or {})


def channel(*templates, observed=None):
    return Channel("R1", "MET", EDGES, templates, observed)


def modifiers(workspace, sample, kind):
    rows = [m for c in workspace["channels"] for s in c["samples"] if s["name"] == sample for m in s["modifiers"]]
    return {m["name"]: m["data"] for m in rows if m["type"] == kind}


def test_it_is_plain_json_that_pyhf_accepts():
    workspace = make_workspace(falling(), "s")
    model, data = pyhf_model(json.loads(json.dumps(workspace)))
    assert model.config.poi_name == "mu"
    assert len(data) == model.config.nmaindata + model.config.nauxdata


def test_pyhf_has_the_same_likelihood_far_from_its_centre():
    channels = falling([[120, 80, 60, 30, 25], [100, 75, 50, 40, 30]])
    workspace = make_workspace(channels, "s")
    model, data = pyhf_model(workspace)
    ours = read_likelihood(workspace)
    random = np.random.default_rng(2)
    theta = random.normal(0, 1.5, (20, len(ours.parameters)))
    theta[:, 0] = random.uniform(0, 5, 20)
    points = ours.point(theta, ours.data(ours.observed[None]).repeat(20))
    theirs = [
        -model.logpdf(pyhf_parameters(model, ours.parameters, t, g, ours.bins), data).item()
        for t, g in zip(theta, points.gammas, strict=True)
    ]
    np.testing.assert_allclose(np.diff(theirs), np.diff(points.nll), rtol=1e-8, atol=1e-7)


def test_the_backend_of_pyhf_stays_what_it_was():
    pyhf = pytest.importorskip("pyhf")
    before = pyhf.get_backend()
    make_workspace([counting(10, 1, 2)], "s")
    assert pyhf.get_backend() == before


def test_without_observed_events_the_expected_background_stands_there_and_the_name_says_so():
    made = describe_workspace(falling(), "s")
    assert made.blinded
    assert made.specification["measurements"][0]["name"].startswith("blinded")
    np.testing.assert_allclose(made.specification["observations"][0]["data"], falling()[0].background)


def test_one_blinded_channel_blinds_all():
    channels = falling([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    made = describe_workspace([channels[0], replace(channels[1], observed=None)], "s")
    assert made.blinded
    assert made.specification["observations"][0]["data"] != [1, 2, 3, 4, 5]
    assert any("R1: no observed events" in note for note in made.notes)


def test_only_the_named_signal_enters():
    both = channel(template("b", [9, 8, 7, 6]), template("s", [1, 1, 1, 1]), template("s", [1, 1, 1, 1]))
    other = replace(both.templates[2], process="other")
    workspace = make_workspace([replace(both, templates=(*both.templates[:2], other))], "s")
    assert [s["name"] for s in workspace["channels"][0]["samples"]] == ["b", "s"]


def test_signal_and_background_have_statistical_errors_of_their_own():
    workspace = make_workspace([channel(template("b", [9, 8, 7, 6]), template("s", [1, 1, 1, 1]))], "s")
    assert modifiers(workspace, "b", "staterror").keys() != modifiers(workspace, "s", "staterror").keys()


def test_a_variation_is_split_into_yield_and_distribution():
    nominal = np.array([90.0, 80.0, 70.0, 60.0])
    tilt = np.array([1.2, 1.1, 1.0, 0.9])
    varied = {"jes": (nominal / tilt, nominal * tilt)}
    workspace = make_workspace([channel(template("b", nominal, shapes=varied), template("s", [1] * 4))], "s")
    norm, shape = modifiers(workspace, "b", "normsys")["jes"], modifiers(workspace, "b", "histosys")["jes"]
    assert sum(shape["hi_data"]) == pytest.approx(300)
    np.testing.assert_allclose(norm["hi"] * np.asarray(shape["hi_data"]), nominal * tilt)
    np.testing.assert_allclose(norm["lo"] * np.asarray(shape["lo_data"]), nominal / tilt)


@pytest.mark.parametrize("sides", [(1.0, 1.2), (1.05, 1.2), (0.0, 1.2)])
def test_a_one_sided_variation_is_mirrored_and_told(sides):
    nominal = np.array([90.0, 80.0, 70.0, 60.0])
    varied = {"jes": (sides[0] * nominal, sides[1] * nominal)}
    if sides[0] == 0.0:
        varied = {"jes": (nominal, 1.2 * nominal)}
    made = describe_workspace([channel(template("b", nominal, shapes=varied), template("s", [1] * 4))], "s")
    assert modifiers(made.specification, "b", "normsys")["jes"] == pytest.approx({"lo": 1 / 1.2, "hi": 1.2})
    assert any("jes of b in R1" in note and "mirrored" in note for note in made.notes)


def test_variations_that_are_zero_or_chance_are_left_out_and_told():
    nominal = np.array([90.0, 80.0, 70.0, 60.0])
    wiggle = np.array([0.1, -0.1, 0.1, -0.1])
    shapes = {"none": (nominal, nominal), "chance": (nominal - wiggle, nominal + wiggle)}
    made = describe_workspace([channel(template("b", nominal, errors=3.0, shapes=shapes), template("s", [1] * 4))], "s")
    assert not modifiers(made.specification, "b", "histosys")
    assert not modifiers(made.specification, "b", "normsys")
    assert [note.split(" of ")[0] for note in made.notes] == ["none", "chance"]
    kept = describe_workspace(
        [channel(template("b", nominal, errors=3.0, shapes=shapes), template("s", [1] * 4))],
        "s",
        WorkspaceSettings(noise=0.01),
    )
    assert modifiers(kept.specification, "b", "histosys").keys() == {"chance"}


def test_absurd_factors_are_cut_and_told():
    made = describe_workspace([counting(10, 1, 2, norms={"theory": (0.01, 100.0)})], "s")
    assert modifiers(made.specification, "b", "normsys")["theory"] == {"lo": 0.1, "hi": 10.0}
    assert any("theory of b in A: factors 0.01 and 100, cut at 10" in note for note in made.notes)


def totals(channels, process):
    (found,) = [t for c in channels for t in c.templates if t.process == process]
    return found.values.sum(), (found.errors**2).sum()


def test_a_bin_with_negative_total_is_named_and_merged_and_nothing_is_lost():
    before = channel(
        template("ttbar", [50.0, 20.0, 1.0, -3.0], errors=1.0),
        template("Z", [9.0, 4.0, 0.5, 0.5]),
        template("s", [1.0, 1.0, 2.0, 3.0]),
        observed=np.array([60.0, 20.0, 2.0, 1.0]),
    )
    mended, notes = check_channels([before], "s")
    assert mended[0].edges.tolist() == [0.0, 50.0, 400.0]
    assert notes[0].startswith("R1, MET bin 3 [200, 400): background -2.5 +- 1.005 events beside 3 of signal")
    assert "least: ttbar -3" in notes[0]
    assert "merged with the bin on its left" in notes[0]
    for process in ("ttbar", "Z", "s"):
        assert totals(mended, process) == pytest.approx(totals([before], process))
    assert mended[0].observed.tolist() == [60.0, 23.0]


def test_the_first_bin_is_merged_with_that_on_its_right():
    mended, notes = check_channels([channel(template("b", [-1, 5, 5, 5]), template("s", [1] * 4))], "s")
    assert mended[0].edges.tolist() == [0.0, 100.0, 200.0, 400.0]
    assert "on its right" in notes[0]


def test_a_bin_that_is_all_statistical_error_is_merged():
    b = replace(template("b", [9, 8, 7, 0.5]), errors=np.array([0.1, 0.1, 0.1, 0.6]))
    mended, notes = check_channels([channel(b, template("s", [1] * 4))], "s")
    assert len(mended[0].edges) == 4
    assert "background 0.5 +- 0.6 events, an error above 100 %" in notes[0]


def test_a_negative_process_is_set_to_zero_and_the_background_of_the_bin_stays():
    before = channel(template("ttbar", [50, 20, 8, 6]), template("Z", [9, 4, 1, -2]), template("s", [1, 2, -1, 4]))
    mended, notes = check_channels([before], "s")
    np.testing.assert_allclose(mended[0].background, before.background)
    np.testing.assert_allclose(mended[0].background_error, before.background_error)
    assert all((t.values >= 0).all() for t in mended[0].templates)
    assert totals(mended, "s")[0] == pytest.approx(6.0)
    assert "R1, MET bin 3 [200, 400): Z is -2, set to 0, the others scaled by 0.6667" in notes[0]
    assert "bin 2 [100, 200): s is -1, set to 0, signal of the channel 6 before and 6 after" in notes[1]


def test_thirty_percent_negative_weights_make_a_valid_workspace():
    random = np.random.default_rng(5)
    w = random.choice([1.0, -1.0], (4, 40), p=[0.7, 0.3]) * np.array([4.0, 1.0, 0.3, 0.05])[:, None]
    b = replace(template("b", w.sum(axis=1)), errors=np.sqrt((w**2).sum(axis=1)))
    made = describe_workspace([channel(b, template("s", [0.1, 0.5, 1, 1]))], "s")
    assert sum(s for s in made.specification["channels"][0]["samples"][0]["data"]) == pytest.approx(w.sum())


def test_a_channel_without_background_is_told():
    made = describe_workspace([counting(0, 0, 1)], "s")
    assert "it is the only bin left: its background is taken as 0" in made.notes[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"values": np.array([1.0, np.nan, 1, 1])}, InvalidEventsError, r"of b at R1, MET bin 1 \[50, 100\): nan"),
        ({"errors": np.ones(3)}, InvalidEventsError, r"errors of b in R1 have shape \(3,\), expected \(4,\)"),
        ({"norms": {"lumi": (0.0, -1.0)}}, InvalidEventsError, "norm lumi of b in R1"),
        ({"shapes": {"jes": (np.ones(4), np.full(4, np.inf))}}, InvalidEventsError, "with jes up of b at R1"),
        ({"process": "s"}, ConfigError, "process 's' comes twice in R1"),
        ({"norms": {"mu": (0.9, 1.1)}}, ConfigError, "systematic 'mu' in R1 has the name of another parameter"),
    ],
)
def test_what_cannot_be_mended_is_refused(change, error, message):
    bad = replace(template("b", [9, 8, 7, 6]), **change)
    with pytest.raises(error, match=message):
        make_workspace([channel(bad, template("s", [1, 1, 1, 1]))], "s")


def test_unknown_signals_double_names_and_negative_counts_are_refused():
    with pytest.raises(ConfigError, match=r"signal 'S' is in no channel; allowed: s"):
        make_workspace([counting(1, 0, 1)], "S")
    with pytest.raises(ConfigError, match="channels A, A"):
        make_workspace([counting(1, 0, 1)] * 2, "s")
    with pytest.raises(InvalidEventsError, match="observed events of A"):
        make_workspace([counting(1, 0, 1, -1)], "s")


def test_without_pyhf_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyhf", None)
    with pytest.raises(MissingExtraError, match=r"anomalon\[stats\]"):
        make_workspace([counting(1, 0, 1)], "s")


def test_modifiers_of_other_kinds_are_refused():
    workspace = make_workspace([counting(1, 0, 1)], "s")
    workspace["channels"][0]["samples"][0]["modifiers"].append({"name": "x", "type": "shapefactor", "data": None})
    with pytest.raises(ConfigError, match="'x' of b in A is a shapefactor"):
        read_likelihood(workspace)
