"""The autoregressive network: potentials, gradients, and the compiled sampler beside the network itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anomalon import training
from anomalon.errors import ConfigError
from anomalon.generation import radial
from anomalon.generation.autoregressive import Autoregressive
from anomalon.generation.contract import _keys
from anomalon.generation.encoding import HEAD, PER_SLOT
from anomalon.generation.flatten import PHI, flatten
from anomalon.generation.heads import uniform
from anomalon.generation.network import AutoregressiveNetwork
from anomalon.generation.records import Learned
from anomalon.kinematics import delta_phi, pair_mass
from anomalon.training import CHECKPOINT, TrainingRun
from tests.generation.examples import quick, toy_events


@pytest.fixture(scope="module")
def fitted() -> Autoregressive:
    made = quick("autoregressive").fit(toy_events())
    assert isinstance(made, Autoregressive)
    return made


def encoded(generator: Autoregressive, n: int, seed: int) -> torch.Tensor:
    arrays = flatten(generator.sample(n, seed), generator.slots)
    return torch.from_numpy(generator.encoder.encode(Learned(arrays, np.zeros((n, 0), np.float32)), 0))


def like(generator: Autoregressive) -> AutoregressiveNetwork:
    made = generator._build()
    made.load_state_dict(generator.network.state_dict())
    return made.eval()


def four_vector(pt: float, eta: float, phi: float, mass: float) -> np.ndarray:
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.array([px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)])


def item(pt: float, eta: float, phi: float, mass: float, jet: int = 1) -> np.ndarray:
    return np.array([pt, eta, phi, mass, *four_vector(pt, eta, phi, mass), jet], dtype=np.float32)


def test_the_potential_of_a_pair_is_that_of_its_mass_and_distance() -> None:
    table = np.random.default_rng(0).normal(size=radial.PAIR_KNOTS).astype(np.float32)
    one, other = item(50, 0.3, 0, 6), item(35, -0.4, 1.0, 4)
    out = np.zeros(radial.BINS, np.float32)
    radial.add_pair(one, other, table, radial.buffers(), out)
    for b, phi in enumerate(radial.PHI):
        mass = pair_mass((50, 0.3, phi, 6), (35, -0.4, 1.0, 4))
        distance = np.hypot(0.7, delta_phi(phi, 1.0))
        knots = np.arange(radial.MASS_KNOTS), np.arange(radial.DISTANCE_KNOTS)
        at = (
            np.sqrt(mass) * (radial.MASS_KNOTS - 1) / np.sqrt(radial.LARGEST_MASS),
            distance * (radial.DISTANCE_KNOTS - 1) / 5.9,
        )
        tables = table[: radial.MASS_KNOTS], table[radial.MASS_KNOTS :]
        expected = sum(np.interp(a, k, t) for a, k, t in zip(at, knots, tables, strict=True))
        assert out[b] == pytest.approx(expected, abs=2e-3)


def test_the_potential_of_a_triple_is_that_of_its_mass() -> None:
    table = np.random.default_rng(1).normal(size=radial.MASS_KNOTS).astype(np.float32)
    jets = (50, 0.3, 0.0, 6), (80, -0.4, 1.0, 9), (35, 1.2, -2.0, 4)
    out = np.zeros(radial.BINS, np.float32)
    radial.add_triple(*(item(*jet) for jet in jets), table, radial.buffers(), out)
    for b, phi in enumerate(radial.PHI):
        total = sum(four_vector(*jet) for jet in ((50, 0.3, phi, 6), *jets[1:]))
        mass = np.sqrt(total[3] ** 2 - (total[:3] ** 2).sum())
        at = np.sqrt(mass) * (radial.MASS_KNOTS - 1) / np.sqrt(radial.LARGEST_MASS)
        assert out[b] == pytest.approx(np.interp(at, np.arange(radial.MASS_KNOTS), table), abs=2e-3)


def test_only_a_jet_after_a_b_jet_and_a_jet_makes_a_triple() -> None:
    b_jet, jet, lepton = item(50, 0, 0, 5, 2), item(40, 0, 1, 5, 1), item(30, 0, 2, 0, 0)
    made = [
        radial.makes_triple(*x) for x in ((jet, b_jet, jet), (b_jet, b_jet, jet), (jet, jet, jet), (lepton, b_jet, jet))
    ]
    assert made == [True, False, False, False]


def test_the_potential_of_eta_is_that_of_distance_and_of_the_masses_in_reach() -> None:
    table = np.random.default_rng(2).normal(size=radial.ETA_PAIR_KNOTS).astype(np.float32)
    eta = np.linspace(-2.4, 2.4, radial.BINS)
    centres, out = np.stack([eta, np.exp(eta / 2)]).astype(np.float32), np.zeros(radial.BINS, np.float32)
    radial.add_eta(centres, np.float32(50), item(35, -0.4, 1.0, 0), table, radial.buffers(), out)
    parts = np.split(table, [radial.ETA_KNOTS, radial.ETA_KNOTS + radial.REACH_KNOTS])
    for b, x in enumerate(eta):
        masses = [pair_mass((50, x, phi, 0), (35, -0.4, 0.0, 0)) for phi in (np.pi, 0.0)]
        at = [
            abs(x + 0.4) * (radial.ETA_KNOTS - 1) / 5.6,
            *(np.sqrt(m) * (radial.REACH_KNOTS - 1) / np.sqrt(radial.LARGEST_MASS) for m in masses),
        ]
        expected = sum(np.interp(a, np.arange(len(t)), t) for a, t in zip(at, parts, strict=True))
        assert out[b] == pytest.approx(expected, abs=2e-3)


def test_a_closed_bin_is_within_the_separation_and_an_open_one_is_not() -> None:
    one, other = item(50, 0.1, 0, 6), item(35, 0.0, 3.1, 4, jet=0)
    half = radial.half_closed(one, other, np.float32(0.4))
    assert half == pytest.approx(np.sqrt(0.16 - 0.01), abs=1e-6)
    open_part = np.ones(radial.BINS, np.float32)
    radial.close_bins(half, np.float32(3.1), open_part)
    fine = np.linspace(-np.pi, np.pi, 64 * 200, endpoint=False) + np.pi / 64 / 200
    allowed = (np.abs(delta_phi(fine, 3.1)) > half).reshape(64, 200).mean(axis=1)
    np.testing.assert_allclose(open_part, allowed, atol=0.006)


def test_gradients_reach_every_parameter_and_are_finite_differences(fitted: Autoregressive) -> None:
    network = like(fitted)
    x = encoded(fitted, 40, 1)
    network(x).sum().backward()
    rng = np.random.default_rng(0)
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().sum() > 0, name
        direction = torch.from_numpy(rng.normal(size=gradient.shape)).float()
        moved = []
        for step in (2e-3, -2e-3):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
                moved.append(float(network(x).double().sum()))
                parameter.sub_(direction, alpha=step)
        expected = float((gradient * direction).sum())
        assert (moved[0] - moved[1]) / 4e-3 == pytest.approx(expected, rel=0.05, abs=0.5), name


def test_the_sampler_draws_from_the_density_of_the_network(fitted: Autoregressive) -> None:
    # a density has the integral one: so has the mean ratio of another network's density to that of the sampler
    mine, other, stream = fitted.network, like(fitted), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one, two in zip(other.parameters(), mine.parameters(), strict=True):
            one.copy_(two + 0.02 * two.abs().mean() * torch.randn(two.shape, generator=stream))
        x = encoded(fitted, 20_000, 2)
        weights = (other(x) - mine(x)).double().exp().numpy()
    error = weights.std() / np.sqrt(len(weights))
    assert error < 0.01
    assert weights.mean() == pytest.approx(1.0, abs=4 * error)


def test_the_sampler_inverts_the_distributions_of_the_network() -> None:
    # every number drawn has, in the network's own distribution, the cumulative probability that chance asked for
    generator = quick("autoregressive", training={"epochs": 12, "batch_size": 32, "learning_rate": 1e-2})
    generator.fit(toy_events())
    assert isinstance(generator, Autoregressive)
    generator.acceptance = generator._accepting().model_copy(update={"stored_if": ()})
    n = 300
    x, keys = encoded(generator, n, 3), _keys(3, "objects 0", np.arange(n))
    rows = generator.network.rows(x)
    step = (torch.arange(len(rows.event)) - rows.first()).numpy()
    drawn = (rows.has_mass >= 0, rows.has_mass > 0, rows.is_object > 0, ~rows.is_first)
    with torch.no_grad():
        for head, (logits, chosen) in enumerate(zip(generator.network.logits(rows), drawn, strict=True)):
            asked = [uniform(keys[e], 4 * s + head + 1) for e, s in zip(rows.event.numpy(), step, strict=True)]
            got = cumulative(logits.softmax(1), rows.places[:, head])
            off = np.abs(got.numpy() - asked)[chosen.numpy()]
            assert np.quantile(off, 0.9) < 1e-3, head  # values are rounded, and close to others some phi are moved


def cumulative(p: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    at = place * radial.BINS
    whole = at.long().clamp(0, radial.BINS - 1)
    own = p.gather(1, whole[:, None])[:, 0]
    return p.cumsum(1).gather(1, whole[:, None])[:, 0] - own * (1 - (at - whole))


def test_the_density_does_not_know_left_from_right_when_it_learns(fitted: Autoregressive) -> None:
    x = encoded(fitted, 200, 3)
    flipped = fitted.network._flipped(x)
    slots = [t[:, HEAD:].reshape(200, -1, PER_SLOT) for t in (x, flipped)]
    torch.testing.assert_close(slots[0][..., 1].abs(), slots[1][..., 1].abs())
    torch.testing.assert_close(slots[0][..., 2].abs(), slots[1][..., 2].abs())
    assert 0 < (slots[0][:, 0, 1] != slots[1][:, 0, 1]).float().mean() < 1


def test_jets_keep_their_distance(fitted: Autoregressive) -> None:
    events = fitted.sample(3000, 4)
    acceptance = fitted.acceptance
    assert acceptance is not None
    assert acceptance.separates(flatten(events, fitted.slots)).all()


def test_the_azimuth_of_an_event_is_uniform(fitted: Autoregressive) -> None:
    arrays = flatten(fitted.sample(4000, 5), fitted.slots)
    for phi in (arrays.met[:, 1], arrays.objects[arrays.present][:, PHI]):
        assert np.histogram(phi, 8, (-np.pi, np.pi))[0] == pytest.approx(len(phi) / 8, rel=0.13)


def test_muons_are_left_out_of_the_balance_where_missing_momentum_does_not_see_them(fitted: Autoregressive) -> None:
    assert not fitted.encoder.muons


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    longer = {"training": {"epochs": 3, "batch_size": 128}}
    whole = quick("autoregressive", **longer).fit(toy_events())

    def stop(report: object) -> None:
        raise KeyboardInterrupt

    run = TrainingRun(checkpoint_dir=tmp_path, progress=stop, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        quick("autoregressive", **longer).fit(toy_events(), run=run)
    assert (tmp_path / CHECKPOINT).exists()
    resumed = quick("autoregressive", **longer).fit(toy_events(), run=TrainingRun(checkpoint_dir=tmp_path, resume=True))
    np.testing.assert_array_equal(resumed.sample(20, 1).numbers("met.pt"), whole.sample(20, 1).numbers("met.pt"))


def test_widths_come_in_fours() -> None:
    with pytest.raises(ConfigError, match="must be a multiple of four"):
        quick("autoregressive", network={"head": 10})


def test_it_learns_on_the_processor_whatever_accelerators_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # its loss is computed by compiled loops on the memory of the processor
    asked: list[str] = []
    fabric = training._fabric

    def record(device: str) -> object:
        asked.append(device)
        return fabric(device)

    monkeypatch.setattr(training, "_fabric", record)
    quick("autoregressive").fit(toy_events())
    quick("autoregressive").fit(toy_events(), run=TrainingRun(device="auto"))
    assert asked == ["cpu", "cpu"]
