"""Wasserstein GANs with conditions: networks, losses and their training.

The critic C minimises E[C(G(z))] - E[C(x)], so that real events score high, and the generator minimises -E[C(G(z))]
(Arjovsky et al., arXiv:1701.07875). C is kept Lipschitz by clipping its weights, or by the penalty
lambda E[(|grad C(y)| - 1)^2] between real and generated events (Gulrajani et al., arXiv:1704.00028). Garcia Ruiz 2024
(UPV) writes both losses with the sign of E[C(G(z))] - E[C(x)] turned (equations 4.4 and 4.6): minimised as written, the
critic would score generated events high.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.config import Settings
from anomalon.errors import RunError, TrainingError
from anomalon.networks.checkpoint import (
    named,
    optimizer_tensors,
    part,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from anomalon.networks.dense import dense_stack

Rows = npt.NDArray[np.float32]
_ACTIVATION = "leaky-relu(0.2)"


class AdversarialSettings(Settings):
    """Shape and training of one conditional Wasserstein GAN; by default those of Garcia Ruiz 2024 for particles.

    Attributes:
        width: of the hidden layers of generator and critic.
        layers: dense layers of each, the last one included.
        noise: numbers that the generator draws: half of them uniform in (-1, 1), half normal.
        epochs: passes over the events, a generator step per batch.
        steps: generator steps in place of ``epochs``, however many events there are.
        batch_size: events of a step.
        critic_steps: of the critic for each one of the generator.
        learning_rate: of Adam.
        betas: of Adam.
        average: decay of the running mean of the generator's weights, which is what is kept; 0 keeps the last ones.
    """

    width: int = Field(default=1024, ge=2)
    layers: int = Field(default=7, ge=2)
    noise: int = Field(default=100, ge=2)
    epochs: int = Field(default=320, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=1024, ge=2)
    critic_steps: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=5e-6, gt=0)
    betas: tuple[float, float] = (0.5, 0.9)
    average: float = Field(default=0.0, ge=0, lt=1)

    def epochs_for(self, n: int) -> int:
        """Passes over ``n`` events."""
        return self.epochs if self.steps is None else math.ceil(self.steps / self.batches(n))

    def batches(self, n: int) -> int:
        """Batches of ``n`` events; what is left over waits for the next epoch."""
        return max(n // self.batch_size, 1)


class METSettings(AdversarialSettings):
    """Those of Garcia Ruiz 2024 for missing momentum."""

    epochs: int = Field(default=160, ge=1)
    batch_size: int = Field(default=2048, ge=2)


class SmallSettings(METSettings):
    """A width that a CPU trains in minutes."""

    width: int = Field(default=64, ge=2)
    layers: int = Field(default=4, ge=2)
    noise: int = Field(default=16, ge=2)
    steps: int | None = Field(default=2500, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=5e-4, gt=0)
    average: float = Field(default=0.99, ge=0, lt=1)


@dataclass(frozen=True)
class Sizes:
    """Numbers of conditions and of features of one GAN."""

    given: int
    features: int


@dataclass(frozen=True)
class Lipschitz:
    """What bounds the critic's gradient: weights within +- ``clip``, or ``penalty`` times its distance from one."""

    clip: float | None = None
    penalty: float = 0.0


def generator_network(sizes: Sizes, settings: AdversarialSettings) -> nn.Sequential:
    """Noise and conditions to features in (-1, 1)."""
    return _dense(sizes.given + settings.noise, sizes.features, settings, "tanh")


def critic_network(sizes: Sizes, settings: AdversarialSettings) -> nn.Sequential:
    """Features and conditions to a score, higher for real events."""
    return _dense(sizes.given + sizes.features, 1, settings, "linear")


def _dense(n_in: int, n_out: int, settings: AdversarialSettings, last: str) -> nn.Sequential:
    hidden = settings.layers - 1
    return dense_stack([n_in, *[settings.width] * hidden, n_out], [_ACTIVATION] * hidden + [last])


def critic_loss(critic: nn.Module, real: Tensor, made: Tensor, given: Tensor, penalty: float) -> Tensor:
    """E[C(made)] - E[C(real)] + penalty * E[(|gradient| - 1)^2] for features (event, feature), given conditions."""
    loss: Tensor = critic(torch.cat([made, given], 1)).mean() - critic(torch.cat([real, given], 1)).mean()
    if penalty:
        loss = loss + penalty * gradient_penalty(critic, real, made, given)
    return loss


def gradient_penalty(critic: nn.Module, real: Tensor, made: Tensor, given: Tensor) -> Tensor:
    """E[(|grad C(y)| - 1)^2] for y uniform between pairs of real and generated features."""
    between = torch.lerp(made, real, torch.rand_like(real[:, :1])).requires_grad_(True)
    score = critic(torch.cat([between, given], 1)).sum()
    gradient: Tensor = torch.autograd.grad(score, between, create_graph=True)[0]
    size: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (size - 1.0).square().mean()


def generator_loss(critic: nn.Module, made: Tensor, given: Tensor) -> Tensor:
    """-E[C(made)]."""
    score: Tensor = critic(torch.cat([made, given], 1))
    return -score.mean()


@dataclass(frozen=True)
class Around:
    """Around the training of one GAN.

    Attributes:
        checkpoint: its file; none is written without it.
        resume: continue from it, where it is there.
        seconds: between checkpoints; the last epoch is always written.
        progress: told the critic's loss after every epoch.
    """

    checkpoint: Path | None = None
    resume: bool = False
    seconds: float = 5.0
    progress: Callable[[float], None] | None = None


class Adversaries:
    """One GAN in training. Random streams belong to epochs, so that a resumed training ends like another one.

    Args:
        sizes: of conditions and features.
        settings: shape and training.
        bound: of the critic's gradient.
        seed: of weights, noise and the order of events.
        device: ``auto`` takes a CUDA device where there is one.
    """

    def __init__(
        self, sizes: Sizes, settings: AdversarialSettings, *, bound: Lipschitz, seed: int, device: str = "auto"
    ) -> None:
        self.settings, self.bound, self.seed, self.losses = settings, bound, seed, list[float]()
        self.device = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        self.generator, self.critic = generator_network(sizes, settings), critic_network(sizes, settings)
        self.average = generator_network(sizes, settings).requires_grad_(False)
        self.average.load_state_dict(self.generator.state_dict())
        for network in (self.generator, self.critic, self.average):
            network.to(self.device)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=settings.betas)
            for network in (self.generator, self.critic)
        ]

    def train(self, features: Rows, given: Rows, around: Around) -> nn.Module:
        """Learn features (event, feature) given conditions (event, condition); the generator, on the CPU.

        Raises:
            TrainingError: a loss became NaN or infinite.
            RunError: the checkpoint to resume from belongs to another training.
        """
        self.identity = self._identity(features, given)
        if around.resume and around.checkpoint is not None and around.checkpoint.exists():
            self._load(around.checkpoint)
        data = tuple(torch.from_numpy(part).to(self.device) for part in (features, given))
        written, epochs = time.monotonic(), self.settings.epochs_for(len(features))
        while len(self.losses) < epochs:
            self.losses.append(self._epoch(*data))
            _refuse_divergence(self.losses)
            due = time.monotonic() - written >= around.seconds or len(self.losses) == epochs
            if around.checkpoint is not None and due:
                self._save(around.checkpoint)
                written = time.monotonic()
            if around.progress is not None:
                around.progress(self.losses[-1])
        return (self.average if self.settings.average else self.generator).cpu().eval()

    def _epoch(self, features: Tensor, given: Tensor) -> float:
        """A pass over the events; the mean loss of the critic."""
        s, n = self.settings, len(features)
        torch.manual_seed(self.seed * 1_000_003 + len(self.losses) + 1)
        order, total = torch.randperm(n).to(self.device), torch.zeros((), device=self.device)
        for batch in range(s.batches(n)):
            rows = order[batch * s.batch_size : (batch + 1) * s.batch_size]
            real, conditions = features[rows], given[rows]
            for _ in range(s.critic_steps):
                total += self._criticise(real, conditions)
            self._forge(conditions)
        return float(total) / (s.batches(n) * s.critic_steps)

    def _criticise(self, real: Tensor, given: Tensor) -> Tensor:
        optimizer, clip = self.optimizers[1], self.bound.clip
        with torch.no_grad():
            made = self._made(given)
        loss = critic_loss(self.critic, real, made, given, self.bound.penalty)
        _step(optimizer, loss)
        if clip is not None:
            with torch.no_grad():
                for weights in self.critic.parameters():
                    weights.clamp_(-clip, clip)
        return loss.detach()

    def _forge(self, given: Tensor) -> None:
        self.critic.requires_grad_(False)
        _step(self.optimizers[0], generator_loss(self.critic, self._made(given), given))
        self.critic.requires_grad_(True)
        decay = self.settings.average
        if decay:
            for mean, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(now.detach(), 1 - decay)

    def _made(self, given: Tensor) -> Tensor:
        half = self.settings.noise // 2
        uniform = 2 * torch.rand(len(given), half, device=self.device) - 1
        normal = torch.randn(len(given), self.settings.noise - half, device=self.device)
        made: Tensor = self.generator(torch.cat([uniform, normal, given], 1))
        return made

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator/": self.generator, "critic/": self.critic, "average/": self.average}

    def _save(self, path: Path) -> None:
        tensors: dict[str, Tensor] = {}
        for name, network in self._networks().items():
            tensors |= named(name, network.state_dict())
        for i, optimizer in enumerate(self.optimizers):
            tensors |= named(f"optimizer {i}/", optimizer_tensors(optimizer))
        write_checkpoint(path, tensors, {"identity": self.identity, "losses": json.dumps(self.losses)})

    def _load(self, path: Path) -> None:
        tensors, metadata = read_checkpoint(path)
        if metadata.get("identity") != self.identity:
            raise RunError(f"{path}: belongs to a training with other settings or events; remove it, or do not resume")
        for name, network in self._networks().items():
            network.load_state_dict(part(name, tensors))
        for i, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, part(f"optimizer {i}/", tensors))
        self.losses = json.loads(metadata["losses"])

    def _identity(self, features: Rows, given: Rows) -> str:
        """What must be equal for a checkpoint to be continued."""
        data = hashlib.sha256(features.tobytes() + given.tobytes()).hexdigest()
        bound = self.bound.clip, self.bound.penalty
        return json.dumps([self.settings.model_dump(mode="json"), bound, self.seed, data], sort_keys=True)


def _step(optimizer: Any, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _refuse_divergence(losses: list[float]) -> None:
    if not math.isfinite(losses[-1]):
        raise TrainingError(f"the critic's loss became {losses[-1]} in epoch {len(losses)}: lower learning_rate")
