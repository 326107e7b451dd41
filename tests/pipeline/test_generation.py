"""Generators from stores and to stores: trained, resumed, sampled in pieces, flagged as generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import ConfigError, EmptySelectionError, OutputExistsError, UnknownNameError
from anomalon.generation.condition import Condition
from anomalon.pipeline import generation as gen
from anomalon.sources import open_source
from anomalon.store import Store, StoreWriter
from tests.generation.toys import top_pairs

QUICK: dict[str, Any] = {
    "kind": "autoregressive", "slots": "garcia2024",
    "network": {"element": 8, "trunk": 8, "head": 8, "pair": 4}, "training": {"epochs": 2, "batch_size": 256},
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generation") / "ttbar"
    with StoreWriter(path) as writer:
        writer.append(top_pairs(1500, seed=1))
    return path


@pytest.fixture(scope="module")
def model(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("models") / "ttbar"
    gen.train_generator(gen.make_generator(QUICK), gen.TrainingInputs((str(store),)), output)
    return output


def test_a_saved_model_is_found_by_its_folder_and_makes_the_same_events(model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        gen.sample_to(gen.find_model(str(model)), gen.Wanted(300, seed=5), tmp_path / name)
    a, b = (Store(tmp_path / name).load() for name in ("a", "b"))
    assert ak.all(a.array.jets.pt == b.array.jets.pt)
    assert {sample.origin for sample in a.samples} == {"generated"}


def test_pieces_of_a_sample_are_those_of_the_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gen.sample_to(gen.find_model(str(model)), gen.Wanted(250, seed=2), tmp_path / "whole")
    monkeypatch.setattr(gen, "CHUNK", 70)
    pieces = gen.sample_to(gen.find_model(str(model)), gen.Wanted(250, seed=2), tmp_path / "pieces")
    a, b = (Store(found.output).load() for found in (whole, pieces))
    assert a.numbers("event").tolist() == b.numbers("event").tolist()
    assert ak.all(abs(a.array.jets.pt / b.array.jets.pt - 1) < 1e-5)
    assert a.samples == b.samples


def test_a_condition_is_met_by_every_event_and_its_share_is_in_the_filter_efficiency(
    model: Path, tmp_path: Path
) -> None:
    wanted = gen.Wanted(200, condition=Condition(at_least={"all-jets": 5}))
    gen.sample_to(gen.find_model(str(model)), wanted, tmp_path / "many")
    events = Store(tmp_path / "many").load()
    assert ak.all(ak.num(events.array.jets) >= 5)
    assert 0 < events.samples[0].filter_efficiency < 1


def test_other_formats_follow_the_ending(model: Path, tmp_path: Path) -> None:
    gen.sample_to(gen.find_model(str(model)), gen.Wanted(50), tmp_path / "events.csv")
    assert open_source(tmp_path / "events.csv").format == "dark-machines"


def test_nothing_is_replaced_unless_asked_and_nothing_half_made_is_left(model: Path, tmp_path: Path) -> None:
    generator = gen.find_model(str(model))
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputExistsError):
        gen.sample_to(generator, gen.Wanted(10), tmp_path / "there")
    with pytest.raises(EmptySelectionError, match="no event with leptons >= 9"):
        gen.sample_to(generator, gen.Wanted(10, condition=Condition(at_least={"leptons": 9})), tmp_path / "none")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_a_training_that_was_killed_goes_on_to_the_same_model(
    store: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(report: Any) -> None:
        if report.epoch == 1:
            raise KeyboardInterrupt

    inputs = gen.TrainingInputs((str(store),))
    with pytest.raises(KeyboardInterrupt):
        gen.train_generator(gen.make_generator(QUICK), inputs, tmp_path / "model", progress=stop)
    assert not (tmp_path / "model").exists()
    gen.train_generator(gen.make_generator(QUICK), inputs, tmp_path / "model", resume=True)
    ours, theirs = (gen.find_model(str(p)).sample(100, 3) for p in (tmp_path / "model", model))
    assert np.allclose(ours.numbers("met.pt"), theirs.numbers("met.pt"), rtol=1e-4)


def test_a_model_can_be_tuned_and_the_tuning_goes_on_when_it_was_killed(
    store: Path, model: Path, tmp_path: Path
) -> None:
    def stop(report: Any) -> None:
        raise KeyboardInterrupt

    values, inputs = {"training": {"epochs": 2}, "slots": "garcia2024"}, gen.TrainingInputs((str(store),), events=300)
    whole = gen.train_generator(gen.make_tuning(str(model), values), inputs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        gen.train_generator(gen.make_tuning(str(model), values), inputs, tmp_path / "tuned", progress=stop)
    gen.train_generator(gen.make_tuning(str(model), values), inputs, tmp_path / "tuned", resume=True)
    tuned = gen.find_model(str(tmp_path / "tuned"))
    assert tuned.report is not None
    assert tuned.report.tuned_from is not None
    assert tuned.report.tuned_from.name == str(model)
    assert np.allclose(tuned.sample(50, 1).numbers("met.pt"), whole.sample(50, 1).numbers("met.pt"), rtol=1e-4)
    with pytest.raises(UnknownNameError, match="no model 'nothing'"):
        gen.make_tuning("nothing", {})


def test_validation_events_are_held_out_by_identity_with_all_their_versions(store: Path) -> None:
    events = Store(store).load()
    learned, checked = gen.hold_out(events, 0.2)
    assert len(learned) + len(checked) == len(events)
    assert not set(learned.numbers("event").tolist()) & set(checked.numbers("event").tolist())
    assert 0.15 < len(checked) / len(events) < 0.25


@pytest.mark.parametrize(
    ("process", "parameters", "require", "message"),
    [
        (None, ["mass"], [], "--set mass: cannot be read"),
        (None, ["mass=nan"], [], "--set mass=nan: expected a finite number"),
        (None, [], ["leptons"], "--require leptons: cannot be read"),
        (None, [], ["leptons>=2.5"], "expected a whole number"),
        (None, [], ["lepton>=2"], "no kind of objects 'lepton'"),
    ],
)
def test_a_condition_that_cannot_be_read_is_one_line(
    process: str | None, parameters: list[str], require: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        gen.parse_condition(process, parameters, require)


def test_an_unknown_model_or_kind_suggests_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no model 'nothing'"):
        gen.find_model("nothing")
    with pytest.raises(UnknownNameError, match="did you mean 'marginals'"):
        gen.make_generator({"kind": "marginal"})
