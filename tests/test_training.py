"""The training loop: it learns, stops, resumes, and says so when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lightning_fabric
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anomalon.errors import ModelFileError, RunError, TrainingError
from anomalon.networks.dense import DenseAutoencoder
from anomalon.networks.stopping import epochs_without_improvement
from anomalon.training import (
    CHECKPOINT,
    EpochReport,
    TrainingRecord,
    TrainingRun,
    TrainingSettings,
    learning_rate,
    train,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads cost more than they give on networks this small, above all beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


QUICK = TrainingSettings(epochs=6, batch_size=32, learning_rate=3e-3, seed=5)


def some_values(n: int = 200, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 4))).astype(np.float32)


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    body = DenseAutoencoder(4, hidden=[8], code=2, activation="selu", batch_norm=True)
    return nn.Sequential(nn.Dropout(dropout), body)


def squared(module: nn.Module, x: Tensor) -> Tensor:
    return ((module(x) - x) ** 2).mean(dim=1)


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def assert_equal_weights(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name])


def test_the_loss_falls_and_the_record_is_complete() -> None:
    record = train(network(), squared, batches=some_values(), validation=some_values(seed=2), settings=QUICK)
    assert record.training_losses[-1] < 0.5 * record.training_losses[0]
    assert len(record.training_losses) == len(record.validation_losses) == len(record.learning_rates) == 6
    assert record.stopped == "epochs"
    assert record.seconds > 0
    assert TrainingRecord.from_dict(record.to_dict()) == record


def test_the_network_is_left_with_the_weights_of_its_best_epoch() -> None:
    settings = QUICK.model_copy(update={"learning_rate": 0.03, "epochs": 10, "patience": 100})
    module, validation = network(), some_values(seed=4)
    record = train(module, squared, batches=some_values(64), validation=validation, settings=settings)
    assert record.best_epoch == int(np.argmin(record.validation_losses)) != 9
    assert not module.training
    with torch.no_grad():
        loss = float(squared(module, torch.from_numpy(validation)).mean())
    assert loss == pytest.approx(min(record.validation_losses), rel=1e-5)


def test_training_stops_when_patience_ends() -> None:
    settings = TrainingSettings(epochs=50, batch_size=64, learning_rate=1e-3, patience=3, min_delta=10.0)
    record = train(network(), squared, batches=some_values(), settings=settings)
    # The first epoch always improves on nothing; then three epochs gain less than min_delta.
    assert record.stopped == "patience"
    assert len(record.training_losses) == 4
    assert record.validation_losses == ()


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    first, again, other = (network(dropout=0.2) for _ in range(3))
    train(first, squared, batches=some_values(), settings=QUICK)
    train(again, squared, batches=some_values(), settings=QUICK)
    train(other, squared, batches=some_values(), settings=QUICK.model_copy(update={"seed": 6}))
    assert_equal_weights(weights_of(first), weights_of(again))
    assert (weights_of(first)["1.encoder.0.weight"] != weights_of(other)["1.encoder.0.weight"]).any()


def test_training_leaves_the_callers_random_stream_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4)), squared, batches=some_values(), settings=QUICK)
    torch.manual_seed(3)
    network_free = torch.rand(1)
    assert torch.equal(expected, network_free)


def test_a_killed_training_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    sample = {"batches": some_values(), "validation": some_values(seed=2)}
    settings = QUICK.model_copy(update={"schedule": "plateau", "patience": 4, "gradient_clip": 1.0})
    whole = network(dropout=0.2)
    expected = train(whole, squared, **sample, settings=settings)

    def killed(report: EpochReport) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt

    run = TrainingRun(checkpoint_dir=tmp_path, progress=killed, checkpoint_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(network(dropout=0.2), squared, **sample, settings=settings, run=run)
    resumed = network(dropout=0.2)
    torch.manual_seed(99)
    epochs: list[int] = []
    again = TrainingRun(tmp_path, resume=True, progress=lambda r: epochs.append(r.epoch), checkpoint_seconds=0)
    record = train(resumed, squared, **sample, settings=settings, run=again)
    assert epochs == [4, 5, 6]
    assert_equal_weights(weights_of(whole), weights_of(resumed))
    assert record.validation_losses == expected.validation_losses
    assert record.learning_rates == expected.learning_rates


def test_resuming_a_finished_training_does_nothing(tmp_path: Path) -> None:
    first, second = network(), network()
    record = train(first, squared, batches=some_values(), settings=QUICK, run=TrainingRun(tmp_path))
    run = TrainingRun(tmp_path, resume=True, progress=lambda _: pytest.fail("it trained again"))
    assert train(second, squared, batches=some_values(), settings=QUICK, run=run) == record
    assert_equal_weights(weights_of(first), weights_of(second))


def test_without_resume_a_checkpoint_is_ignored(tmp_path: Path) -> None:
    train(network(), squared, batches=some_values(), settings=QUICK, run=TrainingRun(tmp_path))
    epochs: list[int] = []
    run = TrainingRun(tmp_path, progress=lambda r: epochs.append(r.epoch))
    train(network(), squared, batches=some_values(), settings=QUICK, run=run)
    assert epochs == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("change", ["settings", "events"])
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, change: str) -> None:
    train(network(), squared, batches=some_values(), settings=QUICK, run=TrainingRun(tmp_path))
    settings = QUICK.model_copy(update={"learning_rate": 1e-4}) if change == "settings" else QUICK
    values = some_values(seed=8) if change == "events" else some_values()
    with pytest.raises(RunError, match="belongs to a training with other"):
        train(network(), squared, batches=values, settings=settings, run=TrainingRun(tmp_path, resume=True))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train(network(), squared, batches=some_values(), settings=QUICK, run=TrainingRun(tmp_path))
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ModelFileError, match="damaged"):
        train(network(), squared, batches=some_values(), settings=QUICK, run=TrainingRun(tmp_path, resume=True))


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    def broken(module: nn.Module, x: Tensor) -> Tensor:
        return squared(module, x) * float("nan")

    with pytest.raises(TrainingError, match="training loss became nan in epoch 1"):
        train(network(), broken, batches=some_values(), settings=QUICK)


def test_the_sign_and_the_scale_of_weights_do_not_matter_but_their_ratios_do() -> None:
    values, weights = some_values(), np.random.default_rng(4).uniform(0.1, 3, 200)
    networks = [network() for _ in range(3)]
    for module, w in zip(networks, (weights, -4.0 * weights, np.ones(200)), strict=True):
        train(module, squared, batches=(values, w), settings=QUICK)
    a, b, c = (weights_of(module)["1.encoder.0.weight"] for module in networks)
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(a - c).max() > 1e-4


def test_events_of_weight_zero_teach_nothing() -> None:
    values = np.concatenate([some_values(100), 50 + some_values(100, seed=3)])
    constant = nn.Linear(4, 4)
    with torch.no_grad():
        constant.weight.zero_()
    constant.weight.requires_grad_(False)
    settings = TrainingSettings(epochs=300, batch_size=200, learning_rate=0.05, patience=300, weight_decay=0.0)
    train(constant, squared, batches=(values, np.r_[np.ones(100), np.zeros(100)]), settings=settings)
    np.testing.assert_allclose(constant.bias.detach().numpy(), values[:100].mean(axis=0), atol=0.02)


def test_samples_without_events_or_weight_are_refused() -> None:
    with pytest.raises(TrainingError, match="empty"):
        train(network(), squared, batches=some_values()[:0], settings=QUICK)
    with pytest.raises(TrainingError, match="must be positive"):
        train(network(), squared, batches=(some_values(), np.zeros(200)), settings=QUICK)
    with pytest.raises(TrainingError, match="no training sample"):
        train(network(), squared, batches=None, settings=QUICK)


def test_the_wall_clock_limit_stops_after_the_epoch() -> None:
    settings = QUICK.model_copy(update={"max_seconds": 1e-9})
    record = train(network(), squared, batches=some_values(), settings=settings)
    assert (record.stopped, len(record.training_losses)) == ("time", 1)


def test_learning_rates_follow_their_schedule() -> None:
    plateau = TrainingSettings(schedule="plateau", patience=4, learning_rate=1.0)
    assert learning_rate(plateau, (5.0, 4.0, 3.0)) == 1.0
    assert learning_rate(plateau, (5.0, 5.0, 5.0)) == 0.5
    assert learning_rate(plateau, (5.0,) * 5) == 0.25
    cosine = TrainingSettings(schedule="cosine", epochs=4, learning_rate=1.0)
    assert learning_rate(cosine, ()) == 1.0
    assert learning_rate(cosine, (1.0, 1.0)) == pytest.approx(0.5)
    assert learning_rate(TrainingSettings(learning_rate=0.2), (1.0, 2.0)) == 0.2


@pytest.mark.parametrize(
    ("losses", "since"), [((), 0), ((1.0,), 0), ((1.0, 2.0), 1), ((2.0, 1.0), 0), ((1.0, 0.95, 0.92), 2)]
)
def test_patience_counts_epochs_since_the_last_real_improvement(losses: tuple[float, ...], since: int) -> None:
    assert epochs_without_improvement(losses, 0.1) == since


def test_progress_hears_of_every_epoch() -> None:
    reports: list[EpochReport] = []
    run = TrainingRun(progress=reports.append)
    record = train(network(), squared, batches=some_values(), validation=some_values(seed=2), settings=QUICK, run=run)
    assert [r.epoch for r in reports] == [1, 2, 3, 4, 5, 6]
    assert tuple(r.validation_loss for r in reports) == record.validation_losses
    assert reports[-1].best_epoch == record.best_epoch + 1


def test_the_device_that_was_asked_for_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Recording(lightning_fabric.Fabric):
        def __init__(self, *, accelerator: str, devices: int) -> None:
            asked.append(accelerator)
            super().__init__(accelerator="cpu", devices=devices)

    monkeypatch.setattr(lightning_fabric, "Fabric", Recording)
    settings = QUICK.model_copy(update={"epochs": 1})
    train(network(), squared, batches=some_values(), settings=settings, run=TrainingRun(device="cpu"))
    train(network(), squared, batches=some_values(), settings=settings)
    assert asked == ["cpu", "auto"]
