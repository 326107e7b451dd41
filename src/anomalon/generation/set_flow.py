"""Flow matching over the set of an event's objects: all of them move at once, from noise to their places.

A transformer learns the velocity of straight paths from normal numbers to pT, mass and eta, and of shortest arcs from a
uniform angle to phi (Lipman et al., arXiv:2210.02747; on manifolds Chen, Lipman, arXiv:2302.03660); events follow it
from time 0 to 1 with the midpoint rule. Objects are given by their kinds and numbers, soft momentum is one of them (see
:mod:`anomalon.generation.encoding`), and the first object is at phi = 0. Pairs enter the attention by their distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from anomalon.generation.encoding import Shape
from anomalon.generation.flatten import KINDS, EventArrays
from anomalon.generation.neural import NORMAL, SLOT_PHI, NeuralGenerator, NeuralSettings, Rows, decided
from anomalon.generation.noise import normal_noise, uniform_noise
from anomalon.generation.records import Asked, GeneratorSettings
from anomalon.networks.dense import dense_stack
from anomalon.training import TrainingSettings

N_KINDS = len(KINDS) + 1
NUMBERS = 4
"""Of an object: pT, mass and eta as normal numbers, and phi."""
WAVES = (1.0, 2.0, 4.0, 8.0)
"""Frequencies by which the network sees time, in half turns."""
PAIR = 16
"""Width of the hidden layer between a pair's distance and its attention."""


class SetFlowSettings(NeuralSettings):
    """Shape and training of flow matching.

    Attributes:
        width: of the transformer, a multiple of ``heads``.
        heads: of the attention.
        blocks: of attention and dense layers.
        steps: midpoint steps from noise to an event; each looks at the network twice.
        training: the training loop.
    """

    width: int = Field(default=64, ge=2)
    heads: int = Field(default=4, ge=1)
    blocks: int = Field(default=3, ge=1)
    steps: int = Field(default=10, ge=1)
    training: TrainingSettings = TrainingSettings(
        epochs=30, batch_size=256, learning_rate=1.5e-3, schedule="cosine", patience=30, gradient_clip=5.0
    )

    @model_validator(mode="after")
    def _divides(self) -> SetFlowSettings:
        if self.width % self.heads:
            raise ValueError(f"width = {self.width} is no multiple of heads = {self.heads}")
        return self


@dataclass(frozen=True)
class Objects:
    """The objects of a batch side by side, on their way from noise.

    Attributes:
        numbers: pT, mass and eta as normal numbers, and phi, shape (event, object, 4).
        moves: which of them do, shape (event, object, 4).
        there: whether there is an object, shape (event, object).
        given: kind, place, numbers of objects and context, shape (event, object, input).
    """

    numbers: Tensor
    moves: Tensor
    there: Tensor
    given: Tensor

    def moved(self, velocity: Tensor, time: float | Tensor) -> Objects:
        """The objects after some time at a velocity; phi stays on its circle."""
        numbers = self.numbers + velocity * time
        return replace(self, numbers=torch.cat([numbers[..., :3], wrapped(numbers[..., 3:])], 2))


class SetFlowNetwork(nn.Module):
    """Velocity of objects, shape (event, object, 4), at a time between 0 and 1.

    Args:
        shape: slots and context.
        settings: widths.
    """

    def __init__(self, shape: Shape, settings: SetFlowSettings) -> None:
        super().__init__()
        width = settings.width
        self.shape = shape
        given = N_KINDS + 1 + len(KINDS) + shape.n_context
        self.embed = nn.Linear(3 + 4 + given, width)
        self.time = dense_stack([1 + 2 * len(WAVES), width, width], ["silu", "silu"])
        self.pair = dense_stack([4, PAIR, settings.heads * settings.blocks], ["silu", "linear"])
        self.blocks = nn.ModuleList(Block(width, settings.heads) for _ in range(settings.blocks))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, NUMBERS))

    def forward(self, x: Tensor) -> Tensor:
        """Loss of every encoded event: mean squared error of the velocity, over the numbers that move."""
        rows = Rows(x, self.shape)
        if self.training:
            rows.mirrored()
        end = side_by_side(torch.cat([rows.slots[..., NORMAL:], rows.slots[..., SLOT_PHI, None]], 2), rows, self.shape)
        random = None if self.training else torch.Generator(x.device).manual_seed(0)
        shape = end.numbers.shape
        start = torch.randn(shape, generator=random, device=x.device)
        angle = 2 * pi * torch.rand(shape[:2], generator=random, device=x.device) - pi
        start = torch.where(end.moves, torch.cat([start[..., :3], angle[..., None]], 2), end.numbers)
        way = end.numbers - start
        way = torch.cat([way[..., :3], wrapped(way[..., 3:])], 2)
        time = torch.rand(len(x), 1, 1, generator=random, device=x.device)
        velocity = self.velocity(replace(end, numbers=start).moved(way, time), time)
        return ((velocity - way).square() * end.moves).sum((1, 2)) / end.moves.sum((1, 2))

    def velocity(self, objects: Objects, time: Tensor) -> Tensor:
        """Velocity, 0 for what does not move, shape (event, object, 4); time has the shape (event, 1, 1)."""
        z, phi = objects.numbers[..., :3] * objects.moves[..., :3], objects.numbers[..., 3:]
        waves = [turn(n * phi) for n in (1, 2) for turn in (torch.cos, torch.sin)]
        h = self.embed(torch.cat([z, *waves, objects.given], 2))
        w = self.time(torch.cat([time, *[turn(pi * n * time) for n in WAVES for turn in (torch.cos, torch.sin)]], 2))
        pairs = self.pair(_distances(z[..., 2], phi[..., 0])).permute(0, 3, 1, 2)
        pairs = pairs.masked_fill(~objects.there[:, None, None, :], -torch.inf)
        for block, bias in zip(self.blocks, pairs.chunk(len(self.blocks), 1), strict=True):
            h = block(h, w, bias)
        velocity: Tensor = self.out(h)
        return velocity * objects.moves


class Block(nn.Module):
    """Attention with a bias of pairs, then dense layers, both shifted and scaled by time.

    Args:
        width: of every object.
        heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.modulation = nn.Linear(width, 4 * width)
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = dense_stack([width, 2 * width, width], ["silu", "linear"])

    def forward(self, h: Tensor, time: Tensor, pairs: Tensor) -> Tensor:
        """Objects (event, object, width), embedded time (event, 1, width), bias (event, head, object, object)."""
        scale_a, shift_a, scale_d, shift_d = self.modulation(time).chunk(4, 2)
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.inputs(self.norms[0](h) * (1 + scale_a) + shift_a).chunk(3, 2)
        )
        seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=pairs)
        h = h + self.output(seen.transpose(1, 2).flatten(2))
        made: Tensor = h + self.dense(self.norms[1](h) * (1 + scale_d) + shift_d)
        return made


def wrapped(phi: Tensor) -> Tensor:
    """An angle in [-pi, pi)."""
    return torch.remainder(phi + pi, 2 * pi) - pi


def _distances(eta: Tensor, phi: Tensor) -> Tensor:
    """How far apart two objects are, shape (event, object, object, 4); eta is a normal number here."""
    d_phi, d_eta = phi[:, :, None] - phi[:, None, :], eta[:, :, None] - eta[:, None, :]
    return torch.stack([d_phi.cos(), (2 * d_phi).cos(), (-d_eta.square()).exp(), d_eta.abs()], 3)


def side_by_side(numbers: Tensor, rows: Rows, shape: Shape) -> Objects:
    """The filled slots of events without the gaps between them, up to those of the fullest event."""
    order = (~rows.there).to(torch.uint8).argsort(stable=True, dim=1)[:, : int(rows.there.sum(1).max())]
    there = rows.there.gather(1, order)
    kind, place = (torch.from_numpy(part).to(order.device)[order] for part in (shape.kind, shape.place))
    moves = torch.cat(
        [
            torch.from_numpy(decided(shape)).to(order.device)[order],
            (torch.arange(order.shape[1], device=order.device) > 0).expand(order.shape)[..., None],
        ],
        2,
    )
    one_hot = nn.functional.one_hot(kind, N_KINDS).to(numbers)
    event = torch.cat([rows.counts / 3, rows.context], 1)[:, None].expand(-1, order.shape[1], -1)
    given = torch.cat([one_hot, place.to(numbers)[..., None] / 4, event], 2)
    every = numbers.gather(1, order[..., None].expand(-1, -1, NUMBERS))
    return Objects(every, moves & there[..., None], there, given)


class SetFlow(NeuralGenerator):
    """Draws all objects of an event at once, by following a velocity."""

    Settings: ClassVar[type[GeneratorSettings]] = SetFlowSettings
    kind = "flow-matching"
    settings: SetFlowSettings

    def _build(self) -> nn.Module:
        return SetFlowNetwork(self.encoder.shape, self.settings)

    def _loss(self, network: nn.Module, x: Tensor) -> Tensor:
        loss: Tensor = network(x)
        return loss

    def _block(self, asked: Asked) -> EventArrays:
        shape = self.encoder.shape
        n, n_slots = len(asked), shape.n_slots + 1
        noise = normal_noise(asked.keys, 3 * n_slots).reshape(n, n_slots, 3)
        angle = 2 * np.pi * uniform_noise(asked.keys, n_slots, 3 * n_slots) - np.pi
        rows = Rows.of(torch.from_numpy(asked.counts).double(), torch.from_numpy(asked.context).double(), shape)
        start = torch.from_numpy(np.concatenate([noise, angle[..., None]], axis=2))
        objects = side_by_side(start, rows, shape)
        objects.numbers[:, 0, 3] = 0.0
        numbers = self._followed(objects).numpy()
        every = np.zeros((n, n_slots, NUMBERS))
        every[rows.there.numpy()] = numbers[objects.there.numpy()]
        return self.decoder.whole(every[..., :3], every[..., 3], asked)

    def _followed(self, objects: Objects) -> Tensor:
        """Numbers of objects at time 1: midpoint steps from time 0."""
        step = 1.0 / self.settings.steps
        time = objects.numbers.new_zeros(len(objects.numbers), 1, 1)
        network: Any = self.exact
        for i in range(self.settings.steps):
            half = objects.moved(network.velocity(objects, time + i * step), 0.5 * step)
            objects = objects.moved(network.velocity(half, time + (i + 0.5) * step), step)
        return objects.numbers
