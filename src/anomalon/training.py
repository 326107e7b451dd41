"""The training loop: the only file that knows Lightning Fabric.

Batches are sliced from memory, the optimiser is fused AdamW, the device is found by Fabric. What decides when to stop,
which epoch is best and what the learning rate is are pure functions of the losses so far, and random streams belong to
epochs: so a training that was killed and resumed ends (on CPU) with the weights of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.batches import Batches, as_batches, fingerprint, sum_of_weights
from anomalon.config import Settings
from anomalon.errors import RunError, TrainingError
from anomalon.networks.checkpoint import (
    State,
    named,
    optimizer_tensors,
    part,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from anomalon.networks.computing import private_random_stream, threads_for_step
from anomalon.networks.stopping import epochs_without_improvement, plateaus

Loss = Callable[[nn.Module, Tensor], Tensor]
"""Loss per event: (module, inputs (event, input)) -> (event,)."""
Stopped = Literal["", "patience", "epochs", "time"]

CHECKPOINT = "training.safetensors"


class TrainingSettings(Settings):
    """How a network is trained.

    Attributes:
        epochs: at most so many.
        batch_size: at most so many events.
        learning_rate: of AdamW, at the start.
        weight_decay: of AdamW.
        patience: epochs without an improvement by ``min_delta`` of the validation loss before the training stops.
        min_delta: smallest decrease of the validation loss that counts as one.
        schedule: of the learning rate: ``constant``; ``cosine`` down to zero over ``epochs``; ``plateau`` halves it
            after each ``patience // 2`` epochs without improvement.
        gradient_clip: largest norm of the gradient; null does not clip.
        max_seconds: wall-clock limit. It makes the number of epochs depend on the machine: results are then no
            longer the same everywhere.
        seed: of dropout and other random layers.
    """

    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    patience: int = Field(default=10, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    gradient_clip: float | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class TrainingRecord:
    """How a training went, one entry per epoch.

    Attributes:
        training_losses: weighted means over the epoch, while the network was learning.
        validation_losses: weighted means after the epoch; empty without validation events.
        learning_rates: of each epoch.
        best_epoch: counted from 0; its weights are the ones kept.
        seconds: spent, those before an interruption included.
        stopped: ``patience``, ``epochs`` or ``time``; empty while the training runs.
    """

    training_losses: tuple[float, ...] = ()
    validation_losses: tuple[float, ...] = ()
    learning_rates: tuple[float, ...] = ()
    best_epoch: int = -1
    seconds: float = 0.0
    stopped: Stopped = ""

    @property
    def monitored(self) -> tuple[float, ...]:
        """Losses that decide: those of validation, or of training without validation events."""
        return self.validation_losses or self.training_losses

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True)
class EpochReport:
    """What a progress bar is told after each epoch; epochs count from 1 here, losses are those of the epoch."""

    epoch: int
    epochs: int
    training_loss: float
    validation_loss: float | None
    learning_rate: float
    best_epoch: int
    seconds: float

    @property
    def loss(self) -> float:
        """The loss that decides: that of validation, or of training without validation events."""
        return self.training_loss if self.validation_loss is None else self.validation_loss


@dataclass(frozen=True)
class TrainingRun:
    """Around a training: progress and checkpoints.

    Attributes:
        checkpoint_dir: folder for the checkpoint; none is written without it.
        resume: continue from the checkpoint, where there is one.
        progress: called after every epoch.
        checkpoint_seconds: time between checkpoints; the last epoch is always written.
        device: ``cpu`` for losses that compute outside torch; ``auto`` takes an accelerator where there is one.
    """

    checkpoint_dir: Path | None = None
    resume: bool = False
    progress: Callable[[EpochReport], None] | None = None
    checkpoint_seconds: float = 5.0
    device: Literal["auto", "cpu"] = "auto"


def train(
    module: nn.Module,
    loss: Loss,
    *,
    batches: Any,
    validation: Any = None,
    settings: TrainingSettings | None = None,
    run: TrainingRun | None = None,
) -> TrainingRecord:
    """Train a network in place and leave it with the weights of its best epoch, on the CPU, ready to score.

    The loss of a batch is the mean over its events of loss times absolute weight; these weights are scaled to mean 1
    over the sample.

    Args:
        module: the network.
        loss: loss per event.
        batches: batches, an array (event, input), or a pair (values, weights).
        validation: the same, for early stopping; without it the training loss decides.
        settings: how to train.
        run: progress and checkpoints.

    Raises:
        TrainingError: there are no events, or the loss became NaN or infinite.
        RunError: the checkpoint to resume from belongs to another training.
        ModelFileError: the checkpoint is damaged.
    """
    settings, run = settings or TrainingSettings(), run or TrainingRun()
    learned, checked = (_sample(data, settings) for data in (batches, validation))
    if learned is None:
        raise TrainingError("no training sample was given")
    with private_random_stream(), threads_for_step(module, settings.batch_size):
        record = _Loop(module, loss, settings=settings, batches=learned, device=run.device).run(checked, run)
    module.cpu().eval()
    return record


def learning_rate(settings: TrainingSettings, losses: tuple[float, ...]) -> float:
    """Learning rate of the next epoch, given the monitored losses so far.

    >>> learning_rate(TrainingSettings(schedule="cosine", epochs=10, learning_rate=1.0), (0.3,) * 5)
    0.5
    """
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * len(losses) / settings.epochs))
    if settings.schedule == "plateau":
        return settings.learning_rate * 0.5 ** plateaus(losses, settings.min_delta, max(1, settings.patience // 2))
    return settings.learning_rate


def _sample(data: Any, settings: TrainingSettings) -> Batches | None:
    if data is None:
        return None
    sample = as_batches(data, batch_size=settings.batch_size, seed=settings.seed)
    if not sample.n_events:
        raise TrainingError("no events to train or validate on: the sample is empty")
    return sample


class _Loop:
    """One training: the network and the optimiser on their device, and what is known so far."""

    def __init__(
        self, module: nn.Module, loss: Loss, *, settings: TrainingSettings, batches: Batches, device: str
    ) -> None:
        self.settings, self.loss, self.batches = settings, loss, batches
        self.fabric = _fabric(device)
        optimizer = torch.optim.AdamW(
            module.to(self.fabric.device).parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.network, self.optimizer = self.fabric.setup(module, optimizer)
        self.scale = _inverse_mean_weight(batches)
        self.record = TrainingRecord()
        self.best: State = {}

    def run(self, validation: Batches | None, around: TrainingRun) -> TrainingRecord:
        """Train to the end and put the best weights into the network."""
        checkpoint = _Checkpoint(self, around, validation)
        before = self.record.seconds
        start = time.monotonic()
        while not self.record.stopped:
            self.one_epoch(validation)
            self.record = replace(self.record, seconds=before + time.monotonic() - start)
            self.record = replace(self.record, stopped=_stopped(self.record, self.settings))
            checkpoint.save_now_and_then()
            if around.progress is not None:
                around.progress(_report(self.record, self.settings))
        self.network.load_state_dict(self.best)
        return self.record

    def one_epoch(self, validation: Batches | None) -> None:
        """Learn from every batch once, then look at the validation events."""
        record, epoch = self.record, len(self.record.training_losses)
        rate = learning_rate(self.settings, record.monitored)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.settings.seed * 1_000_003 + epoch)
        training = self.learn(epoch)
        checked = () if validation is None else (self.evaluate(validation),)
        self.record = replace(
            record,
            training_losses=(*record.training_losses, training),
            validation_losses=(*record.validation_losses, *checked),
            learning_rates=(*record.learning_rates, rate),
        )
        _refuse_divergence(self.record, rate)
        self.keep_best()

    def learn(self, epoch: int) -> float:
        """One pass over the training batches; the weighted mean loss."""
        self.network.train()
        clip = self.settings.gradient_clip
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        for values, weights in _tensors(self.batches, epoch, self.fabric.device, self.scale):
            self.optimizer.zero_grad(set_to_none=True)
            loss = (self.loss(self.network, values) * weights).mean()
            self.fabric.backward(loss)
            if clip is not None:
                self.fabric.clip_gradients(self.network, self.optimizer, max_norm=clip, error_if_nonfinite=False)
            self.optimizer.step()
            total += loss.detach() * len(values)
        return float(total) / self.batches.n_events

    @torch.no_grad()
    def evaluate(self, sample: Batches) -> float:
        """Weighted mean loss of a sample."""
        self.network.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        norm = 0.0
        for values, weights in _tensors(sample, 0, self.fabric.device, 1.0):
            total += (self.loss(self.network, values) * weights).sum()
            norm += float(weights.sum())
        return float(total) / norm if norm > 0 else math.nan

    def keep_best(self) -> None:
        """Remember the weights if this epoch has the lowest loss so far."""
        losses = self.record.monitored
        best = min(range(len(losses)), key=losses.__getitem__)
        if best == len(losses) - 1:
            self.best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.record = replace(self.record, best_epoch=best)


def _fabric(device: str) -> Any:
    """One device, found by Fabric where it is ``auto``, without its advice on the terminal."""
    from lightning_fabric import Fabric  # noqa: PLC0415 - takes a second, and scoring does not need it

    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(accelerator=device, devices=1)


def _tensors(batches: Batches, epoch: int, device: torch.device, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Values and scaled |weights| of an epoch's batches on the device, float32."""
    for values, weights in batches.epoch(epoch):
        w = (np.abs(weights) * scale).astype(np.float32)
        yield torch.from_numpy(values).to(device), torch.from_numpy(w).to(device)


def _inverse_mean_weight(batches: Batches) -> float:
    total = sum_of_weights(batches)
    if not total > 0:
        raise TrainingError(f"the |weights| of {batches.n_events} training events sum to {total}: must be positive")
    return batches.n_events / total


def _refuse_divergence(record: TrainingRecord, rate: float) -> None:
    for what, losses in (("training", record.training_losses), ("validation", record.validation_losses)):
        if losses and not math.isfinite(losses[-1]):
            raise TrainingError(
                f"{what} loss became {losses[-1]} in epoch {len(losses)}: lower learning_rate (now {rate:g}), "
                "set gradient_clip, or look at the inputs' scales"
            )


def _stopped(record: TrainingRecord, settings: TrainingSettings) -> Stopped:
    if epochs_without_improvement(record.monitored, settings.min_delta) >= settings.patience:
        return "patience"
    if len(record.training_losses) >= settings.epochs:
        return "epochs"
    if settings.max_seconds is not None and record.seconds >= settings.max_seconds:
        return "time"
    return ""


def _report(record: TrainingRecord, settings: TrainingSettings) -> EpochReport:
    return EpochReport(
        epoch=len(record.training_losses),
        epochs=settings.epochs,
        training_loss=record.training_losses[-1],
        validation_loss=record.validation_losses[-1] if record.validation_losses else None,
        learning_rate=record.learning_rates[-1],
        best_epoch=record.best_epoch + 1,
        seconds=record.seconds,
    )


class _Checkpoint:
    """The state of a training in one safetensors file: weights, best weights, optimiser, and the record as JSON."""

    def __init__(self, loop: _Loop, around: TrainingRun, validation: Batches | None) -> None:
        self.loop, self.around = loop, around
        self.path = None if around.checkpoint_dir is None else around.checkpoint_dir / CHECKPOINT
        self.identity = _identity(loop, validation)
        self.written = time.monotonic()
        if around.resume and self.path is not None and self.path.exists():
            self.load(self.path)

    def save_now_and_then(self) -> None:
        """Write the checkpoint if it is time, or the end."""
        due = time.monotonic() - self.written >= self.around.checkpoint_seconds
        if self.path is not None and (due or self.loop.record.stopped):
            self.save(self.path)
            self.written = time.monotonic()

    def save(self, path: Path) -> None:
        """Write everything that changes during a training."""
        loop = self.loop
        tensors = {
            **named("network/", loop.network.state_dict()),
            **named("best/", loop.best),
            **named("optimizer/", optimizer_tensors(loop.optimizer)),
        }
        write_checkpoint(path, tensors, {"identity": self.identity, "record": json.dumps(loop.record.to_dict())})

    def load(self, path: Path) -> None:
        """Continue where the checkpoint stopped."""
        tensors, metadata = read_checkpoint(path)
        if metadata.get("identity") != self.identity:
            raise RunError(
                f"{path}: belongs to a training with other settings, events or network; remove it, or do not resume"
            )
        restore_optimizer(self.loop.optimizer, part("optimizer/", tensors))
        self.loop.network.load_state_dict(part("network/", tensors))
        self.loop.best = part("best/", tensors)
        self.loop.record = TrainingRecord.from_dict(json.loads(metadata["record"]))


def _identity(loop: _Loop, validation: Batches | None) -> str:
    """What must be equal for a checkpoint to be continued; the wall-clock limit may change."""
    shapes = {name: list(tensor.shape) for name, tensor in loop.network.state_dict().items()}
    events = [fingerprint(sample) for sample in (loop.batches, validation) if sample is not None]
    settings = loop.settings.model_dump(mode="json", exclude={"max_seconds"})
    return hashlib.sha256(json.dumps([settings, shapes, events], sort_keys=True).encode()).hexdigest()
