"""What smooth neural generators share, and each of their networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from anomalon.errors import ConfigError, ModelFileError
from anomalon.generation.contract import _keys
from anomalon.generation.encoding import HEAD, PER_SLOT
from anomalon.generation.flatten import PHI, flatten
from anomalon.generation.neural import NORMAL, SLOT_ETA, SLOT_PHI, NeuralGenerator, Rows
from anomalon.generation.noise import normal_noise, uniform_noise
from anomalon.generation.records import Learned
from anomalon.generation.set_flow import Objects, side_by_side
from anomalon.training import TrainingRun
from tests.generation.examples import quick, toy_events

NAMES = ("beta-vae", "flow-matching", "spline-flow")
every = pytest.mark.parametrize("name", NAMES)


class Fitted(dict[str, NeuralGenerator]):
    """Generators by name, fitted when they are first asked for."""

    def __missing__(self, name: str) -> NeuralGenerator:
        made = quick(name).fit(toy_events())
        assert isinstance(made, NeuralGenerator)
        self[name] = made
        return made


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return Fitted()


def encoded(generator: NeuralGenerator, n: int = 100) -> torch.Tensor:
    arrays = flatten(toy_events(n, 3), generator.slots)
    return torch.from_numpy(generator._encoded(Learned(arrays, np.zeros((n, 0), np.float32)), 0))


def slots_of(x: torch.Tensor) -> torch.Tensor:
    return x[:, HEAD:].view(len(x), -1, PER_SLOT)


def losses(generator: NeuralGenerator, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return generator._loss(generator.network.eval(), x)


def test_encoded_numbers_are_normal_and_what_nobody_draws_is_zero(fitted: Fitted) -> None:
    x = encoded(fitted["spline-flow"], 2000)
    rows = Rows(x, fitted["spline-flow"].encoder.shape)
    normal = rows.slots[..., NORMAL:]
    jets = normal[:, :16][rows.there[:, :16]]
    assert jets.std(0).numpy() == pytest.approx(np.ones(3), abs=0.12)  # tables are of the training sample
    assert not normal[:, 16:-1, 1].any()
    assert not normal[:, -1, 1:].any()
    assert not normal[~rows.there].any()


def test_half_of_the_events_are_mirrored(fitted: Fitted) -> None:
    x = encoded(fitted["spline-flow"])
    rows = Rows(x, fitted["spline-flow"].encoder.shape)
    before = rows.slots
    rows.mirrored()
    for column in (SLOT_ETA, SLOT_PHI, NORMAL + 2):
        torch.testing.assert_close(rows.slots[..., column].abs(), before[..., column].abs())
    changed = (rows.slots != before).flatten(1).any(1).float().mean()
    assert 0.5 < changed < 0.95
    flipped = torch.sign(rows.slots[..., SLOT_ETA] * before[..., SLOT_ETA])
    assert ((flipped >= 0).all(1) | (flipped <= 0).all(1)).all()
    torch.testing.assert_close(rows.slots[..., NORMAL], before[..., NORMAL])
    in_eta, in_phi = ((rows.slots[..., column] != before[..., column]).any(1) for column in (SLOT_ETA, SLOT_PHI))
    assert 0.3 < (in_eta == in_phi).float().mean() < 0.7


@every
def test_slots_without_an_object_do_not_count(name: str, fitted: Fitted) -> None:
    generator = fitted[name]
    x = encoded(generator)
    other = x.clone()
    there = Rows(x, generator.encoder.shape).there
    slots_of(other)[~there] = 7.0
    torch.testing.assert_close(losses(generator, x), losses(generator, other))


@every
def test_every_number_of_an_object_counts(name: str, fitted: Fitted) -> None:
    generator = fitted[name]
    x = encoded(generator)
    there = Rows(x, generator.encoder.shape).there
    several = there.sum(1) > 3
    for column in (NORMAL, NORMAL + 1, NORMAL + 2, SLOT_PHI):
        other = x.clone()
        slots_of(other)[:, :4, column] += 0.3
        changed = (losses(generator, x) != losses(generator, other)) & several
        assert changed[several & there[:, :4].any(1)].all(), column


@every
def test_the_azimuth_of_an_event_is_uniform(name: str, fitted: Fitted) -> None:
    arrays = flatten(fitted[name].sample(3000, 5), fitted[name].slots)
    for phi in (arrays.met[:, 1], arrays.objects[arrays.present][:, PHI]):
        assert np.histogram(phi, 8, (-np.pi, np.pi))[0] == pytest.approx(len(phi) / 8, rel=0.16)


@every
def test_jets_keep_their_distance_where_that_is_asked_for(name: str, fitted: Fitted) -> None:
    generator = fitted[name]
    acceptance = generator.acceptance
    assert acceptance is not None
    asked = generator.generate(400, 4)
    assert acceptance.separates(flatten(asked.events, generator.slots)).all()
    free = quick(name, separate=False).fit(toy_events())
    made = free.generate(400, 4)
    assert not acceptance.separates(flatten(made.events, free.slots)).all()
    assert made.rejected < asked.rejected


@every
def test_an_interrupted_training_ends_like_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    whole = quick(name).fit(toy_events())

    def stop(report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(name).fit(toy_events(), run=TrainingRun(tmp_path, progress=stop, checkpoint_seconds=0.0))
    resumed = quick(name).fit(toy_events(), run=TrainingRun(tmp_path, resume=True))
    np.testing.assert_array_equal(resumed.sample(20, 1).numbers("met.pt"), whole.sample(20, 1).numbers("met.pt"))


@every
def test_learning_lowers_the_loss(name: str) -> None:
    generator = quick(name, training={"epochs": 12, "batch_size": 64, "learning_rate": 5e-3}).fit(toy_events())
    assert generator.record is not None
    trained = generator.record.training_losses
    assert trained[-1] < trained[0] - 0.02


@every
def test_tables_of_another_version_are_refused(name: str, fitted: Fitted, tmp_path: Path) -> None:
    fitted[name].save(tmp_path)
    save_file({"tables": np.zeros((2, 3), np.float32)}, tmp_path / "tables.safetensors")
    with pytest.raises(ModelFileError, match=r"tables of shape \(2, 3\) are not those of this version"):
        fitted[name]._load(tmp_path, {"record": None, "muons": True})
    (tmp_path / "tables.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="not the tables of a generator"):
        fitted[name]._load(tmp_path, {"record": None, "muons": True})


def test_the_spline_flow_draws_from_its_density(fitted: Fitted) -> None:
    # a density has the integral one: so has the mean ratio of another network's density to that of the sampler
    free = quick("spline-flow", separate=False).fit(toy_events())
    assert isinstance(free, NeuralGenerator)
    acceptance = free.acceptance
    assert acceptance is not None
    free.acceptance = acceptance.model_copy(update={"stored_if": ()})
    arrays = flatten(free.sample(4000, 2), free.slots)
    x = torch.from_numpy(free._encoded(Learned(arrays, np.zeros((4000, 0), np.float32)), 0))
    mine, other = free.network, free._build()
    other.load_state_dict(mine.state_dict())
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in other.parameters():
            one.add_(0.02 * one.abs().mean() * torch.randn(one.shape, generator=stream))
        weights = (other.eval()(x) - mine(x)).double().exp().numpy()
    error = weights.std() / np.sqrt(len(weights))
    assert 0 < error < 0.01
    assert weights.mean() == pytest.approx(1.0, abs=4 * error)


def test_the_spline_flow_makes_events_of_the_noise_that_its_density_finds() -> None:
    generator: Any = quick("spline-flow", separate=False, training={"epochs": 12, "batch_size": 32})
    generator.fit(toy_events())
    generator.acceptance = generator.acceptance.model_copy(update={"stored_if": ()})
    n, shape = 200, generator.encoder.shape
    arrays = flatten(generator.sample(n, 3), generator.slots)
    x = torch.from_numpy(generator._encoded(Learned(arrays, np.zeros((n, 0), np.float32)), 0)).double()
    with torch.no_grad():
        noise = generator.exact.noise(Rows(x, shape))
    keys, event, slot = _keys(3, "objects 0", np.arange(n)), noise.event.numpy(), noise.slot.numpy()
    assert len(slot) > 3 * n
    for number in range(4):
        noise_of = uniform_noise if number == 3 else normal_noise
        asked = np.array([noise_of(keys[[e]], 1, 4 * int(s) + number)[0, 0] for e, s in zip(event, slot, strict=True)])
        if number == 3:
            asked = 2 * np.pi * asked - np.pi
        off = np.abs(noise.numbers[:, number].numpy() - asked)[noise.drawn[:, number].numpy() > 0]
        assert np.quantile(off, 0.9) < 5e-3, number  # values are rounded, and cut where they leave the acceptance


def test_the_density_of_the_spline_flow_knows_no_seam_in_phi(fitted: Fitted) -> None:
    x = encoded(fitted["spline-flow"])
    for seam in (-np.pi, 0.0, 1.0):
        below, above = x.clone(), x.clone()
        slots_of(below)[:, -1, SLOT_PHI], slots_of(above)[:, -1, SLOT_PHI] = seam - 1e-5, seam + 1e-5
        if seam < 0:
            slots_of(below)[:, -1, SLOT_PHI] += 2 * np.pi
        one, two = (losses(fitted["spline-flow"], part) for part in (below, above))
        torch.testing.assert_close(one, two, atol=1e-3, rtol=0)


def test_the_flow_of_a_set_does_not_know_the_order_of_objects_or_their_company(fitted: Fitted) -> None:
    generator: Any = fitted["flow-matching"]
    network, shape, x = generator.exact, generator.encoder.shape, encoded(generator, 30).double()
    rows = Rows(x, shape)
    objects = side_by_side(torch.cat([rows.slots[..., NORMAL:], rows.slots[..., SLOT_PHI, None]], 2), rows, shape)
    time = torch.full((30, 1, 1), 0.3, dtype=torch.float64)
    with torch.no_grad():
        velocity = network.velocity(objects, time)
        order = torch.randperm(objects.there.shape[1])
        parts = (getattr(objects, name)[:, order] for name in ("numbers", "moves", "there", "given"))
        torch.testing.assert_close(network.velocity(Objects(*parts), time), velocity[:, order])
        one = int(objects.there[4].sum())
        alone = Objects(*(getattr(objects, name)[4:5, :one] for name in ("numbers", "moves", "there", "given")))
        torch.testing.assert_close(network.velocity(alone, time[:1]), velocity[4:5, :one])
    assert not velocity[~objects.moves].any()
    assert not objects.moves[:, 0, 3].any()


def test_more_steps_follow_the_flow_more_closely(fitted: Fitted) -> None:
    met = []
    for steps in (4, 16, 64):
        generator = quick("flow-matching", steps=steps, separate=False).fit(toy_events())
        met.append(generator.sample(100, 1).numbers("met.pt"))
    assert np.abs(met[1] / met[2] - 1).mean() < 0.3 * np.abs(met[0] / met[2] - 1).mean()


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="width = 10 is no multiple of heads = 4"):
        quick("flow-matching", width=10, heads=4)


def test_the_decoders_noise_of_the_beta_vae_is_of_variance_beta() -> None:
    spread = []
    for settings in ({"beta": 1e-6}, {"beta": 1e-6, "decoder_noise": False}, {"beta": 0.5}):
        generator = quick("beta-vae", seed=2, separate=False, **settings).fit(toy_events())
        spread.append(generator.sample(300, 1).numbers("met.pt"))
    np.testing.assert_allclose(spread[0], spread[1], rtol=0.3)
    assert not np.allclose(spread[0], spread[2], rtol=0.3)
