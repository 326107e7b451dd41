"""``anomalon style``: diagnosis, calibration, application and pictures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from anomalon.distortions import distort, parse_distortions
from anomalon.store import Store, StoreWriter
from anomalon.style.contract import RECORD
from tests.style.synthetic import made


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    halved = distort(made(2500, 2), parse_distortions("bjet-scale-0.5"))
    samples = {"a": made(2500, 1), "b": made(2500, 2), "halved": halved, "crowded": made(2500, 3, jets=6.0)}
    samples["few"] = made(900, 4)
    samples["crowded-too"] = made(2500, 5, jets=6.0)
    for name, events in samples.items():
        with StoreWriter(folder / name) as writer:
            writer.append(events)
    return {name: folder / name for name in samples}


@pytest.fixture
def config(stores):
    return {
        "source": [str(stores["a"])],
        "target": [str(stores["b"])],
        "distortions": ["bjet-scale-0.5"],
        "selection": {"objects": "bjets", "pt_min": 20, "at_least": 1},
        "test_events": 1000,
        "calibrators": [{"kind": "response", "smear": False}],
    }


def written(values, folder: Path) -> Path:
    file = folder / "style.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return file


def test_a_diagnosis_names_what_differs(run, stores):
    code, out, _ = run("style", "diagnose", stores["a"], stores["halved"], "--json")
    found = json.loads(out)
    assert code == 0
    assert found[0]["variable"].startswith("bjets.pt")
    assert found[0]["significance"] > 20
    assert "What differs" in run("style", "diagnose", stores["a"], stores["b"])[1]


def test_a_calibration_is_judged_saved_and_applied(run, stores, config, in_folder):
    code, out, _ = run("style", "calibrate", written(config, in_folder), "--output", "out", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["freedom"]["objects"] == "bjets"
    (one,) = found["calibrations"]
    closure = one["judged"]["closures"]["bjets.pt"]
    assert closure["after"] < 0.1 * closure["before"]
    assert one["judged"]["test"]["auc"] < 0.6 < found["untreated"]["auc"]
    assert json.loads((in_folder / "out" / "results.json").read_text()) == found
    assert "| response (smear: False) | own |" in (in_folder / "out" / "table.md").read_text()
    code, out, _ = run("style", "apply", "out/calibrators/1-response", stores["crowded"], "-o", "moved", "--json")
    assert (code, json.loads(out)["events"]) == (0, 2500)
    assert Store(in_folder / "moved").samples[0].provenance[RECORD][0]["kind"] == "response"


def test_without_a_known_truth_the_test_alone_judges(run, stores, config, in_folder):
    values = {**config, "target": [str(stores["halved"])], "distortions": []}
    code, out, _ = run("style", "calibrate", written(values, in_folder), "--output", "out")
    assert code == 0
    assert "tables and calibrators in out" in out


def test_pictures_are_drawn(run, stores, in_folder):
    code, out, _ = run("style", "images", stores["crowded"], "--output", "pictures", "--bits", "8", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["mosaics"] == -(-found["drawn"] // 1000)
    assert len(list((in_folder / "pictures").glob("*.png"))) == found["mosaics"]
    assert "mosaics of 8 bits" in run("style", "images", stores["crowded"], "-o", "again", "--like", "pictures")[1]


def test_too_few_events_for_a_mosaic_leave_nothing(refused, stores, in_folder):
    assert "a mosaic of 25 x 40 needs 1000" in refused("style", "images", stores["few"], "--output", "pictures")
    assert not (in_folder / "pictures").exists()


@pytest.fixture
def transfer(stores):
    return {
        "source": [str(stores["crowded"])],
        "target": [str(stores["crowded-too"])],
        "distortions": ["bjet-scale-0.5"],
        "pt_min": 20,
        "down": 8,
        "across": 15,
        "networks": {"tiny": {"widths": [4, 4], "depths": [1, 1]}},
        "layers": {"all": {"content": ["conv1_1"], "style": ["conv1_1", "conv2_1"]}},
        "starts": ["content", "noise"],
        "ratios": ["20:80"],
        "iterations": 3,
        "calibrator": {"kind": "response", "smear": False},
    }


def test_style_is_transferred_and_judged(run, transfer, in_folder):
    code, out, _ = run("style", "transfer", written(transfer, in_folder), "--output", "out", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["events"][0] == 120
    assert list(found["baselines"]) == ["untreated", "calibrator: response", "style, drawn"]
    assert found["baselines"]["untreated"]["own"] == 1
    assert found["baselines"]["style, drawn"]["copied"] == 1
    assert [one["cell"]["start"] for one in found["cells"]] == ["content", "noise"]
    assert set(found["variables"]) == set(found["cells"][0]["judged"]["closures"])
    names = {path.relative_to(in_folder / "out").as_posix() for path in (in_folder / "out").rglob("*.*")}
    assert names >= {"content.png", "style.png", "table.md", "figures/variables.png", "figures/cells.png",
                     "figures/pictures.png", "cells/tiny_all_noise_20-80.png"}  # fmt: skip
    assert "table, pictures and figures in" in run("style", "transfer", "style.yaml", "-o", "out", "--resume")[1]


def test_an_interrupted_transfer_goes_on_where_it_was(run, refused, transfer, in_folder, monkeypatch):
    from anomalon.pipeline import style_transfer as module  # noqa: PLC0415

    whole, made = module.transfer, []

    def interrupted(*args, **options):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(args)
        return whole(*args, **options)

    monkeypatch.setattr(module, "transfer", interrupted)
    assert run("style", "transfer", written(transfer, in_folder), "--output", "out")[0] != 0
    assert not (in_folder / "out").exists()
    monkeypatch.setattr(module, "transfer", lambda *args, **options: made.append(args) or whole(*args, **options))
    other = written({**transfer, "iterations": 4}, in_folder)
    assert "another configuration" in refused("style", "transfer", other, "--output", "out", "--resume")
    code, out, _ = run("style", "transfer", written(transfer, in_folder), "-o", "out", "--resume", "--json")
    assert (code, len(made), len(json.loads(out)["cells"])) == (0, 2, 2)


def test_without_a_truth_the_test_alone_judges_a_transfer(run, stores, transfer, in_folder):
    values = {**transfer, "distortions": [], "calibrator": None, "starts": ["style"], "bits": 16}
    code, out, _ = run("style", "transfer", written(values, in_folder), "--output", "out", "--json")
    assert code == 0
    assert json.loads(out)["cells"][0]["judged"]["closures"] == {}
    assert "| tiny | all | style | 20:80 | - | - |" in (in_folder / "out" / "table.md").read_text()


TRANSFER_MISTAKES = {
    "too few events": ({"down": 50, "across": 60}, "1 mosaics of 50 x 60 need 3000"),
    "too few to test": ({"pt_min": 500}, "target: 0 events with two leptons and two b-jets"),
    "an unknown layer": ({"layers": {"all": {"style": ["conv1_2"]}}}, "network tiny has no"),
    "an unknown key": ({"iteration": 3}, "did you mean 'iterations'"),
    "an unknown calibrator": ({"calibrator": {"kind": "respons"}}, "did you mean 'response'"),
    "a calibrator of weights": ({"calibrator": {"kind": "reweighting"}}, "gives events a weight, which no picture has"),
    "a ratio that is none": ({"ratios": ["20:70"]}, "adds up to 100"),
    "a start that is none": ({"starts": ["middle"]}, "starts"),
    "no such file": (
        {"networks": {"tiny": {"widths": [4, 4], "depths": [1, 1], "weights": "file", "file": "no.safetensors"}}},
        "no.safetensors: cannot be read as safetensors",
    ),
}


@pytest.mark.parametrize("case", TRANSFER_MISTAKES)
def test_a_mistake_in_a_transfer_gives_one_line_and_leaves_nothing(refused, transfer, in_folder, case):
    changes, message = TRANSFER_MISTAKES[case]
    assert message in refused("style", "transfer", written({**transfer, **changes}, in_folder), "--output", "out")
    assert sorted(path.name for path in in_folder.iterdir()) == ["style.yaml"]


MISTAKES = {
    "an unknown key": ({"sources": []}, "did you mean 'source'"),
    "an unknown method": ({"calibrators": [{"kind": "respons"}]}, "did you mean 'response'"),
    "an unknown setting": ({"calibrators": [{"kind": "response", "smeer": 1}]}, "did you mean 'smear'"),
    "an unknown distortion": ({"distortions": ["bjet-scale-0.6"]}, "did you mean 'bjet-scale-0.5'"),
    "nothing differs": ({"distortions": []}, "there is nothing to calibrate"),
    "a missing store": ({"source": ["nowhere"]}, "nowhere"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gives_one_line_and_leaves_nothing(refused, config, in_folder, case):
    changes, message = MISTAKES[case]
    assert message in refused("style", "calibrate", written({**config, **changes}, in_folder), "--output", "out")
    assert sorted(path.name for path in in_folder.iterdir()) == ["style.yaml"]


def test_options_that_exclude_each_other_are_refused(refused, stores):
    assert "leave the other options out" in refused(
        "style", "images", stores["a"], "-o", "x", "--like", "y", "--bits", "8"
    )
    assert "bits = 10" in refused("style", "images", stores["a"], "-o", "x", "--bits", "10")


@pytest.mark.parametrize("command", ["diagnose", "calibrate", "apply", "images", "transfer"])
def test_help_teaches_by_an_example(run, command):
    code, out, _ = run("style", command, "--help")
    assert code == 0
    assert "Example: anomalon style" in " ".join(out.split())


@pytest.mark.parametrize("name", ["style-bjet-scale.yaml", "style-mild-detector.yaml"])
def test_the_examples_are_valid(name):
    from anomalon.config import load_yaml  # noqa: PLC0415
    from anomalon.pipeline.calibration import CalibrationConfig  # noqa: PLC0415
    from anomalon.style.registry import calibrator  # noqa: PLC0415

    example = Path(__file__).resolve().parents[2] / "examples" / name
    for one in CalibrationConfig.parse(load_yaml(example)).calibrators:
        calibrator(one)


def test_the_example_of_a_transfer_is_valid():
    from anomalon.config import load_yaml  # noqa: PLC0415
    from anomalon.pipeline.style_transfer import StyleTransferConfig  # noqa: PLC0415

    example = Path(__file__).resolve().parents[2] / "examples" / "style-gatys.yaml"
    found = StyleTransferConfig.parse(load_yaml(example))
    assert len(found.cells) == len(found.networks) * len(found.layers) * len(found.starts) * len(found.ratios) == 72
    assert len({cell.name for cell, _ in found.cells}) == 72
