"""Fine-tuning: what is kept, what is new, what it gains, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anomalon.errors import ConfigError, NotFittedError, TrainingError, UnknownNameError
from anomalon.events import Events, Sample
from anomalon.generation.autoregressive import Autoregressive
from anomalon.generation.condition import Condition
from anomalon.generation.flatten import PT, flatten
from anomalon.generation.quantiles import BINS, PROBABILITIES, quantile_table, tuned_table
from anomalon.generation.registry import load_generator
from anomalon.generation.tuning import FineTuning, TuningSettings, hold_out
from tests.generation.examples import quick, toy_events
from tests.generation.toys import top_pairs

OTHER = Sample(name="toy-zprime", process="zprime")
FAST = TuningSettings.parse({"training": {"epochs": 2, "batch_size": 64}})
EDGES = np.isin(PROBABILITIES, np.arange(1, BINS) / BINS)


@pytest.fixture(scope="module")
def source() -> Autoregressive:
    made = quick("autoregressive").fit(toy_events(600), toy_events(seed=9))
    assert isinstance(made, Autoregressive)
    return made


def heavy(n: int = 300, seed: int = 3, factor: float = 3.0) -> Events:
    """The same events of the toy with all momenta times a factor."""
    events = toy_events(n, seed, OTHER)
    for collection in ("electrons", "muons", "jets"):
        for column in ("pt", "mass"):
            events.array[collection, column] = events.array[collection][column] * factor
    events.array["met", "pt"] = events.array.met.pt * factor
    return events


def test_from_a_fitted_generator_300_events_teach_more_than_from_scratch() -> None:
    # the same held-out events in the same encoding: from random weights, and from those that know another process
    network = {"element": 16, "trunk": 32, "head": 16, "pair": 4}
    settings = {"acceptance": None, "network": network}
    known = quick("autoregressive", **settings, training={"epochs": 6, "batch_size": 128, "learning_rate": 5e-3})
    known.fit(top_pairs(1500, seed=1))
    blank = quick("autoregressive", **settings, training={"epochs": 1, "batch_size": 1500, "learning_rate": 1e-12})
    blank.fit(top_pairs(1500, seed=1))
    few, held_out = top_pairs(300, seed=2, m_w=60.0), top_pairs(300, seed=3, m_w=60.0)
    losses = {}
    for name, start, rate in (("tuned", known, 1e-3), ("scratch", blank, 5e-3)):
        tuning = TuningSettings.parse({"training": {"epochs": 15, "batch_size": 64, "learning_rate": rate}})
        record = FineTuning(start, tuning).fit(few, held_out).record
        assert record is not None
        losses[name] = min(record.validation_losses)
    assert losses["tuned"] < losses["scratch"] - 0.7


def test_weights_start_where_the_source_ended(source: Autoregressive) -> None:
    still = TuningSettings.parse({"training": {"epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}})
    tuned = FineTuning(source, still).fit(heavy(factor=1.0))
    for name, weights in source.network.state_dict().items():
        torch.testing.assert_close(tuned.network.state_dict()[name], weights, msg=name)


def test_the_source_stays_as_it_is(source: Autoregressive) -> None:
    before = source.sample(20, 1).numbers("met.pt")
    weights = {name: w.clone() for name, w in source.network.state_dict().items()}
    FineTuning(source, FAST).fit(heavy())
    for name, w in source.network.state_dict().items():
        torch.testing.assert_close(w, weights[name], rtol=0, atol=0)
    np.testing.assert_array_equal(source.sample(20, 1).numbers("met.pt"), before)


def test_harder_tails_than_the_source_has_are_made(source: Autoregressive) -> None:
    hard, most = heavy(factor=3.0), flatten(toy_events(600), source.slots).objects[..., PT].max()
    tuned = FineTuning(source, FAST).fit(hard)
    made = flatten(tuned.sample(2000, 1), source.slots).objects[..., PT].max()
    wanted = flatten(hard, source.slots).objects[..., PT].max()
    assert most < 0.7 * wanted < made < 1.5 * wanted


def test_bins_keep_their_meaning_and_reach_as_far_as_the_new_values() -> None:
    rng = np.random.default_rng(0)
    table, values = quantile_table(rng.normal(size=10_000)), rng.normal(0.5, 2.0, 3000)
    tuned = tuned_table(table, values)
    np.testing.assert_array_equal(tuned[EDGES], table[EDGES])
    assert tuned[0] == pytest.approx(values.min())
    assert tuned[-1] == pytest.approx(values.max())
    assert (np.diff(tuned) >= 0).all()
    beyond = values[values > table[EDGES][-1]]
    upper = tuned[PROBABILITIES >= 1 - 1 / BINS]
    assert np.median(upper) > 0.5 * np.median(beyond)


def test_values_of_a_narrower_distribution_do_not_cut_the_tail_off() -> None:
    rng = np.random.default_rng(0)
    table = quantile_table(rng.normal(size=10_000))
    np.testing.assert_allclose(tuned_table(table, rng.uniform(-1, 1, 500))[[0, -1]], table[[0, -1]], atol=1e-6)


def test_a_table_that_has_most_values_in_one_bin_is_made_anew() -> None:
    rng = np.random.default_rng(0)
    table, values = quantile_table(rng.uniform(0, 1, 5000)), rng.uniform(5, 9, 500)
    np.testing.assert_array_equal(tuned_table(table, values, 0.0), quantile_table(values, 0.0))


def test_numbers_of_objects_are_those_of_the_new_events(source: Autoregressive) -> None:
    few = toy_events(300, 4, OTHER, jets=0.5)
    tuned = FineTuning(source, FAST).fit(few)
    made, wanted = (flatten(e, source.slots).counts.sum(axis=1).mean() for e in (tuned.sample(2000, 1), few))
    assert made == pytest.approx(wanted, abs=0.35)


def test_a_saved_model_says_what_it_was_tuned_from(source: Autoregressive, tmp_path: Path) -> None:
    tuned = FineTuning(source, FAST, "models/toy").fit(heavy())
    tuned.save(tmp_path / "model")
    loaded = load_generator(tmp_path / "model")
    assert loaded.report == tuned.report
    assert loaded.report is not None
    started, learned = loaded.report.tuned_from, source.report
    assert started is not None
    assert learned is not None
    assert (started.name, started.trained_on, started.learned) == ("models/toy", ("toy-ttbar",), learned.learned)
    (sample,) = loaded.sample(5, 1).samples
    assert sample.process == "zprime"
    assert sample.provenance["tuned_from"]["sha256"] == started.sha256
    again = FineTuning(loaded, FAST).fit(heavy(seed=5)).report
    assert again is not None
    assert again.tuned_from is not None
    assert again.tuned_from.tuned_from == started


def test_another_network_has_another_hash(source: Autoregressive) -> None:
    one, other = (FineTuning(start, FAST)._record(start) for start in (source, FineTuning(source, FAST).fit(heavy())))
    assert one.sha256 != other.sha256


def test_one_process_can_become_several_points_and_several_processes_one(source: Autoregressive) -> None:
    points = {"low": 100.0, "high": 300.0}
    parts = [toy_events(200, i, Sample(name=n, process="stop"), jets=1.0 + 3 * i) for i, n in enumerate(points)]
    several = FineTuning(source, FAST).fit(
        Events.concatenate(parts), parameters={n: {"mass": m} for n, m in points.items()}
    )
    between = several.sample(50, 1, Condition(parameters={"mass": 200.0}))
    assert len(between) == 50
    single = FineTuning(several, FAST).fit(heavy())
    assert single.network.shape.n_context == 0
    assert len(single.sample(50, 1)) == 50


def test_the_context_of_the_source_becomes_its_mean(source: Autoregressive) -> None:
    both = Events.concatenate([toy_events(300), toy_events(300, 3, OTHER)])
    known = quick("autoregressive").fit(both)
    assert isinstance(known, Autoregressive)
    weights, layer = known.weights(3), known.network.state_dict()["trunk.0.weight"]
    assert weights["trunk.0.weight"].shape[1] == layer.shape[1] + 1
    assert not weights["trunk.0.weight"][:, -3:].any()
    state = torch.randn(5, layer.shape[1] - 2)
    events = torch.tensor([float(s.events) for s in known._require_fit().samples])
    share = events / events.sum()
    old = torch.cat([state, share.expand(5, 2)], 1) @ layer.T + known.network.state_dict()["trunk.0.bias"]
    new = torch.cat([state, torch.randn(5, 3)], 1) @ weights["trunk.0.weight"].T + weights["trunk.0.bias"]
    torch.testing.assert_close(old, new, rtol=1e-4, atol=1e-5)


def test_too_few_events_are_refused(source: Autoregressive) -> None:
    with pytest.raises(TrainingError, match=r"\d+ training events, at least 50 are needed"):
        FineTuning(source, FAST).fit(heavy(55))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slots": "garcia2024"}, r"slots = garcia2024, but models/toy has b: 4, j: 12, .*train from scratch"),
        ({"kind": "marginals"}, "kind = marginals, but models/toy is of the kind autoregressive"),
        ({"acceptance": "cms"}, "acceptance = cms, but models/toy was trained with another one"),
        ({"training": {"learning_rate": -1}}, "learning_rate"),
        ({"network": {"head": 8}}, "network"),
    ],
)
def test_what_is_the_models_cannot_be_changed(source: Autoregressive, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FineTuning.of(source, values, name="models/toy")


def test_what_is_the_models_may_be_said_again(source: Autoregressive) -> None:
    same = {"kind": "autoregressive", "slots": "default", "acceptance": "darkmachines", "seed": 3}
    assert FineTuning.of(source, same).settings == TuningSettings(seed=3)
    with pytest.raises(UnknownNameError):
        FineTuning.of(source, {"slots": "defaults"})


def test_a_generator_of_another_kind_or_without_a_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="is of the kind marginals: only autoregressive can be fine-tuned"):
        FineTuning(quick("marginals").fit(toy_events()), FAST).fit(heavy())
    with pytest.raises(NotFittedError):
        FineTuning(quick("autoregressive"), FAST).fit(heavy())


def test_no_event_is_on_both_sides() -> None:
    learned, checked = hold_out(toy_events(400), 0.2)
    assert checked is not None
    assert not np.isin(checked.numbers("event"), learned.numbers("event")).any()
    assert len(learned) + len(checked) == 400
    with pytest.raises(ConfigError, match=r"validation share = 1"):
        hold_out(toy_events(20), 1.0)
