"""A variational autoencoder of a set of objects: what it codes does not depend on the order of the objects in it.

Deep sets (Zaheer et al., arXiv:1703.06114): every object is mapped by one network and the images are added up. Or a
transformer (Vaswani et al., arXiv:1706.03762), in which objects look at each other first. An object is a token: its
numbers, its kind, and nothing of what is missing. The decoder gives back slots, which objects fill by decreasing pT.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anomalon.networks.dense import activation_layer, dense_stack
from anomalon.networks.vae import LARGEST_LOG_VARIANCE

_OBJECT = re.compile(r"(?P<kind>[A-Za-z]+)(?P<rank>\d+)_(?P<what>\w+)")
_HEADS = 4


@dataclass(frozen=True)
class Slots:
    """Which columns belong to which object.

    Attributes:
        columns: position of each number of each slot, -1 where it has none, (slot, number).
        kinds: of each slot.
        alone: columns of no object.

    >>> slots = Slots.of(("MET_pt", "jet1_pt", "jet1_eta", "mu1_pt"))
    >>> slots.columns, slots.kinds, slots.alone
    (((1, 2), (3, -1)), (0, 1), (0,))
    """

    columns: tuple[tuple[int, ...], ...]
    kinds: tuple[int, ...]
    alone: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Slots:
        """Read the names of the columns: ``jet2_pt`` is the pT of the second jet."""
        found = {k: match for k, name in enumerate(names) if (match := _OBJECT.fullmatch(name))}
        what = [*dict.fromkeys(match["what"] for match in found.values())]
        kinds = [*dict.fromkeys(match["kind"] for match in found.values())]
        slots: dict[tuple[str, str], list[int]] = {}
        for k, match in found.items():
            slots.setdefault((match["kind"], match["rank"]), [-1] * len(what))[what.index(match["what"])] = k
        alone = tuple(k for k in range(len(names)) if k not in found)
        return cls(tuple(map(tuple, slots.values())), tuple(kinds.index(kind) for kind, _ in slots), alone)


class SetAutoencoder(nn.Module):
    """values and presence of columns - objects - (mean, log variance) - code - values and presence of columns.

    Args:
        names: of the columns.
        width: of the objects' images.
        code: width of the code.
        attention: number of transformer layers; 0 makes deep sets.

    Shapes: (event, column), (event, column) -> values (event, column), logits of presence (event, column), and mean and
    log variance (event, code).

    >>> network = SetAutoencoder(("MET_pt", "jet1_pt", "jet2_pt"), width=8, code=2, attention=0)
    >>> [tuple(part.shape) for part in network(torch.zeros(5, 3), torch.ones(5, 3))]
    [(5, 3), (5, 3), (5, 2), (5, 2)]
    """

    columns: Tensor
    kinds: Tensor
    alone: Tensor

    def __init__(self, names: Sequence[str], *, width: int, code: int, attention: int) -> None:
        super().__init__()
        slots = Slots.of(names)
        n, per_slot = len(names), max((len(row) for row in slots.columns), default=1)
        self.register_buffer("columns", torch.tensor(slots.columns, dtype=torch.long).reshape(-1, per_slot))
        self.register_buffer("kinds", torch.tensor(slots.kinds, dtype=torch.long))
        self.register_buffer("alone", torch.tensor(slots.alone, dtype=torch.long))
        self.kind = nn.Embedding(max(slots.kinds, default=0) + 1, width)
        self.object = nn.Linear(2 * per_slot, width)
        self.event = dense_stack([2 * len(slots.alone) + 1, width, width], ["silu", "silu"])
        self.each = nn.Sequential(activation_layer("silu"), *dense_stack([width, width, width], ["silu", "silu"]))
        self.attend = _transformer(width, attention) if attention else None
        self.after = dense_stack([2 * width, width], ["silu"])
        self.mean, self.log_variance = nn.Linear(width, code), nn.Linear(width, code)
        self.decoder = dense_stack([code, width, width, 2 * n], ["silu", "silu", "linear"])

    def posterior(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (event, code) of the code."""
        h = self.after(self._pooled(x * present, present))
        return self.mean(h), self.log_variance(h).clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)

    def _pooled(self, x: Tensor, present: Tensor) -> Tensor:
        """Image of what belongs to no object, and the sum of the images of the objects, (event, 2 width)."""
        one = torch.ones_like(x[:, :1])  # where every column is of an object, something is left to look at
        event: Tensor = self.event(torch.cat([x[:, self.alone], present[:, self.alone], one], dim=1))
        if not len(self.columns):
            return torch.cat([event, torch.zeros_like(event)], dim=1)
        known = (self.columns >= 0).to(x.dtype)
        values, there = (part[:, self.columns.clamp(min=0)] * known for part in (x, present))
        exists = there.amax(dim=2)
        tokens = self.each(self.object(torch.cat([values, there], dim=2)) + self.kind(self.kinds))
        if self.attend is not None:
            # the event itself is a token, too: one without objects has something to look at
            padding = torch.cat([torch.zeros_like(exists[:, :1]), 1.0 - exists], dim=1).bool()
            tokens = self.attend(torch.cat([event[:, None], tokens], dim=1), src_key_padding_mask=padding)[:, 1:]
        return torch.cat([event, (tokens * exists[..., None]).sum(dim=1)], dim=1)

    def decode(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Values and logits of presence (event, column) from a code."""
        values, logits = self.decoder(code).chunk(2, dim=1)
        return values, logits

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values, logits of presence, mean and log variance; the code is drawn, as in the plain VAE."""
        mean, log_variance = self.posterior(x, present)
        generator = None if self.training else torch.Generator(mean.device).manual_seed(0)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        return *self.decode(mean + (0.5 * log_variance).exp() * noise), mean, log_variance


def _transformer(width: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        width, _HEADS, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
