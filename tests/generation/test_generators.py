"""The laws that every registered generator obeys."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import (
    ConfigError,
    EmptySelectionError,
    InvalidEventsError,
    ModelFileError,
    NotFittedError,
    SimulationError,
    TrainingError,
    UnknownNameError,
)
from anomalon.events import Events, Sample
from anomalon.generation import contract, registry
from anomalon.generation.condition import Condition
from anomalon.generation.contract import Generator
from anomalon.generation.flatten import KINDS, flatten
from anomalon.generation.registry import generator_names, get_generator, load_generator, register_generator
from tests.generation.examples import quick, toy_events

every_generator = pytest.mark.parametrize("name", generator_names())
COLUMNS = [f"{c}.{k}" for c in ("electrons", "muons", "photons", "jets") for k in ("pt", "eta", "phi", "mass")]


class Fitted(dict[str, Generator]):
    """Generators by name, fitted when they are first asked for."""

    def __missing__(self, name: str) -> Generator:
        self[name] = quick(name).fit(toy_events(), toy_events(seed=9))
        return self[name]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return Fitted()


def numbers(events: Events) -> dict[str, np.ndarray]:
    found = {name: events.lists(*_split(name))[name.split(".")[1]] for name in COLUMNS}
    return found | {name: events.numbers(name) for name in ("met.pt", "met.phi", "event", "dataset")}


def _split(name: str) -> tuple[str, list[str]]:
    collection, column = name.split(".")
    return collection, [column]


def same(one: Events, two: Events) -> None:
    a, b = numbers(one), numbers(two)
    for name, values in a.items():
        np.testing.assert_allclose(values, b[name], rtol=1e-5, atol=1e-5, err_msg=name)


@every_generator
def test_the_same_seed_gives_the_same_events_in_batches_of_any_size(name: str, fitted: dict[str, Generator]) -> None:
    whole = fitted[name].sample(150, seed=4)
    for size in (1, 7, 64, 149):
        parts = [
            fitted[name].generate(min(size, 150 - start), 4, start=start, total=150).events
            for start in range(0, 150, size)
        ]
        same(Events.concatenate(parts), whole)


@every_generator
def test_another_seed_gives_other_events(name: str, fitted: dict[str, Generator]) -> None:
    one, two = (fitted[name].sample(20, seed=seed).numbers("met.pt") for seed in (1, 2))
    assert not np.isin(one, two).any()


@every_generator
def test_events_are_finite_sorted_and_within_the_acceptance(name: str, fitted: dict[str, Generator]) -> None:
    events = fitted[name].sample(500, seed=5)
    arrays = flatten(events, fitted[name].slots)
    acceptance = fitted[name].acceptance
    assert acceptance is not None
    assert all(np.isfinite(values).all() for values in numbers(events).values())
    assert acceptance.holds(arrays).all()
    assert acceptance.stores(arrays).all()
    assert (np.abs(events.numbers("met.phi")) <= np.pi).all()
    for collection in ("electrons", "muons", "photons", "jets"):
        pt = events.array[collection].pt
        assert ak.all(pt[:, 1:] <= pt[:, :-1])


@every_generator
def test_generated_events_say_so(name: str, fitted: dict[str, Generator]) -> None:
    generated = fitted[name].generate(10, seed=6, total=40)
    (sample,) = generated.events.samples
    assert sample.origin == "generated"
    assert sample.process == "ttbar"
    assert sample.n_generated == 40
    assert sample.sum_gen_weights == pytest.approx(40)
    assert sample.provenance["generator"] == name
    assert sample.provenance["seed"] == 6
    assert sample.provenance["trained_on"] == ["toy-ttbar"]
    assert 0 <= generated.rejected < 1


@every_generator
def test_a_saved_generator_makes_the_same_events(name: str, fitted: dict[str, Generator], tmp_path: Path) -> None:
    fitted[name].save(tmp_path / "model")
    loaded = load_generator(tmp_path / "model")
    same(loaded.sample(50, seed=7), fitted[name].sample(50, seed=7))
    assert loaded.settings == fitted[name].settings
    assert loaded.report == fitted[name].report
    assert loaded.record == fitted[name].record


@every_generator
def test_the_same_seed_learns_the_same(name: str, fitted: dict[str, Generator]) -> None:
    again = quick(name).fit(toy_events(), toy_events(seed=9))
    same(again.sample(30, seed=8), fitted[name].sample(30, seed=8))


@every_generator
def test_numbers_of_objects_come_as_asked(name: str, fitted: dict[str, Generator]) -> None:
    condition = Condition(at_least={"leptons": 2}, at_most={"all-jets": 4})
    counts = flatten(fitted[name].sample(60, 1, condition), fitted[name].slots).counts
    assert condition.allows(counts).all()
    plain = flatten(fitted[name].sample(60, 1), fitted[name].slots).counts
    assert not condition.allows(plain).all()


@every_generator
def test_a_condition_changes_the_cross_section(name: str) -> None:
    generator = quick(name, cross_section_pb=100.0).fit(toy_events())
    whole = generator.sample(50, 1).weights(1.0).sum()
    condition = Condition(at_least={"leptons": 1})
    known = generator.known
    assert known is not None
    assert generator.sample(50, 1, condition).weights(1.0).sum() == pytest.approx(whole * known.plan(condition).share)
    assert whole == pytest.approx(100_000)


@every_generator
def test_a_mask_never_seen_is_refused(name: str, fitted: dict[str, Generator]) -> None:
    with pytest.raises(EmptySelectionError, match=r"e- = 3 was seen in the \d+ events"):
        fitted[name].sample(5, 1, Condition(exactly={"e-": 3}))


@every_generator
def test_a_smoothed_model_makes_masks_never_seen(name: str) -> None:
    generator = quick(name, multiplicities={"model": "smoothed"}).fit(toy_events())
    report = generator.report
    assert report is not None
    assert 0 < report.total_variation < 0.5
    condition = Condition(exactly={"e-": 2, "leptons": 3}, at_least={"b": 1})
    counts = flatten(generator.sample(30, 1, condition), generator.slots).counts
    assert condition.allows(counts).all()


@every_generator
def test_an_object_that_the_model_does_not_know_is_refused(name: str, fitted: dict[str, Generator]) -> None:
    with pytest.raises((UnknownNameError, ConfigError), match="no kind of objects 'taus'"):
        fitted[name].sample(5, 1, Condition.parse({"at_least": {"taus": 1}}))
    with pytest.raises(UnknownNameError, match="slots: no kind 'tau'"):
        quick(name, slots={"tau": 2})


@every_generator
def test_an_unknown_process_is_refused(name: str, fitted: dict[str, Generator]) -> None:
    with pytest.raises(UnknownNameError, match="no process 'wjets' in the fit; allowed: ttbar"):
        fitted[name].sample(5, 1, Condition(process="wjets"))


@every_generator
def test_too_few_events_are_refused(name: str) -> None:
    with pytest.raises(TrainingError, match=r"20 training events, at least \d+ are needed"):
        quick(name).fit(toy_events(20))


@every_generator
def test_values_that_are_not_finite_are_refused(name: str) -> None:
    events = toy_events()
    events.array["met", "pt"] = np.where(np.arange(400) == 3, np.nan, events.numbers("met.pt"))
    with pytest.raises(InvalidEventsError, match=r"1 of 400 events .* NaN or infinite, the first is number 3"):
        quick(name).fit(events)


@every_generator
def test_events_that_do_not_fit_are_counted(name: str) -> None:
    generator = quick(name, slots={"b": 4, "j": 3, "e-": 1, "e+": 1, "m-": 1, "m+": 1})
    events = toy_events()
    beyond = (ak.sum(~events.array.jets.btag, axis=1) > 3) | (ak.sum(events.array.jets.btag, axis=1) > 4)
    report = generator.fit(events).report
    assert report is not None
    assert report.beyond_slots == int(ak.sum(beyond))
    assert report.read == report.beyond_slots + report.out_of_reach + report.filtered + report.learned


@every_generator
def test_an_impossible_storing_rule_ends_with_a_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MOST_ATTEMPTS", 50)
    generator = quick(name).fit(toy_events())
    acceptance = generator.acceptance
    assert acceptance is not None
    rule = acceptance.stored_if[0].model_copy(update={"pt_min": 1e6})
    generator.acceptance = acceptance.model_copy(update={"stored_if": (rule,)})
    with pytest.raises(SimulationError, match=r"3 of 3 events break the storing rule after 50 attempts"):
        generator.sample(3, 1)


@every_generator
def test_processes_can_be_asked_for(name: str) -> None:
    other = Sample(name="toy-qcd", process="qcd")
    both = Events.concatenate([toy_events(300), toy_events(200, 3, other, jets=0.3)])
    generator = quick(name).fit(both)
    few, many = (
        flatten(generator.sample(200, 1, Condition(process=p)), generator.slots).counts for p in ("qcd", "ttbar")
    )
    assert few.sum(axis=1).mean() + 1.5 < many.sum(axis=1).mean()
    mixed = generator.sample(1000, 2)
    assert {s.process for s in mixed.samples} == {"ttbar", "qcd"}
    assert np.mean(mixed.processes() == "qcd") == pytest.approx(0.4, abs=0.06)


@every_generator
def test_a_point_between_masses_mixes_its_neighbours(name: str) -> None:
    points = {"low": 100.0, "high": 300.0}
    parts = [toy_events(200, i, Sample(name=n, process="stop"), jets=1.0 + 3 * i) for i, n in enumerate(points)]
    generator = quick(name).fit(Events.concatenate(parts), parameters={n: {"mass": m} for n, m in points.items()})
    means = [
        flatten(generator.sample(400, 1, Condition(parameters={"mass": m})), generator.slots).counts.sum(axis=1).mean()
        for m in (100.0, 200.0, 300.0)
    ]
    assert means[0] + 0.7 < means[1] < means[2] - 0.7
    with pytest.raises(ConfigError, match="beyond those of the fit"):
        generator.sample(5, 1, Condition(parameters={"mass": 400.0}))
    with pytest.raises(UnknownNameError, match="no parameter 'masss'"):
        generator.sample(5, 1, Condition(parameters={"masss": 200.0}))


@every_generator
def test_an_unfitted_generator_neither_samples_nor_saves(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        quick(name).sample(3, 1)
    with pytest.raises(NotFittedError):
        quick(name).save(tmp_path / "model")


@every_generator
def test_a_changed_or_missing_file_is_refused(name: str, fitted: dict[str, Generator], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    fitted[name].save(folder)
    for file in [f for f in folder.iterdir() if f.name != "generator.json"]:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ModelFileError, match="changed since it was saved"):
            load_generator(folder)
        file.unlink()
        with pytest.raises(ModelFileError, match="missing"):
            load_generator(folder)
        file.write_bytes(content)


@every_generator
def test_refined_events_are_kept_as_they_look_real(name: str, tmp_path: Path) -> None:
    refinement = {"classifier": {"trees": 20, "leaves": 7}}
    generator = quick(name, refinement=refinement).fit(toy_events(600))
    generated = generator.generate(150, seed=3)
    assert generator.refinement is not None
    assert 0 < generator.refinement.efficiency < 1
    assert generated.rejected == pytest.approx(1 - generator.refinement.efficiency, abs=0.2)
    generator.save(tmp_path / "model")
    same(load_generator(tmp_path / "model").sample(40, 3), generator.generate(40, 3, total=150).events)
    generator.refinement = None
    assert generator.generate(150, seed=3).rejected < generated.rejected


@every_generator
def test_no_events_can_be_asked_for(name: str, fitted: dict[str, Generator]) -> None:
    assert len(fitted[name].sample(0, 1)) == 0
    assert len(KINDS) == 7


def test_an_unknown_generator_is_told_with_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="no generator 'marginal'; did you mean 'marginals'"):
        get_generator("marginal")


def test_what_is_no_generator_is_refused() -> None:
    register_generator("wrong", int)  # type: ignore[arg-type]
    try:
        with pytest.raises(UnknownNameError, match="is registered as a generator and is none"):
            get_generator("wrong")
    finally:
        del registry._GENERATORS["wrong"]
