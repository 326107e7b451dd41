"""Convolutional features of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anomalon.networks.picture_features import PictureClassifier, PictureFeatures


@pytest.fixture
def network() -> PictureFeatures:
    torch.manual_seed(1)
    return PictureFeatures((6, 8), (2, 2))


PICTURES = torch.from_numpy(np.random.default_rng(2).uniform(size=(2, 3, 24, 20)).astype(np.float32))


def test_only_the_wanted_layers_are_given(network: PictureFeatures) -> None:
    assert set(network(PICTURES, {"conv1_2", "conv2_1"})) == {"conv1_2", "conv2_1"}
    assert network(PICTURES, {"conv2_2"})["conv2_2"].shape == (2, 8, 12, 10)


def test_spread_filters_act_about_half_the_time(network: PictureFeatures) -> None:
    network.spread(PICTURES)
    for features in network(PICTURES, {*network.names}).values():
        acting = (features > 0).float().mean(dim=(0, 2, 3))
        assert acting.min() > 0.25
        assert acting.max() < 0.75


def test_normalised_filters_have_a_mean_activation_of_one(network: PictureFeatures) -> None:
    network.spread(PICTURES)
    network.normalise(PICTURES)
    for features in network(PICTURES, {*network.names}).values():
        torch.testing.assert_close(features.mean(dim=(0, 2, 3)), torch.ones(features.shape[1]), rtol=1e-3, atol=1e-3)


def test_normalising_changes_a_layer_by_a_factor_per_filter_alone(network: PictureFeatures) -> None:
    network.spread(PICTURES)
    before = network(PICTURES, {"conv2_2"})["conv2_2"]
    network.normalise(PICTURES)
    after = network(PICTURES, {"conv2_2"})["conv2_2"]
    ratio = before.mean(dim=(0, 2, 3), keepdim=True) / after.mean(dim=(0, 2, 3), keepdim=True)
    torch.testing.assert_close(after * ratio, before, rtol=1e-3, atol=1e-4)


def test_filters_that_never_act_stay_as_they_are(network: PictureFeatures) -> None:
    with torch.no_grad():
        network.filters[0].weight.zero_()
    network.normalise(PICTURES)
    for layer in network.filters:
        assert torch.isfinite(layer.weight).all()


def test_a_classifier_gives_one_number_per_picture(network: PictureFeatures) -> None:
    assert PictureClassifier(network)(PICTURES).shape == (2,)
