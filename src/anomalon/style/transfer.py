"""Neural style transfer: a picture with the content of one and the style of another.

Gatys, Ecker, Bethge, arXiv:1508.06576. Content is the features of a layer, equation 1; style is the correlations of
the filters of some layers, their Gram matrices, equations 3 to 5. The picture itself is what L-BFGS changes.

Both losses are in units of what the other picture has: content 1 where the features are those of the style picture,
style 1 where the correlations are those of the content picture. So a ratio of 20:80 of style and content weighs two
numbers of like size, whatever the layers and their weights.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from anomalon.config import Settings
from anomalon.style.picture_weights import Pictures

Start = Literal["content", "noise", "style"]
_MEMORY = 20
"""Steps that L-BFGS remembers."""
_RANGE = 10.0
"""Loss per mean square of pixels outside of the range of colours: a tenth where they are a tenth of it away."""


class Layers(Settings):
    """Which layers tell content and style, such as ``conv3_1``."""

    content: tuple[str, ...] = Field(default=("conv3_2",), min_length=1)
    style: tuple[str, ...] = Field(default=("conv1_1", "conv2_1", "conv3_1"), min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len({*self.content}) < len(self.content) or len({*self.style}) < len(self.style):
            raise ValueError("a layer is named twice")
        return self


class Ratio(Settings):
    """Share of style in the loss; content has the rest.

    >>> Ratio.parse("20:80").style
    0.2
    """

    style: float = Field(ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(":")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts) or sum(map(int, parts)) != 100:
            raise ValueError(f"'{value}' is no ratio of style and content; write 20:80, which adds up to 100")
        return {"style": int(parts[0]) / 100}

    def __str__(self) -> str:
        style = round(100 * self.style)
        return f"{style}:{100 - style}"


class TransferSettings(Settings):
    """Settings of one transfer.

    Attributes:
        ratio: of style and content.
        start: the picture to begin with.
        layers: which ones tell content and style.
        iterations: of L-BFGS.
        seed: of the noise.
    """

    ratio: Ratio = Ratio(style=0.2)
    start: Start = "content"
    layers: Layers = Layers()
    iterations: int = Field(default=50, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("ratio", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return Ratio.model_validate(value) if isinstance(value, str) else value


class Transferred(Settings):
    """The losses of a generated picture, in the units of this module.

    Attributes:
        content: 0 for the content picture, 1 for the style picture.
        style: 1 for the content picture, 0 for the style picture.
    """

    content: float
    style: float


def transfer(
    network: Any, content: Pictures, style: Pictures, settings: TransferSettings
) -> tuple[Pictures, Transferred]:
    """Generate pictures, and tell their losses.

    Args:
        network: :class:`anomalon.networks.picture_features.PictureFeatures`; it is not changed.
        content: pictures, colours from 0 to 1, shape (picture, 3, height, width).
        style: pictures of the same shape.
        settings: ratio, start, layers.
    """
    losses = _Losses(network, torch.from_numpy(content), torch.from_numpy(style), settings.layers)
    starts = {"content": content, "style": style, "noise": _noise(content, settings.seed)}
    picture = torch.from_numpy(starts[settings.start].copy()).requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [picture], max_iter=settings.iterations, history_size=_MEMORY, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip
    share = settings.ratio.style

    def closure() -> Tensor:
        optimiser.zero_grad()
        of_content, of_style = losses(picture)
        # per pixel of order one: torch's L-BFGS forgets steps along which gradients change by less than 1e-10
        loss = picture.numel() * ((1 - share) * of_content + share * of_style + _RANGE * _outside(picture))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    generated = picture.detach().clamp(0.0, 1.0)
    with torch.no_grad():
        of_content, of_style = losses(generated)
    return generated.numpy(), Transferred(content=float(of_content), style=float(of_style))


class _Losses:
    """Content and style loss of pictures, each in units of what the other picture has."""

    def __init__(self, network: Any, content: Tensor, style: Tensor, layers: Layers) -> None:
        self.network, self.layers = network, layers
        with torch.no_grad():
            of_content, of_style = (network(picture, self._wanted) for picture in (content, style))
        self.content = {name: of_content[name] for name in layers.content}
        self.grams = {name: gram(of_style[name]) for name in layers.style}
        self.units = {name: _apart(of_style[name], self.content[name]) for name in layers.content}
        self.gram_units = {name: _apart(gram(of_content[name]), self.grams[name]) for name in layers.style}

    @property
    def _wanted(self) -> Collection[str]:
        return {*self.layers.content, *self.layers.style}

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        found = self.network(pictures, self._wanted)
        content = [_apart(found[name], self.content[name]) / self.units[name] for name in self.layers.content]
        style = [_apart(gram(found[name]), self.grams[name]) / self.gram_units[name] for name in self.layers.style]
        return torch.stack(content).mean(), torch.stack(style).mean()


def gram(features: Tensor) -> Tensor:
    """Correlations of the filters over the places of all pictures together, (filter, filter), equation 3.

    Divided by the number of places, so that it does not grow with the picture.

    >>> gram(torch.ones(2, 3, 4, 5)).tolist()[0]
    [1.0, 1.0, 1.0]
    """
    flat = features.transpose(0, 1).flatten(1)
    return flat @ flat.T / flat.shape[1]


def _apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum().clamp_min(torch.finfo(a.dtype).tiny)


def _outside(pictures: Tensor) -> Tensor:
    """How far pixels are outside of the range of colours, which they are cut to in the end: mean square."""
    return (pictures - pictures.clamp(0.0, 1.0)).square().mean()


def _noise(like: Pictures, seed: int) -> Pictures:
    return np.random.default_rng([seed, 6]).uniform(0.0, 1.0, like.shape).astype(np.float32)
