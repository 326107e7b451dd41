"""The binned autoregressive network: the density of an event as a product of categorical distributions.

Each number is drawn in 64 bins of its empirical distribution (:mod:`anomalon.generation.encoding`), given all before
it: a sum over earlier objects (DeepSets, arXiv:1703.06114), the sum of their momenta, the previous object, the numbers
of objects still to come; soft momentum comes last. The state has a constant size: no attention. Pairs enter through
:mod:`anomalon.generation.radial`. The features here and in :mod:`anomalon.generation.sampler` are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomalon.generation import radial
from anomalon.generation.encoding import (
    CLASS_OF_KIND,
    ETA_TABLE,
    HAS_MASS,
    HEAD,
    IS_MUON,
    JET_OF_KIND,
    N_CLASSES,
    PER_SLOT,
    SOFT,
    Shape,
)  # fmt: skip
from anomalon.generation.flatten import KINDS, Floats
from anomalon.generation.quantiles import from_uniform
from anomalon.generation.radial import BALANCE_KNOTS, BINS, ETA_PAIR_KNOTS, JET, MASS_KNOTS, PAIR_KNOTS

N_KINDS = len(KINDS) + 1
"""Soft momentum included."""
OBJECT_FEATURES = 8
ELEMENT = OBJECT_FEATURES + N_KINDS - 1 + 1
"""Inputs of the sum over objects: features, kind, place within the kind."""
STATE = OBJECT_FEATURES + 1 + 6 + 3 + len(KINDS) + 4 + N_KINDS
"""Inputs beside the sum: previous object, sums of pT, visible momentum, numbers of objects, what is left, kind."""
MASS_INPUTS, ETA_INPUTS, PHI_INPUTS, GATE_INPUTS = 2, 4, 8, 4
"""Functions of what was drawn of the object already, for each head; of the pair, for the gate of its potentials."""


@dataclass(frozen=True)
class Widths:
    """Widths of the layers, in fours: of the sum over objects, the trunk, the heads, channels of pairs and triples."""

    element: int = 64
    trunk: int = 128
    head: int = 64
    pair: int = 12
    triple: int = 8
    gate: int = 16
    dropout: float = 0.0


class AutoregressiveNetwork(nn.Module):
    """Log density of encoded events: (event, number) -> (event,).

    Args:
        shape: slots and context.
        tables: quantiles of the encoder, shape (table, knot): the eta bins' centres follow from them.
        separation: of jets.
        muons: whether MET sees muons.
        widths: of the layers.
    """

    def __init__(
        self, shape: Shape, tables: Floats, *, separation: float, muons: bool, widths: Widths | None = None
    ) -> None:
        super().__init__()
        w = widths or Widths()
        self.shape, self.separation, self.muons, self.widths = shape, np.float32(separation), muons, w
        middle = (np.arange(BINS) + 0.5) / BINS
        centres = [from_uniform(middle, tables[ETA_TABLE + c]) for c in range(N_CLASSES)]
        self.centres = np.stack([np.stack([c, np.exp(c / 2)]) for c in centres]).astype(np.float32)
        n_state = STATE + shape.n_context
        self.element = nn.Sequential(
            nn.Linear(ELEMENT, w.element), nn.Hardswish(), nn.Linear(w.element, w.element), nn.Hardswish()
        )
        self.trunk = nn.ModuleList((nn.Linear(w.element + n_state, w.trunk), nn.Linear(w.trunk, w.trunk)))
        self.shared = nn.Linear(w.trunk, 4 * w.head)
        self.more = nn.ModuleList(nn.Linear(n, w.head, bias=False) for n in (MASS_INPUTS, ETA_INPUTS, PHI_INPUTS))
        self.bins = nn.ModuleList(nn.Linear(w.head, BINS) for _ in range(4))
        self.strength_eta, self.strength_phi = nn.Linear(w.head, w.pair), nn.Linear(w.head, w.pair)
        self.strength_triple = nn.Linear(w.head, w.triple)
        self.partner = nn.Linear(w.element, 2 * w.pair + w.triple)
        self.gate = nn.Sequential(nn.Linear(GATE_INPUTS, w.gate), nn.Hardswish(), nn.Linear(w.gate, w.pair))
        self.pair_eta = nn.Parameter(0.1 * torch.randn(w.pair, ETA_PAIR_KNOTS))
        self.pair_phi = nn.Parameter(0.1 * torch.randn(w.pair, PAIR_KNOTS))
        self.pair_missing = nn.Parameter(0.1 * torch.randn(w.pair, PAIR_KNOTS))
        self.triple = nn.Parameter(0.1 * torch.randn(w.triple, MASS_KNOTS))
        self.balance = nn.Linear(w.head, 4 * BALANCE_KNOTS)

    def forward(self, x: Tensor) -> Tensor:
        """Log density of every event, in the space of the places, without the constant of the bins' widths."""
        if self.training:
            x = self._flipped(x)
        rows = self.rows(x)
        return x.new_zeros(len(x)).index_add(0, rows.event, self._objects(rows))

    def rows(self, x: Tensor) -> _Rows:
        """The objects of encoded events in sequence."""
        return _Rows.of(self._slots(x), x[:, :HEAD], x[:, HEAD : HEAD + self.shape.n_context], self)

    def _slots(self, x: Tensor) -> Tensor:
        return x[:, HEAD + self.shape.n_context :].view(len(x), self.shape.n_slots + 1, PER_SLOT)

    def _flipped(self, x: Tensor) -> Tensor:
        """Mirror half of the events in eta, and half in phi: collisions of equal beams know neither side."""
        x = x.clone()
        slots = self._slots(x)
        eta, phi = (torch.rand(len(x), 1, device=x.device) < 0.5 for _ in range(2))
        slots[..., 1] = torch.where(eta, -slots[..., 1], slots[..., 1])
        slots[..., 6] = torch.where(eta, 1 - slots[..., 6], slots[..., 6])
        slots[..., 2] = torch.where(phi, -slots[..., 2], slots[..., 2])
        return x

    def _objects(self, rows: _Rows) -> Tensor:
        """Log density of each object given all before it, shape (object,)."""
        drawn = (torch.ones_like(rows.pt), rows.has_mass, rows.is_object, (~rows.is_first).to(rows.pt))
        logits = self.logits(rows)
        parts = [d * _picked(part, rows.places[:, i]) for i, (d, part) in enumerate(zip(drawn, logits, strict=True))]
        return torch.stack(parts).sum(0)

    def logits(self, rows: _Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of pT, mass, eta and phi of each object given all before it, shape (object, bin) each."""
        embedded = self.element(rows.element)
        before = rows.sums_before(embedded)
        hidden = torch.cat([before, rows.state], 1)
        for layer in self.trunk:
            hidden = self._activated(layer(hidden))
        heads = self.shared(hidden).split(self.widths.head, 1)
        pt, mass, eta, phi = (
            self._activated(h if more is None else h + self.more[more](inputs))
            for h, more, inputs in zip(heads, (None, 0, 1, 2), (None, *rows.inputs), strict=True)
        )
        one, two = rows.pairs()
        pair = self.widths.pair
        eta_partner, phi_partner, in_triple = self.partner(embedded).split([pair, pair, self.widths.triple], 1)
        in_eta = (rows.kind[one] != SOFT).nonzero()[:, 0]
        missing = (rows.kind[one] == SOFT).nonzero()[:, 0]
        eta_strength = self.strength_eta(eta)[one[in_eta]] * eta_partner[two[in_eta]]
        phi_strength = self.strength_phi(phi)[one] * phi_partner[two] * (1 + self.gate(rows.of_pairs(one, two)))
        phi_tables = phi_strength @ self.pair_phi
        phi_tables = phi_tables.index_add(0, missing, phi_strength[missing] @ (self.pair_missing - self.pair_phi))
        eta_pairs = _EtaPotential.apply(  # type: ignore[no-untyped-call]
            eta_strength @ self.pair_eta, rows, self.centres
        )
        phi_pairs = _PhiPotential.apply(  # type: ignore[no-untyped-call]
            phi_tables, self.balance(phi), rows, self.separation
        )
        jet, b_jet, other = rows.triples()
        triples = self.strength_triple(phi)[jet] * in_triple[b_jet] * in_triple[other]
        phi_triples = _TriplePotential.apply(triples @ self.triple, rows)  # type: ignore[no-untyped-call]
        made = [bins(head) for bins, head in zip(self.bins, (pt, mass, eta, phi), strict=True)]
        return made[0], made[1], made[2] + eta_pairs, made[3] + phi_pairs + phi_triples

    def _activated(self, hidden: Tensor) -> Tensor:
        return nn.functional.dropout(nn.functional.hardswish(hidden), self.widths.dropout, self.training)


def _picked(logits: Tensor, place: Tensor) -> Tensor:
    """Log probability of the bin of a place in (0, 1)."""
    index = (place * BINS).long().clamp(0, BINS - 1)
    return torch.log_softmax(logits, 1).gather(1, index[:, None])[:, 0]


def object_features(pt: Tensor, eta: Tensor, phi: Tensor, mass: Tensor) -> Tensor:
    """What the network sees of an object, shape (object, feature)."""
    px, py, pz = pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()
    return torch.stack(
        [
            (pt / 50).log(), eta / 2, phi.cos(), phi.sin(), (px / 50).asinh(), (py / 50).asinh(), (pz / 100).asinh(),
            ((mass + 0.5) / 10).log(),
        ],
        1,
    )  # fmt: skip


class _Rows:
    """The objects of a batch in sequence, event after event, and what is known before each of them."""

    n_events: int
    there: Tensor
    event: Tensor
    kind: Tensor
    place: Tensor
    pt: Tensor
    eta: Tensor
    phi: Tensor
    mass: Tensor
    objects: Tensor
    balance: Tensor
    visible: Tensor
    element: Tensor
    state: Tensor
    places: Tensor
    has_mass: Tensor
    is_object: Tensor
    is_first: Tensor
    inputs: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, slots: Tensor, counts: Tensor, context: Tensor, network: AutoregressiveNetwork) -> _Rows:
        """Lay the filled slots of a batch out."""
        rows, shape = cls(), network.shape
        kind, place = torch.from_numpy(shape.kind), torch.from_numpy(shape.place)
        counted = torch.cat([counts.long(), torch.ones(len(counts), 1, dtype=torch.int64)], 1)
        rows.there, rows.n_events = place < counted[:, kind], len(slots)
        rows.event, slot = rows.there.nonzero(as_tuple=True)
        rows.kind, rows.place = kind[slot], place[slot]
        flat = slots[rows.there]
        rows.pt, rows.eta, rows.phi, rows.mass = flat[:, 0], flat[:, 1], flat[:, 2], flat[:, 3].clamp_min(0)
        rows.places = torch.cat([flat[:, 4:7], (rows.phi[:, None] + torch.pi) / (2 * torch.pi)], 1)
        rows.has_mass = torch.from_numpy(HAS_MASS.astype(np.float32))[rows.kind]
        rows.is_object = (rows.kind != SOFT).to(rows.pt)
        rows.is_first = rows.first() == torch.arange(len(rows.event))
        rows._momenta(muons=network.muons)
        rows._fill(counted, context)
        return rows

    def _momenta(self, *, muons: bool) -> None:
        px, py = self.pt * self.phi.cos(), self.pt * self.phi.sin()
        pz = self.pt * self.eta.sinh()
        energy = (px * px + py * py + pz * pz + self.mass * self.mass).sqrt()
        muon = torch.from_numpy(IS_MUON.astype(np.float32))[self.kind]
        is_jet = torch.from_numpy(JET_OF_KIND.astype(np.float32))[self.kind]
        momenta = torch.stack([px, py, px * (1 - muon), py * (1 - muon), pz, energy, self.pt], 1)
        sums = self.sums_before(momenta)
        self.visible = sums[:, [0, 1, 4, 5, 6]]
        self.balance = sums[:, [0, 1, 2, 3] if muons else [2, 3, 0, 1]].contiguous()
        self.objects = torch.stack([self.pt, self.eta, self.phi, self.mass, px, py, pz, energy, is_jet], 1)

    def _fill(self, counts: Tensor, context: Tensor) -> None:
        features = object_features(self.pt, self.eta, self.phi, self.mass)
        one_hot = nn.functional.one_hot(self.kind, N_KINDS).to(features)
        place = self.place.to(features)[:, None] / 4
        self.element = torch.cat([features, one_hot[:, :SOFT], place], 1)
        previous = torch.cat([torch.zeros_like(features[:1]), features[:-1]]) * ~self.is_first[:, None]
        number = torch.arange(len(self.event)) - self.first()
        left = [(counts[self.event, self.kind] - self.place) / 3, place[:, 0], (self.place == 0).to(features)]
        left.append((counts.sum(1)[self.event] - number) / 5)
        self.state = torch.cat(
            [
                previous, (~self.is_first).to(features)[:, None], self._balance_features(), self._visible_features(),
                counts[self.event, :SOFT] / 3, torch.stack(left, 1), one_hot, context[self.event],
            ],
            1,
        )  # fmt: skip
        self.inputs = self._head_inputs(features, previous)

    def _balance_features(self) -> Tensor:
        sizes = [self.balance[:, 2 * i : 2 * i + 2].norm(dim=1, keepdim=True) for i in range(2)]
        return torch.cat([(self.balance / 50).asinh(), *[((size + 5) / 50).log() for size in sizes]], 1)

    def _visible_features(self) -> Tensor:
        px, py, pz, energy, ht = self.visible.unbind(1)
        mass = (energy * energy - px * px - py * py - pz * pz).clamp_min(0).sqrt()
        return torch.stack([(pz / 100).asinh(), ((mass + 10) / 100).log(), ((ht + 10) / 100).log()], 1)

    def _head_inputs(self, features: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pt, eta, mass = features[:, 0], features[:, 1], features[:, 7]
        sizes = [((self.balance[:, 2 * i : 2 * i + 2].norm(dim=1) + 5) / 50).log() for i in range(2)]
        for_mass = torch.stack([pt, pt * pt], 1)
        for_eta = torch.stack([pt, pt * pt, mass, eta * 0], 1)
        columns = [pt, pt * pt, mass, eta, eta * eta, pt - sizes[0], pt - sizes[1], eta - previous[:, 1]]
        return for_mass, for_eta, torch.stack(columns, 1)

    def first(self) -> Tensor:
        """Place of the first object of each object's event."""
        counts = torch.bincount(self.event, minlength=self.n_events)
        return (counts.cumsum(0) - counts)[self.event]

    def sums_before(self, values: Tensor) -> Tensor:
        """Sums over the objects of the event that come before each object, shape (object, value)."""
        padded = values.new_zeros((*self.there.shape, values.shape[1]))
        padded[self.there] = values
        return (padded.cumsum(1) - padded)[self.there]

    def first_partner(self) -> Tensor:
        """Place of the first object that makes a pair in eta with each object: none, itself, for soft momentum."""
        return torch.where(self.kind == SOFT, torch.arange(len(self.kind)), self.first())

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Every object with each of the earlier ones of its event, in order: places of both."""
        first = self.first()
        n = torch.arange(len(first)) - first
        one = torch.repeat_interleave(torch.arange(len(first)), n)
        start = (n.cumsum(0) - n)[one]
        return one, first[one] + torch.arange(len(one)) - start

    def of_pairs(self, one: Tensor, two: Tensor) -> Tensor:
        """What decides how much the mass of a pair says: how fast it changes with phi, shape (pair, input)."""
        first, second = (self.pt[one] / 50).log(), (self.pt[two] / 50).log()
        apart = (self.eta[one] - self.eta[two]).abs() / 2
        return torch.stack([first, second, apart, first * second], 1)

    def triples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every jet with each earlier b-jet and jet of its event, in order: places of all three."""
        one, two = self.pairs()
        kept = (self.objects[one, JET] == 1) & (self.objects[two, JET] == 2)
        one, two = one[kept], two[kept]
        n = self.place[one]
        jet, b_jet, start = (torch.repeat_interleave(at, n) for at in (one, two, one - n))
        return jet, b_jet, start + torch.arange(len(jet)) - torch.repeat_interleave(n.cumsum(0) - n, n)


class _EtaPotential(torch.autograd.Function):
    """Tables of pairs (pair, knot) to logits of eta (object, bin)."""

    @staticmethod
    def forward(ctx: Any, tables: Tensor, rows: _Rows, centres: Any) -> Tensor:
        which = CLASS_OF_KIND[rows.kind.numpy()]
        ctx.known = (rows.objects.numpy(), rows.first_partner().numpy(), centres, which)
        objects, first, *_ = ctx.known
        return torch.from_numpy(radial.eta_logits(objects, first, tables.detach().numpy(), centres, which))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        objects, first, centres, which = ctx.known
        n_pairs = int((np.arange(len(first)) - first).sum())
        return torch.from_numpy(
            radial.eta_gradients(objects, first, centres, which, grads[0].contiguous().numpy(), n_pairs)
        ), None, None  # fmt: skip


class _TriplePotential(torch.autograd.Function):
    """Tables of triples (triple, knot) to logits of phi (object, bin)."""

    @staticmethod
    def forward(ctx: Any, tables: Tensor, rows: _Rows) -> Tensor:
        ctx.known = (rows.objects.numpy(), rows.first().numpy(), len(tables))
        objects, first, _ = ctx.known
        return torch.from_numpy(radial.triple_logits(objects, first, tables.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        objects, first, n_triples = ctx.known
        return torch.from_numpy(radial.triple_gradients(objects, first, grads[0].contiguous().numpy(), n_triples)), None


class _PhiPotential(torch.autograd.Function):
    """Tables of pairs (pair, knot) and of the balance (object, knot) to logits of phi (object, bin)."""

    @staticmethod
    def forward(ctx: Any, tables: Tensor, balance: Tensor, rows: _Rows, separation: Any) -> Tensor:
        ctx.known = (rows.objects.numpy(), rows.first().numpy(), rows.balance.numpy())
        objects, first, sums = ctx.known
        out, open_part = radial.phi_logits(
            objects, first, tables.detach().numpy(), balance.detach().numpy(), sums, separation
        )
        return torch.from_numpy(out + np.log(np.maximum(open_part, 1e-6)))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        objects, first, sums = ctx.known
        n_pairs = int((np.arange(len(first)) - first).sum())
        made = radial.phi_gradients(objects, first, sums, grads[0].contiguous().numpy(), n_pairs)
        return (*(torch.from_numpy(part) for part in made), None, None)
