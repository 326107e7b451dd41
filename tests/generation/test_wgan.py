"""Wasserstein GANs: signs of the losses, the two bounds of the critic, resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anomalon.errors import RunError, TrainingError
from anomalon.generation.wgan import (
    AdversarialSettings,
    Adversaries,
    Around,
    Lipschitz,
    Sizes,
    critic_loss,
    generator_loss,
    gradient_penalty,
)

SMALL = AdversarialSettings(width=16, layers=3, noise=4, steps=40, batch_size=128, learning_rate=2e-3)
PENALTY, CLIP = Lipschitz(penalty=10.0), Lipschitz(clip=0.1)
both = pytest.mark.parametrize("bound", [PENALTY, CLIP])


class First(nn.Module):
    """Scores events by a multiple of their first number."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * x[:, :1]


def sample(n: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    given = rng.uniform(-0.5, 0.5, (n, 1))
    # of two features: in one dimension a penalised critic may stay at a slope of -1, and never turns
    return (given + 0.2 * rng.normal(size=(n, 2))).astype(np.float32), given.astype(np.float32)


def test_the_critic_gains_from_scoring_real_events_high() -> None:
    real, made, given = torch.ones(5, 1), -torch.ones(5, 1), torch.zeros(5, 1)
    assert critic_loss(First(1.0), real, made, given, 0.0).item() == pytest.approx(-2.0)
    assert critic_loss(First(-1.0), real, made, given, 0.0).item() == pytest.approx(2.0)


def test_the_generator_gains_from_being_scored_high() -> None:
    made = torch.tensor([[-1.0], [3.0]])
    assert generator_loss(First(1.0), made, torch.zeros(2, 1)).item() == pytest.approx(-1.0)


def test_the_penalty_is_that_of_the_gradients_distance_from_one() -> None:
    real, made, given = torch.rand(50, 2), torch.rand(50, 2), torch.rand(50, 3)
    for slope in (0.0, 1.0, -3.0):
        found = gradient_penalty(First(slope), real, made, given).item()
        assert found == pytest.approx((abs(slope) - 1) ** 2, abs=1e-6)
    without, with_it = (critic_loss(First(3.0), real, made, given, weight) for weight in (0.0, 10.0))
    assert (with_it - without).item() == pytest.approx(40.0, rel=1e-5)


def test_the_penalty_teaches_the_critic() -> None:
    critic = First(3.0)
    gradient_penalty(critic, torch.rand(9, 1), torch.rand(9, 1), torch.zeros(9, 1)).backward()
    assert critic.slope.grad == pytest.approx(4.0, rel=1e-5)


@both
def test_a_trained_critic_scores_real_events_higher(bound: Lipschitz) -> None:
    gan = Adversaries(Sizes(1, 2), SMALL.model_copy(update={"steps": 4}), bound=bound, seed=1)
    real, given = (torch.from_numpy(part) for part in sample())
    gan.train(real.numpy(), given.numpy(), Around())
    with torch.no_grad():
        far = gan.critic(torch.cat([real + 1.0, given], 1)).mean(), gan.critic(torch.cat([real - 1.0, given], 1)).mean()
        own = gan.critic(torch.cat([gan._made(given), given], 1)).mean()
        assert gan.critic(torch.cat([real, given], 1)).mean() > min(own, *far)


@both
def test_it_learns_a_distribution_given_a_condition(bound: Lipschitz) -> None:
    real, given = sample(4096)
    settings = SMALL.model_copy(update={"steps": 400, "average": 0.9})
    network = Adversaries(Sizes(1, 2), settings, bound=bound, seed=1).train(real, given, Around())
    noise = torch.cat([2 * torch.rand(4096, 2) - 1, torch.randn(4096, 2), torch.from_numpy(given)], 1)
    made = network(noise).detach().numpy()
    assert np.corrcoef(made[:, 0], given[:, 0])[0, 1] > 0.5
    assert made.mean() == pytest.approx(real.mean(), abs=0.12)


def test_clipping_keeps_the_critics_weights_small() -> None:
    gan = Adversaries(Sizes(1, 2), SMALL, bound=Lipschitz(clip=0.02), seed=1)
    gan.train(*sample(), Around())
    assert max(float(weights.detach().abs().max()) for weights in gan.critic.parameters()) <= 0.02 + 1e-9
    free = Adversaries(Sizes(1, 2), SMALL, bound=PENALTY, seed=1)
    free.train(*sample(), Around())
    assert max(float(weights.detach().abs().max()) for weights in free.critic.parameters()) > 0.02


def test_steps_take_the_place_of_epochs() -> None:
    settings = AdversarialSettings(batch_size=100, epochs=3)
    assert settings.epochs_for(1000) == 3
    assert settings.model_copy(update={"steps": 25}).epochs_for(1000) == 3
    assert settings.model_copy(update={"steps": 25}).epochs_for(40) == 25


def test_the_running_mean_is_what_is_kept() -> None:
    kept = [
        Adversaries(Sizes(1, 2), SMALL.model_copy(update={"average": a}), bound=PENALTY, seed=1).train(
            *sample(), Around()
        )
        for a in (0.0, 0.9)
    ]
    pairs = list(zip(kept[0].parameters(), kept[1].parameters(), strict=True))
    assert any(not torch.equal(*pair) for pair in pairs)


@both
def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path: Path, bound: Lipschitz) -> None:
    whole = Adversaries(Sizes(1, 2), SMALL, bound=bound, seed=1).train(*sample(), Around())
    seen = []

    def stop(loss: float) -> None:
        seen.append(loss)
        if len(seen) == 2:
            raise KeyboardInterrupt

    path = tmp_path / "gan.safetensors"
    with pytest.raises(KeyboardInterrupt):
        Adversaries(Sizes(1, 2), SMALL, bound=bound, seed=1).train(*sample(), Around(path, seconds=0.0, progress=stop))
    resumed = Adversaries(Sizes(1, 2), SMALL, bound=bound, seed=1).train(*sample(), Around(path, resume=True))
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gan.safetensors"
    Adversaries(Sizes(1, 2), SMALL, bound=CLIP, seed=1).train(*sample(), Around(path))
    with pytest.raises(RunError, match="belongs to a training with other settings or events"):
        Adversaries(Sizes(1, 2), SMALL, bound=PENALTY, seed=1).train(*sample(), Around(path, resume=True))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    features, given = sample()
    features[0] = np.nan
    with pytest.raises(TrainingError, match=r"the critic's loss became nan in epoch 1: lower learning_rate"):
        Adversaries(Sizes(1, 2), SMALL, bound=PENALTY, seed=1).train(features, given, Around())
