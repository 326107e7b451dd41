"""The variational autoencoder: its shapes, its noise, and the two terms of its loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as divergence_of

from anomalon.networks.dense import Activations
from anomalon.networks.vae import LARGEST_LOG_VARIANCE, VariationalAutoencoder, kl_divergence, negative_elbo


def network(*hidden: int, inputs: str = "linear", output: str = "linear") -> VariationalAutoencoder:
    torch.manual_seed(0)
    acting = Activations(("leaky-relu(0.3)",) * len(hidden), inputs=inputs, output=output)
    return VariationalAutoencoder(5, hidden=hidden, code=3, activations=acting)


def loss(module: VariationalAutoencoder, x: Tensor, beta: float = 0.5) -> Tensor:
    return negative_elbo(x, *module(x), beta)


@pytest.mark.parametrize("hidden", [(), (8,), (16, 8)])
@pytest.mark.parametrize(("inputs", "output"), [("linear", "linear"), ("relu", "sigmoid"), ("tanh", "leaky-relu(0.3)")])
def test_finite_gradients_reach_every_parameter(hidden: tuple[int, ...], inputs: str, output: str) -> None:
    module = network(*hidden, inputs=inputs, output=output)
    loss(module, torch.randn(64, 5)).mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_reconstruction_and_code_have_their_shapes() -> None:
    reconstruction, mean, log_variance = network(8)(torch.zeros(7, 5))
    assert (reconstruction.shape, mean.shape, log_variance.shape) == ((7, 5), (7, 3), (7, 3))


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    torch.manual_seed(1)
    mean, log_variance = torch.randn(20, 3).double(), torch.randn(20, 3).double()
    known = divergence_of(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), known)


def test_the_divergence_does_not_cancel_near_the_prior() -> None:
    tiny = torch.tensor([[1e-4]])
    assert float(kl_divergence(torch.zeros(1, 1), tiny)) == pytest.approx(0.25e-8, rel=0.05)


def test_the_loss_is_that_of_a_slow_loop_over_events() -> None:
    torch.manual_seed(2)
    x, given = torch.randn(6, 5), torch.randn(6, 5)
    mean, log_variance = torch.randn(6, 3), torch.randn(6, 3)
    slow = []
    for event in range(6):
        constant = 5 * Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
        likelihood = sum(Normal(given[event, k], 1.0).log_prob(x[event, k]) for k in range(5)) - constant
        terms = [1 + log_variance[event, k] - mean[event, k] ** 2 - log_variance[event, k].exp() for k in range(3)]
        slow.append(-likelihood + 0.7 * -0.5 * sum(terms))
    torch.testing.assert_close(negative_elbo(x, given, mean, log_variance, 0.7), torch.stack(slow))


def test_the_loss_of_an_event_does_not_depend_on_the_batch() -> None:
    module, x = network(8).eval(), torch.randn(4, 5)
    _, mean, log_variance = module(x)
    whole = negative_elbo(x, module.decode(mean), mean, log_variance, 0.5)
    parts = zip(x.split(1), mean.split(1), log_variance.split(1), strict=True)
    alone = [negative_elbo(e, module.decode(m), m, v, 0.5) for e, m, v in parts]
    torch.testing.assert_close(whole, torch.cat(alone))


def test_training_draws_the_code_and_evaluation_repeats_its_draw() -> None:
    module, x = network(8), torch.randn(4, 5)
    assert not torch.equal(module(x)[0], module(x)[0])
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])


def test_evaluation_leaves_the_random_stream_alone() -> None:
    module, x = network(8).eval(), torch.randn(4, 5)
    before = torch.get_rng_state()
    module(x)
    assert torch.equal(before, torch.get_rng_state())


def test_the_drawn_code_has_the_width_that_the_network_says() -> None:
    module, x = network(), torch.randn(1, 5).expand(20_000, 5)
    with torch.no_grad():
        module.decoder = torch.nn.Sequential()  # the reconstruction is then the code
        drawn, mean, log_variance = module(x)
    torch.testing.assert_close(drawn.mean(dim=0), mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.var(dim=0), log_variance[0].exp(), atol=0, rtol=0.05)


def test_far_outliers_have_a_finite_loss_and_finite_gradients() -> None:
    module = network(8)
    far = 1e6 * torch.ones(2, 5)
    assert module.posterior(far)[1].abs().max() <= LARGEST_LOG_VARIANCE
    loss(module, far).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
