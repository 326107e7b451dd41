"""The laws that every registered calibration obeys."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from anomalon.distortions import distort, parse_distortions
from anomalon.errors import (
    ConfigError,
    EmptySelectionError,
    MissingFieldError,
    ModelFileError,
    NotFittedError,
    UnknownNameError,
)
from anomalon.events import Events
from anomalon.style import registry
from anomalon.style.contract import RECORD, Calibrator
from anomalon.style.registry import (
    calibrator,
    calibrator_names,
    get_calibrator,
    load_calibrator,
    register_calibrator,
)
from anomalon.style.response import ParametricResponse
from tests.style.synthetic import made

QUICK = {
    "flow-matching": {"steps": 200, "hidden": [16], "response": False},
    "entropic-transport": {"points": 200, "response": False},
    "sliced-transport": {"response": False},
    "quantiles": {"response": False},
    "reweighting": {"trees": 20},
}
"""Settings that fit in a moment; one without an entry uses its defaults."""
every_calibrator = pytest.mark.parametrize("name", calibrator_names())


def quick(name: str) -> Calibrator:
    if name == "entropic-transport":
        pytest.importorskip("ot", reason="POT is not installed: pip install 'anomalon[style]'")
    return calibrator({"kind": name, "freedom": {"objects": "bjets"}, "seed": 1, **QUICK.get(name, {})})


@pytest.fixture(scope="module")
def source() -> Events:
    return made(3000, 1)


@pytest.fixture(scope="module")
def target() -> Events:
    steps = [{"kind": "lose", "which": {"collection": "jets", "eta_min": 1.7}, "probability": 0.3}]
    return distort(made(3000, 2), parse_distortions(["jet-scale-down-5", *steps]))


@pytest.fixture(scope="module")
def fitted(source, target):
    known: dict[str, Calibrator] = {}

    def get(name: str) -> Calibrator:
        if name not in known:
            known[name] = quick(name).fit(source, target)
        return known[name]

    return get


def values(events: Events) -> dict[str, np.ndarray]:
    columns = {
        f"{c}.{f}": ak.to_numpy(ak.flatten(events.array[c][f])) for c in ("jets", "muons") for f in ("pt", "eta")
    }
    return columns | {"met": events.numbers("met.pt"), "weight": events.weights(1.0)}


def assert_same(first: Events, second: Events) -> None:
    one, two = values(first), values(second)
    for name, column in one.items():
        np.testing.assert_array_equal(column, two[name], err_msg=name)


@every_calibrator
def test_events_keep_their_number_order_and_other_objects(name, fitted, source):
    after = fitted(name).transform(source)
    np.testing.assert_array_equal(after.numbers("event"), source.numbers("event"))
    for column in ("muons.pt", "muons.eta"):
        np.testing.assert_array_equal(values(after)[column], values(source)[column])
    assert ak.num(after.array.jets).to_list() == ak.num(source.array.jets).to_list()
    assert np.isfinite(after.weights(1.0)).all()


@every_calibrator
def test_jets_without_a_tag_stay_where_b_jets_are_moved(name, fitted, source):
    jets, after = source.array.jets, fitted(name).transform(source).array.jets
    assert sorted(ak.flatten(jets.pt[~jets.btag])) == sorted(ak.flatten(after.pt[~after.btag]))


@every_calibrator
def test_jets_stay_sorted(name, fitted, source):
    pt = fitted(name).transform(source).array.jets.pt
    assert ak.all(pt[:, 1:] <= pt[:, :-1])


@every_calibrator
def test_momentum_and_missing_momentum_balance(name, fitted, source):
    after = fitted(name).transform(source)
    for wave in (np.cos, np.sin):
        sums = [
            ak.sum(e.array.jets.pt * wave(e.array.jets.phi), axis=1) + e.array.met.pt * wave(e.array.met.phi)
            for e in (source, after)
        ]
        np.testing.assert_allclose(sums[0], sums[1], atol=2e-3)


@every_calibrator
def test_a_saved_calibration_gives_the_same_events(name, fitted, source, tmp_path):
    fitted(name).save(tmp_path / "saved")
    loaded = load_calibrator(tmp_path / "saved")
    assert loaded.settings == fitted(name).settings
    assert_same(loaded.transform(source), fitted(name).transform(source))
    assert loaded.summary() == fitted(name).summary()


@every_calibrator
def test_the_same_seed_gives_the_same_events(name, fitted, source, target):
    assert_same(quick(name).fit(source, target).transform(source), fitted(name).transform(source))


@every_calibrator
def test_an_event_does_not_depend_on_the_others(name, fitted, source):
    some = np.arange(0, len(source), 7)
    assert_same(fitted(name).transform(source[some]), fitted(name).transform(source)[some])


@every_calibrator
def test_no_events_stay_none(name, fitted, source):
    assert len(fitted(name).transform(source[:0])) == 0


@every_calibrator
def test_the_samples_say_what_was_done(name, fitted, source):
    (step,) = fitted(name).transform(source).samples[0].provenance[RECORD]
    assert step["kind"] == name
    json.dumps(step, allow_nan=False)


@every_calibrator
def test_equal_samples_are_left_nearly_alone(name, source):
    after = quick(name).fit(source, made(3000, 3)).transform(source)
    assert np.mean(after.array.jets.pt) == pytest.approx(np.mean(source.array.jets.pt), rel=0.02)
    weight = after.weights(None)
    assert weight.mean() == pytest.approx(1.0, abs=0.05)


@every_calibrator
def test_an_unfitted_calibration_does_nothing(name, source, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick(name).transform(source)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick(name).save(tmp_path / "saved")


@every_calibrator
def test_samples_without_the_objects_are_refused(name, source, target):
    without = Events(target.array[[f for f in target.fields if f != "jets"]], target.samples)
    with pytest.raises(MissingFieldError, match=r"target needs jets\.btag"):
        quick(name).fit(source, without)
    with pytest.raises(EmptySelectionError, match=r"source: \d+ bjets .* at least 200 are needed"):
        quick(name).fit(source[:50], target)


@every_calibrator
def test_events_without_the_objects_are_refused(name, fitted, source):
    with pytest.raises(MissingFieldError, match="needs jets"):
        fitted(name).transform(Events(source.array[[f for f in source.fields if f != "jets"]], source.samples))


@every_calibrator
def test_a_changed_file_is_refused(name, fitted, tmp_path: Path):
    fitted(name).save(tmp_path / "saved")
    files = [f for f in (tmp_path / "saved").rglob("*") if f.is_file() and f.suffix != ".json"]
    if files:
        files[0].write_bytes(files[0].read_bytes()[:-1] + b"x")
        with pytest.raises(ModelFileError, match="changed since it was saved"):
            load_calibrator(tmp_path / "saved")
    else:
        (tmp_path / "saved" / "calibrator.json").write_text("{}")
        with pytest.raises(ModelFileError):
            load_calibrator(tmp_path / "saved")


def test_a_mistyped_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'quantiles'"):
        get_calibrator("quantile")
    with pytest.raises(ConfigError, match="did you mean 'conditional'"):
        calibrator({"kind": "quantiles", "conditonal": True})
    with pytest.raises(ConfigError, match="key 'kind' is required"):
        calibrator({})


def test_a_chain_in_a_chain_is_refused():
    with pytest.raises(ConfigError, match="a chain in a chain"):
        calibrator({"kind": "chain", "steps": [{"kind": "chain"}]})


def test_third_parties_can_register():
    class Mine(ParametricResponse):
        kind = "mine"

    register_calibrator("mine", Mine)
    try:
        assert isinstance(calibrator({"kind": "mine"}), Mine)
    finally:
        registry._CALIBRATORS.pop("mine")
