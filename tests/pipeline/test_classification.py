"""A comparison of classifiers from end to end: toys with a known optimum, events of stores, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from anomalon.config import load_yaml
from anomalon.errors import AnomalonError, ConfigError, EmptySelectionError, OutputExistsError, RunError
from anomalon.events import Events, Sample
from anomalon.models.folds import FoldedDiscriminator
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.classification import ClassificationOptions, run_classification
from anomalon.pipeline.classification_configuration import ClassificationConfig, GaussiansConfig
from anomalon.pipeline.classification_samples import draw_gaussians, load_classes, log_odds, optimal_accuracy
from anomalon.pipeline.progress import Silent
from anomalon.search.classification import Classification, as_markdown
from anomalon.store import StoreWriter
from tests.random_events import random_rows

TREES = {"kind": "gradient-boosting", "trees": 30, "leaves": 6}
NETWORK = {"kind": "perceptron", "hidden": [8], "training": {"epochs": 15, "batch_size": 64, "learning_rate": 1e-2}}
TOY = {
    "seed": 3,
    "toy": {"kind": "gaussians", "train": 600, "test": 20_000},
    "classifiers": [TREES, NETWORK, {"name": "both", "average": ["perceptron", "gradient-boosting"]}],
    "folds": 3,
    "replicas": 20,
    "signal_efficiency": 0.99,
}


def parsed(values: dict, **changes: object) -> ClassificationConfig:
    return ClassificationConfig.parse({**values, **changes})


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory) -> tuple[Path, Classification]:
    folder = tmp_path_factory.mktemp("toy")
    with threadpool_limits(1):
        found = run_classification(parsed(TOY), folder / "run", ClassificationOptions(cache=folder / "cache"))
    return folder / "run", found


def test_classifiers_come_near_the_optimum_and_never_pass_it(toy_run) -> None:
    _, found = toy_run
    assert found.optimum == pytest.approx(0.98514, abs=1e-4)
    by_name = {one.name: one for one in found.results}
    assert list(by_name) == ["best-cut", "x", "gradient-boosting", "perceptron", "both", "optimum"]
    assert by_name["optimum"].accuracy.value == pytest.approx(found.optimum, abs=0.004)
    assert by_name["perceptron"].accuracy.value > found.optimum - 0.01
    for one in found.results[:-1]:
        assert one.auc.value <= by_name["optimum"].auc.value + 1e-3
    assert by_name["best-cut"].title.startswith("x > 24")
    assert by_name["perceptron"].auc_gain.low > 0
    assert by_name["perceptron"].accuracy_gain.low > 0.03
    assert by_name["perceptron"].rejection.gain.low > 1
    assert len(by_name["perceptron"].single_accuracies) == 3
    assert by_name["perceptron"].importance[0].loss > by_name["perceptron"].importance[-1].loss
    assert found.expected is None


def test_everything_is_written_and_the_models_score_again(toy_run) -> None:
    folder, found = toy_run
    assert Classification.parse(json.loads((folder / "results.json").read_text())) == found
    assert (folder / "table.md").read_text() == as_markdown(found)
    figures = {path.name for path in (folder / "figures").iterdir()}
    for name in ("performance", "roc", "scores", "probabilities", "importance", "boundaries"):
        assert {f"{name}.png", f"{name}.svg"} <= figures
    assert "data:image/png" in (folder / "report.html").read_text()
    assert ClassificationConfig.load(folder / "config.yaml") == parsed(TOY)
    model = FoldedDiscriminator.load(folder / "models" / "perceptron")
    classes = draw_gaussians(GaussiansConfig.parse(TOY["toy"]), folds=3, seed=3)
    p = model.predict(classes.tested.features)
    assert ((p >= 0.5) == (classes.tested.labels == 1)).mean() == pytest.approx(
        found.result("perceptron").fixed_accuracy.value, abs=1e-6
    )


def test_a_finished_run_is_shown_kept_or_refused(toy_run) -> None:
    folder, found = toy_run
    assert run_classification(parsed(TOY), folder, ClassificationOptions(resume=True)) == found
    with pytest.raises(OutputExistsError):
        run_classification(parsed(TOY), folder)
    with pytest.raises(RunError, match="another configuration"):
        run_classification(parsed(TOY, seed=4), folder, ClassificationOptions(resume=True))


def test_a_run_that_was_stopped_goes_on_with_what_was_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parsed(TOY, classifiers=[TREES], replicas=10)
    options = ClassificationOptions(cache=tmp_path / "cache", figures=False)
    with monkeypatch.context() as patch:
        patch.setattr("anomalon.pipeline.classification.judge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_classification(config, tmp_path / "run", options)
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(FoldedDiscriminator, "fit", lambda *_: pytest.fail("fitted again"))
        assert run_classification(config, tmp_path / "run", options).result("gradient-boosting").seconds > 0


def test_the_optimal_rule_is_the_ratio_of_the_densities() -> None:
    toy = GaussiansConfig(means=((0.0, 0.0), (2.0, 0.0)), covariances=(((1, 0), (0, 1)), ((1, 0), (0, 1))))
    points = np.array([[1.0, 5.0], [3.0, 0.0]])
    np.testing.assert_allclose(log_odds(toy, points), [0.0, 4.0], atol=1e-12)
    assert optimal_accuracy(toy) == pytest.approx(0.841345, abs=1e-5)


def stored(folder: Path, name: str, *, met: float, n: int = 2500, seed: int = 1) -> str:
    """A store of random top pairs whose missing momentum is scaled."""
    rows = random_rows(n, seed, leptons=2.4, jets=7.0)
    for row in rows:
        row["met"]["pt"] *= met
    sample = Sample(name=name, process=name, cross_section_pb=1.0, n_generated=n, sum_gen_weights=float(n))
    with StoreWriter(folder / name) as writer:
        writer.append(Events.from_dicts(rows, [sample]))
    return str(folder / name)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("stores")
    return {
        "samples": [
            {"name": "tops", "role": "background", "files": [stored(folder, "tops", met=1.0)]},
            {"name": "dark", "role": "signal", "files": [stored(folder, "dark", met=2.5, seed=2)]},
        ],
        "classifiers": [{**TREES, "preprocessing": {"inputs": ["MET_pt", "lep1_pt"]}}, {"kind": "senas2018-2-layers"}],
        "cuts": {"MET_pt": 90},
        "folds": 2,
        "replicas": 20,
        "shuffles": 1,
    }


def test_events_of_stores_are_selected_weighted_and_told_apart(stores, tmp_path: Path) -> None:
    with threadpool_limits(1):
        found = run_classification(parsed(stores), tmp_path / "run")
    assert found.expected.background == pytest.approx(found.learned.background / 2500 * 140_000, rel=1e-6)
    best = found.result("best-cut")
    assert best.inputs[0].startswith("MET")
    assert found.result("MET_pt").fixed_cut == 90
    assert found.result("MET_pt").auc.value > 0.6
    assert found.result("gradient-boosting").expected.significance > 0
    assert {item.name for item in found.result("gradient-boosting").importance} == {"MET_pt", "lep1_pt"}
    assert found.result("senas2018-2-layers").inputs[0] == "MET_pt"
    assert found.tested == found.learned


def test_every_event_is_judged_by_folds_that_have_not_seen_it(stores, tmp_path: Path) -> None:
    classes = load_classes(parsed(stores), StageCache(tmp_path), Silent())
    assert not classes.separate
    assert set(classes.learned.fold) == {0, 1}
    assert classes.normalised


def test_broken_values_are_left_out_and_counted(stores, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    path = stored(folder, "tops", met=float("inf"), n=1200)
    samples = [{**stores["samples"][0], "files": [path]}, stores["samples"][1]]
    with pytest.raises(EmptySelectionError, match="background: 0 events"):
        run_classification(parsed(stores, samples=samples), tmp_path / "run")


def test_a_class_without_selected_events_is_told_with_the_numbers(stores, tmp_path: Path) -> None:
    tight = {"kind": "top-pairs", "bjet_pt_min": 5000}
    with pytest.raises(EmptySelectionError, match=r"background: 0 events.*tops: 0 of 2,500 events selected"):
        run_classification(parsed(stores, selection=tight), tmp_path / "run")
    assert not (tmp_path / "run").exists()


MISTAKES = {
    "neither samples nor a toy": ({"toy": None}, "give either samples"),
    "one class only": (
        {"toy": None, "samples": [{"name": "a", "role": "background", "files": ["a"]}]},
        "one class only",
    ),
    "collision data": ({"toy": None, "samples": [{"name": "a", "role": "data", "files": ["a"]}]}, "no labels"),
    "an unknown classifier": ({"classifiers": [{"kind": "perceptrn"}]}, "did you mean 'perceptron'"),
    "an unknown setting": ({"classifiers": [{**TREES, "treees": 3}]}, "did you mean 'trees'"),
    "an unknown feature": ({"classifiers": [{**TREES, "preprocessing": {"inputs": ["z"]}}]}, "no feature 'z'"),
    "an unknown cut": ({"cuts": {"z": 1}}, "cuts: no feature 'z'"),
    "an unknown baseline": ({"baseline": "MET_pt"}, "baseline: no feature 'MET_pt'"),
    "a name twice": ({"classifiers": [TREES, TREES]}, "is taken"),
    "an average of nothing": ({"classifiers": [{"name": "a", "average": ["b", "c"]}]}, "no classifier 'b' before it"),
    "no distribution": (
        {"toy": {"covariances": [[[1, 2], [2, 1]], [[1, 0], [0, 1]]]}},
        "is not that of a distribution",
    ),
    "one fold": ({"folds": 1}, "folds"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_before_anything_runs(case: str) -> None:
    changes, message = MISTAKES[case]
    with pytest.raises(ConfigError, match=message):
        parsed(TOY, **changes)


def test_every_mistake_is_an_error_of_the_user() -> None:
    with pytest.raises(AnomalonError):
        parsed(TOY, sead=1)


@pytest.mark.parametrize("name", ["classify-gaussians.yaml", "classify-ttbar-dm.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    config = ClassificationConfig.parse(load_yaml(Path(__file__).resolve().parents[2] / "examples" / name))
    assert len(config.classifier_settings()) >= 8
