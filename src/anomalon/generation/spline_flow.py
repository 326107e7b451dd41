"""A spline flow per particle: objects in sequence, each number by a monotonic spline of a normal or uniform one.

What is known before an object is a sum over the earlier ones (DeepSets, arXiv:1703.06114), the sum of their momenta,
the previous object and the numbers of objects still to come. Of an object pT, mass, eta and phi come in this order,
each by a rational-quadratic spline (Durkan et al., arXiv:1906.04032) whose knots a network chooses; that of phi is on
the circle (arXiv:2002.02428), cut where the network wants it. Soft momentum comes last, as in
:mod:`anomalon.generation.encoding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.generation.encoding import HAS_MASS, IS_MUON, SOFT, Shape
from anomalon.generation.flatten import KINDS, PHI, EventArrays
from anomalon.generation.network import OBJECT_FEATURES, object_features
from anomalon.generation.neural import (
    NORMAL,
    SLOT_PHI,
    NeuralGenerator,
    NeuralSettings,
    Rows,
    filled,
)
from anomalon.generation.noise import normal_noise, uniform_noise
from anomalon.generation.records import Asked, GeneratorSettings
from anomalon.networks.dense import dense_stack
from anomalon.training import TrainingSettings

N_KINDS = len(KINDS) + 1
SUMS = 6
"""Sums over objects: px, py, pz, E, and px, py of muons."""
STATE = OBJECT_FEATURES + 1 + 2 * 2 + 5 + 2 * len(KINDS) + N_KINDS + 1
"""Inputs beside the sum over objects: previous object, visible momentum, numbers of objects, kind and place."""


class SplineFlowSettings(NeuralSettings):
    """Shape and training of the spline flow.

    Attributes:
        element: width of the sum over earlier objects.
        trunk: width of the two layers that all splines share.
        head: width of the hidden layer of each spline.
        bins: of the splines.
        training: the training loop.
    """

    element: int = Field(default=64, ge=1)
    trunk: int = Field(default=128, ge=1)
    head: int = Field(default=64, ge=1)
    bins: int = Field(default=12, ge=2)
    training: TrainingSettings = TrainingSettings(
        epochs=30, batch_size=512, learning_rate=2e-3, weight_decay=1e-3, schedule="cosine", patience=30,
        gradient_clip=5.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Before:
    """What is known before an object.

    Attributes:
        embedded: sum over earlier objects, shape (object, element).
        sums: of their momenta, shape (object, :data:`SUMS`).
        previous: features of the previous object, 0 for the first, shape (object, feature).
        left: objects still to come by kind, shape (object, kind).
    """

    embedded: Tensor
    sums: Tensor
    previous: Tensor
    left: Tensor


@dataclass(frozen=True)
class Place:
    """Which object is next.

    Attributes:
        kind: soft momentum included, shape (object,).
        place: within its kind, shape (object,).
        counts: numbers of objects of the event by kind, shape (object, kind).
        context: shape (object, input).
    """

    kind: Tensor
    place: Tensor
    counts: Tensor
    context: Tensor


@dataclass(frozen=True)
class Noise:
    """The noise of which objects are made.

    Attributes:
        numbers: of pT, mass, eta, normal ones, and of phi, uniform in (-pi, pi), shape (object, 4).
        log_slopes: logarithms of the derivatives of noise by numbers, shape (object, 4).
        drawn: 1 for what is drawn, 0 for the rest, shape (object, 4).
        event, slot: of each object, shape (object,).
    """

    numbers: Tensor
    log_slopes: Tensor
    drawn: Tensor
    event: Tensor
    slot: Tensor


class SplineFlowNetwork(nn.Module):
    """Log density of encoded events: (event, number) -> (event,).

    Args:
        shape: slots and context.
        settings: widths.
    """

    muon: Tensor
    decided: Tensor

    def __init__(self, shape: Shape, settings: SplineFlowSettings) -> None:
        super().__init__()
        self.shape = shape
        s = settings
        self.element = dense_stack([OBJECT_FEATURES + N_KINDS + 1, s.element, s.element], ["silu"] * 2)
        self.trunk = dense_stack([s.element + STATE + shape.n_context, s.trunk, s.trunk], ["silu"] * 2)
        self.heads = nn.ModuleList(
            dense_stack([s.trunk + known, s.head, 3 * s.bins - 1 + (known == _PHI)], ["silu", "linear"])
            for known in (0, 1, 2, _PHI)
        )
        decided = np.stack([np.ones(N_KINDS, dtype=bool), HAS_MASS, np.arange(N_KINDS) != SOFT], axis=1)
        self.register_buffer("muon", torch.from_numpy(IS_MUON.astype(np.float32)), persistent=False)
        self.register_buffer("decided", torch.from_numpy(decided.astype(np.float32)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Log density of every event, up to a constant."""
        rows = Rows(x, self.shape)
        if self.training:
            rows.mirrored()
        noise = self.noise(rows)
        square = noise.numbers[:, :3].square()
        log_base = torch.cat([-0.5 * square, torch.full_like(square[:, :1], -log(2 * pi))], 1)
        log_p = (log_base + noise.log_slopes) * noise.drawn
        return x.new_zeros(len(x)).index_add(0, noise.event, log_p.sum(1))

    def noise(self, rows: Rows) -> Noise:
        """The noise from which the splines make events."""
        event, slot = rows.there.nonzero(as_tuple=True)
        kind, place = (torch.from_numpy(p).to(event.device)[slot] for p in (self.shape.kind, self.shape.place))
        where = Place(kind, place, rows.counts[event], rows.context[event])
        numbers = rows.slots[rows.there]
        features = self.features(numbers, where)
        is_first = torch.cat([torch.ones_like(event[:1]), event.diff()]).bool()
        before = Before(
            _sums_before(self.element(features), rows.there),
            _sums_before(self.momenta(numbers, kind), rows.there),
            torch.cat([torch.zeros_like(features[:1]), features[:-1]])[:, :OBJECT_FEATURES] * ~is_first[:, None],
            where.counts - _sums_before(nn.functional.one_hot(kind, N_KINDS).to(numbers), rows.there)[:, :SOFT],
        )
        made, log_slopes = self._unmade(self.trunk(self.state(before, where)), numbers, kind)
        drawn = torch.cat([self.decided[kind], (~is_first).to(numbers)[:, None]], 1)
        return Noise(made, log_slopes, drawn, event, slot)

    def _unmade(self, trunk: Tensor, numbers: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """Noise of objects, that of phi in (-pi, pi), and logarithms of the splines' slopes, shape (object, 4) each."""
        normal = numbers[:, NORMAL:] * self.decided[kind]
        found = [self.spline(trunk, normal[:, :i], i).call_and_ladj(normal[:, i]) for i in range(3)]
        parameters = self.heads[3](torch.cat([trunk, normal, _turned(numbers)], 1))
        turned = _on_circle(numbers[:, SLOT_PHI] - parameters[:, -1])
        found.append(_spline(parameters[:, :-1], pi).call_and_ladj(turned))
        made, log_slopes = (torch.stack(part, 1) for part in zip(*found, strict=True))
        return made, log_slopes

    def spline(self, trunk: Tensor, known: Tensor, number: int) -> Any:
        """Spline of pT, mass or eta to a normal number, given the ones before."""
        return _spline(self.heads[number](torch.cat([trunk, known], 1)), _BOUND)

    def features(self, numbers: Tensor, where: Place) -> Tensor:
        """What is known of objects, shape (object, feature)."""
        pt, eta, phi, mass = (numbers[:, i] for i in range(4))
        one_hot = nn.functional.one_hot(where.kind, N_KINDS).to(numbers)
        known = object_features(pt, eta, phi, mass.clamp_min(0))
        return torch.cat([known, one_hot, where.place.to(numbers)[:, None] / 4], 1)

    def momenta(self, numbers: Tensor, kind: Tensor) -> Tensor:
        """What is summed over objects, shape (object, :data:`SUMS`)."""
        pt, eta, phi, mass = (numbers[:, i] for i in range(4))
        px, py, pz = pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()
        energy = (px * px + py * py + pz * pz + mass * mass).sqrt()
        muon = self.muon[kind]
        return torch.stack([px, py, pz, energy, px * muon, py * muon], 1)

    def state(self, before: Before, where: Place) -> Tensor:
        """Inputs of the trunk, shape (object, input)."""
        px, py, pz, energy, muon_x, muon_y = before.sums.unbind(1)
        sums = [torch.stack([px, py], 1), torch.stack([px - muon_x, py - muon_y], 1)]
        mass = (energy * energy - px * px - py * py - pz * pz).clamp_min(0).sqrt()
        sizes = [((part.square().sum(1) + 1).sqrt() / 50).log() for part in sums]
        visible = [(pz / 100).asinh(), ((mass + 10) / 100).log(), ((energy + 10) / 100).log(), *sizes]
        is_first = (energy == 0).to(energy)[:, None]
        one_hot = nn.functional.one_hot(where.kind, N_KINDS).to(energy)
        return torch.cat(
            [
                before.embedded, before.previous, is_first, *[(part / 50).asinh() for part in sums],
                torch.stack(visible, 1), where.counts / 3, before.left / 3, one_hot,
                where.place.to(energy)[:, None] / 4, where.context,
            ],
            1,
        )  # fmt: skip


_PHI = 3 + 2
"""Inputs of the spline of phi: pT, mass and eta as normal numbers, and eta and the logarithm of pT as they are."""
_BOUND = 5.0
"""Splines act on normal numbers within +- this."""


def _turned(numbers: Tensor) -> Tensor:
    return torch.stack([numbers[:, 1], (numbers[:, 0] / 50).log()], 1)


def _on_circle(phi: Tensor) -> Tensor:
    return torch.remainder(phi + pi, 2 * pi) - pi


def _spline(parameters: Tensor, bound: float) -> Any:
    from zuko.transforms import MonotonicRQSTransform  # noqa: PLC0415 - only this generator needs it

    n = (parameters.shape[1] + 1) // 3
    return MonotonicRQSTransform(parameters[:, :n], parameters[:, n : 2 * n], parameters[:, 2 * n :], bound=bound)


def _sums_before(values: Tensor, there: Tensor) -> Tensor:
    """Sums over the objects of the event before each one, shape (object, value)."""
    padded = values.new_zeros((*there.shape, values.shape[1]))
    padded[there] = values
    return (padded.cumsum(1) - padded)[there]


class SplineFlow(NeuralGenerator):
    """Draws events object by object, number by number, through splines."""

    Settings: ClassVar[type[GeneratorSettings]] = SplineFlowSettings
    kind = "spline-flow"
    settings: SplineFlowSettings

    def _build(self) -> nn.Module:
        return SplineFlowNetwork(self.encoder.shape, self.settings)

    def _loss(self, network: nn.Module, x: Tensor) -> Tensor:
        density: Tensor = network(x)
        return -density

    def _block(self, asked: Asked) -> EventArrays:
        shape, n = self.encoder.shape, len(asked)
        counts, context = torch.from_numpy(asked.counts).double(), torch.from_numpy(asked.context).double()
        there = filled(counts, shape).numpy()
        order = np.argsort(~there, axis=1, kind="stable")
        objects = np.zeros((n, shape.n_slots + 1, 4))
        state = _Running(self, asked, counts, context)
        for i in range(int(there.sum(axis=1).max(initial=0))):
            rows = np.flatnonzero(there.sum(axis=1) > i)
            slot = order[rows, i]
            objects[rows, slot] = state.draw(rows, slot, first=i == 0)
        return self.decoder.finish(objects, asked)


class _Running:
    """What is known of a block of events while their objects are drawn."""

    def __init__(self, flow: SplineFlow, asked: Asked, counts: Tensor, context: Tensor) -> None:
        self.flow, self.asked, self.counts, self.context = flow, asked, counts, context
        n = len(asked)
        self.left, self.above = counts.clone(), np.zeros(n)
        self.embedded = torch.zeros(n, flow.settings.element, dtype=torch.float64)
        self.sums, self.previous = (torch.zeros(n, m, dtype=torch.float64) for m in (SUMS, OBJECT_FEATURES))

    def draw(self, rows: Any, slot: Any, *, first: bool) -> Any:
        """Draw the next object of some events: pT, eta, phi and mass, shape (object, 4)."""
        network, shape = self.flow.exact, self.flow.encoder.shape
        kind, at = shape.kind[slot], torch.from_numpy(rows)
        where = Place(torch.from_numpy(kind), torch.from_numpy(shape.place[slot]), self.counts[at], self.context[at])
        before = Before(self.embedded[at], self.sums[at], self.previous[at], self.left[at])
        trunk = network.trunk(network.state(before, where))
        keys = self.asked.keys[rows]
        normal = torch.from_numpy(_of_slot(normal_noise, keys, slot, 3))
        drawn = torch.zeros(len(rows), 0, dtype=torch.float64)
        for i in range(3):
            value = network.spline(trunk, drawn, i).inv(normal[:, i])
            drawn = torch.cat([drawn, (value * network.decided[where.kind, i])[:, None]], 1)
        numbers = self._objects(kind, shape.place[slot], rows, drawn.numpy())
        if not first:
            inputs = torch.cat([trunk, drawn, _turned(numbers)], 1)
            parameters = network.heads[3](inputs)
            uniform = torch.from_numpy(_of_slot(uniform_noise, keys, slot, 1, 3))[:, 0]
            turned = _spline(parameters[:, :-1], pi).inv(2 * pi * uniform - pi)
            numbers[:, PHI] = _on_circle(turned + parameters[:, -1])
        self._add(at, numbers, where)
        return numbers.numpy()

    def _objects(self, kind: Any, place: Any, rows: Any, normal: Any) -> Tensor:
        decoder = self.flow.decoder
        above = decoder.ratio(kind, place, normal[:, 0]) * np.where(place == 0, 1.0, self.above[rows])
        self.above[rows] = above
        return torch.from_numpy(decoder.objects(kind, above, normal[:, 1:]))

    def _add(self, at: Tensor, numbers: Tensor, where: Place) -> None:
        network = self.flow.exact
        features = network.features(numbers, where)
        self.embedded[at] += network.element(features)
        self.sums[at] += network.momenta(numbers, where.kind)
        self.previous[at] = features[:, :OBJECT_FEATURES]
        self.left[at] -= nn.functional.one_hot(where.kind, N_KINDS)[:, :SOFT].double()


def _of_slot(noise: Any, keys: Any, slot: Any, n: int, first: int = 0) -> Any:
    """Noise of objects whose slots differ, shape (object, n)."""
    found = np.zeros((len(keys), n))
    for s in np.unique(slot):
        of = slot == s
        found[of] = noise(keys[of], n, 4 * int(s) + first)
    return found
