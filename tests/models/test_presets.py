"""Presets: the networks of published searches, and what a user may change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from anomalon.models.detector import DetectorSettings
from anomalon.models.presets import FRETTE2023, ONE_SIDED
from anomalon.models.registry import get_scorer

SLOPED = "LeakyReLU(0.3)"
LARGE = [(529, 450), (450, 300), (300, 200), (200, 150), (150, 200), (200, 300), (300, 450), (450, 529)]
LAYERS: dict[str, list[Any]] = {
    "frette2023-ae-small": ["Tanh", (529, 150), "Tanh", (150, 529), SLOPED],
    "frette2023-ae-large": [
        "Tanh", LARGE[0], "Tanh", LARGE[1], SLOPED, LARGE[2], "ReLU", LARGE[3], SLOPED,
        LARGE[4], "ReLU", LARGE[5], SLOPED, LARGE[6], "Tanh", LARGE[7], SLOPED,
    ],
    "frette2023-vae-small": ["Tanh", (529, 150), (529, 150), (150, 529), SLOPED],
    "frette2023-vae-large": [
        "ReLU", (529, 400), "Tanh", (400, 300), "ReLU", (300, 200), SLOPED, (200, 150), (200, 150),
        (150, 200), SLOPED, (200, 300), "ReLU", (300, 400), "Tanh", (400, 529), "Sigmoid",
    ],
}  # fmt: skip


def network(settings: DetectorSettings, n_inputs: int = 529) -> Any:
    scorer: Any = get_scorer(settings.kind)(settings.scorer)
    scorer.n_inputs = n_inputs
    return scorer._build()


def written(layer: nn.Module) -> Any:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return f"LeakyReLU({layer.negative_slope})" if isinstance(layer, nn.LeakyReLU) else type(layer).__name__


@pytest.mark.parametrize("name", FRETTE2023)
def test_the_networks_of_frette_are_those_of_the_thesis(name: str) -> None:
    settings = DetectorSettings.parse(name)
    layers = [m for m in network(settings).modules() if not [*m.children()]]
    assert [written(layer) for layer in layers] == LAYERS[name]
    assert (settings.features, settings.preprocessing.mode) == ("rmm", "minmax")
    scorer: Any = settings.scorer
    assert (scorer.scale, scorer.training.learning_rate, scorer.training.batch_size) == ("log10-sum", 1.5e-3, 8192)
    assert scorer.training.weight_decay == 0


@pytest.mark.parametrize("name", FRETTE2023)
def test_finite_gradients_reach_every_parameter_of_the_networks_of_frette(name: str) -> None:
    settings = DetectorSettings.parse(name)
    torch.manual_seed(0)
    module = network(settings)
    scorer: Any = get_scorer(settings.kind)(settings.scorer)
    scorer._loss()(module, torch.rand(16, 529)).mean().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_every_key_of_a_preset_can_be_changed() -> None:
    fragment = {"kind": "frette2023-vae-small", "code": 50, "beta": 0.1, "training": {"epochs": 3}}
    settings = DetectorSettings.parse(fragment)
    scorer: Any = settings.scorer
    assert (settings.name, settings.kind, settings.features) == ("frette2023-vae-small", "vae", "rmm")
    assert (scorer.code, scorer.beta, scorer.training.epochs, scorer.training.batch_size) == (50, 0.1, 3, 8192)


def test_a_presets_own_features_give_way_to_the_users() -> None:
    changed = {"kind": "frette2023-ae-small", "features": "trilepton"}
    assert DetectorSettings.parse(changed).features == "trilepton"
    chosen = {"kind": "frette2023-ae-small", "inputs": ["m*"]}
    assert DetectorSettings.parse(chosen).preprocessing.inputs == ("m*",)
    assert DetectorSettings.parse(chosen).features == "rmm"


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ({"activations": ["tanh"]}, "1 activations for 2 hidden layers"),
        ({"activation": "tahn"}, "did you mean 'tanh'"),
        ({"output_activation": "sigmoid(2)"}, "sigmoid has no parameter"),
    ],
)
def test_impossible_activations_are_refused_in_one_line(fragment: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectorSettings.parse({"kind": "autoencoder", **fragment})


@pytest.mark.parametrize("name", [*ONE_SIDED, "met", "flow", "affine-flow"])
def test_one_sided_detectors_see_the_variables_of_their_channel(name: str) -> None:
    for features in ("trilepton", "leptons", "objects"):
        settings = DetectorSettings.parse({"kind": name, "features": features})
        inputs = set(settings.preprocessing.inputs or ())
        assert inputs
        assert inputs <= set(settings.feature_set().names)
        assert DetectorSettings.parse(settings.to_dict()) == settings


def test_members_of_a_combination_see_its_features_unless_they_say_otherwise() -> None:
    members = ["met", {"kind": "lt-plus-met"}, {"kind": "kmeans", "inputs": ["ST"]}]
    settings: Any = DetectorSettings.parse({"kind": "combination", "features": "leptons", "members": members})
    assert [one.features for one in settings.scorer.detectors] == ["leptons"] * 3
    assert settings.preprocessing.inputs == ("MET_pt", "LT", "ST")
