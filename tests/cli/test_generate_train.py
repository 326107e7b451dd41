from __future__ import annotations

import json
from pathlib import Path

import pytest

from anomalon.cli import main
from anomalon.store import StoreWriter
from tests.generation.toys import top_pairs

SETTINGS = "training: {epochs: 1, batch_size: 128}\n"
NARROW = "{width: 8, layers: 2, noise: 2, steps: 2, batch_size: 64}"
TINY = f"met: {NARROW}\nparticles: {NARROW}\n"
SMALL = SETTINGS + "network: {element: 8, trunk: 8, head: 8, pair: 4}\n"


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "ttbar"
    with StoreWriter(path) as writer:
        writer.append(top_pairs(400, seed=1))
    return path


def test_a_model_is_trained_and_another_is_tuned_from_it(store, tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "tuning.yaml").write_text(SETTINGS)
    model, tuned = tmp_path / "model", tmp_path / "tuned"
    assert run("generate", "train", store, "-o", model, "--config", tmp_path / "small.yaml") == 0
    capsys.readouterr()
    more = ("--from", model, "--config", tmp_path / "tuning.yaml", "--events", 200)
    assert run("generate", "train", store, "-o", tuned, *more) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "tuned from" in shown
    assert run("generate", "train", store, "-o", tuned, *more, "--json", "--overwrite") == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["tuned_from"]["name"] == str(model)
    assert report["read"] < 200
    assert run("generate", "train", store, "-o", tmp_path / "x", *more, "--slots", "garcia2024") == 2
    assert "fine-tuning keeps them" in " ".join(capsys.readouterr().err.split())
    assert run("generate", "train", store, "-o", tmp_path / "x", "--from", "nothing") == 2
    assert "no model 'nothing'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "settings",
    ["kind: garcia2024-wgan-small\n" + TINY, SMALL],
    ids=["adversaries have no validation loss", "no events are held out"],
)
def test_progress_is_told_without_a_validation_loss(store, tmp_path, settings):
    (tmp_path / "settings.yaml").write_text(settings)
    model = tmp_path / "model"
    assert run("generate", "train", store, "-o", model, "--config", tmp_path / "settings.yaml", "--validation", 0) == 0
    assert (model / "generator.json").is_file()
