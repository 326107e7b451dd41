"""Weights of the network that looks at pictures: random, trained here on pictures of events, or from a user's file.

Nothing is ever downloaded, and a file is read as safetensors, which holds numbers alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.errors import ModelFileError

Pictures = npt.NDArray[np.float32]
"""Colours from 0 to 1, shape (picture, 3, height, width)."""

_RATE = 2e-3


class FeatureSettings(Settings):
    """The network that looks at pictures.

    Attributes:
        weights: ``random`` ones of the seed; ``trained`` to tell pieces of biased from pieces of unbiased pictures;
            ``file``, those of a safetensors file.
        file: its weights and biases, layer by layer in the order of their names, of 3 x 3 convolutions.
        widths: filters of the layers of each block; those of VGG-19 are 64, 128, 256, 512, 512.
        depths: layers of each block; those of VGG-19 are 2, 2, 4, 4, 4.
        steps: of the training.
        batch_size: pieces of each kind in a step of the training.
        piece: blocks of a piece, down and across.
    """

    weights: Literal["random", "trained", "file"] = "random"
    file: Path | None = None
    widths: tuple[int, ...] = Field(default=(16, 32, 64), min_length=1)
    depths: tuple[int, ...] = Field(default=(2, 2, 2), min_length=1)
    steps: int = Field(default=400, ge=1)
    batch_size: int = Field(default=8, ge=1)
    piece: tuple[int, int] = (4, 5)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.widths) != len(self.depths) or min(*self.widths, *self.depths) < 1:
            raise ValueError(f"widths {self.widths} and depths {self.depths}: give one of each per block, 1 at least")
        if (self.weights == "file") != (self.file is not None):
            raise ValueError("give file: a safetensors file with weights: file, and only then")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers."""
        from anomalon.networks.picture_features import layer_names  # noqa: PLC0415 - torch is slow to import

        return layer_names(self.depths)


class Training(Settings):
    """How well the trained network tells pieces of pictures.

    Attributes:
        loss: mean binary cross-entropy of the last tenth of the steps; ln 2 where it cannot.
        accuracy: of the same steps.
    """

    loss: float
    accuracy: float


def features_of(
    settings: FeatureSettings, unbiased: Pictures, biased: Pictures, *, block: tuple[int, int], seed: int
) -> tuple[Any, Training | None]:
    """The network with its weights, scaled to a mean activation of 1 on the biased pictures; and its training.

    Args:
        settings: of the network.
        unbiased: pictures of the one kind, from which ``trained`` weights learn.
        biased: of the other.
        block: height and width of the block of an event, in pixels.
        seed: of weights and training.

    Raises:
        ModelFileError: the file is damaged, or holds the weights of another network.
    """
    import torch  # noqa: PLC0415 - slow to import

    from anomalon.networks.picture_features import PictureFeatures  # noqa: PLC0415

    training = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PictureFeatures(settings.widths, settings.depths)
        if settings.file is None:
            network.spread(torch.from_numpy(biased))
        else:
            _fill(network, settings.file)
        if settings.weights == "trained":
            training = _train(network, (unbiased, biased), settings, block, np.random.default_rng([seed, 5]))
    network.normalise(torch.from_numpy(biased))
    return network.requires_grad_(False), training


def _train(
    network: Any, kinds: tuple[Pictures, Pictures], settings: FeatureSettings, block: tuple[int, int], rng: Any
) -> Training:
    import torch  # noqa: PLC0415

    from anomalon.networks.picture_features import PictureClassifier  # noqa: PLC0415

    model = PictureClassifier(network)
    optimiser = torch.optim.Adam(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    n, size = settings.batch_size, (settings.piece[0] * block[0], settings.piece[1] * block[1])
    labels = torch.repeat_interleave(torch.tensor([0.0, 1.0]), n)
    losses, right = [], []
    for _ in range(settings.steps):
        pieces = np.concatenate([_pieces(pictures, size, n, block=block, rng=rng) for pictures in kinds])
        odds = model(torch.from_numpy(pieces))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        right.append(float(((odds > 0) == (labels > 0.5)).float().mean()))
    last = max(settings.steps // 10, 1)
    return Training(loss=float(np.mean(losses[-last:])), accuracy=float(np.mean(right[-last:])))


def _pieces(pictures: Pictures, size: tuple[int, int], n: int, *, block: tuple[int, int], rng: Any) -> Pictures:
    """Random pieces of so many pixels that begin with a block, shape (piece, 3, height, width)."""
    (height, width), (down, across) = size, block
    which = rng.integers(len(pictures), size=n)
    tops = down * rng.integers((pictures.shape[2] - height) // down + 1, size=n)
    lefts = across * rng.integers((pictures.shape[3] - width) // across + 1, size=n)
    cut = [pictures[i, :, y : y + height, x : x + width] for i, y, x in zip(which, tops, lefts, strict=True)]
    return np.stack(cut)


def _fill(network: Any, file: Path) -> None:
    """Put the tensors of a file into the layers, one after the other in the order of their names."""
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{file}: cannot be read as safetensors ({' '.join(str(error).split())})") from None
    for what, plural, n_dims in (("weight", "weights", 4), ("bias", "biases", 1)):
        found = [tensors[name] for name in sorted(tensors, key=_natural) if tensors[name].ndim == n_dims]
        wanted = [tuple(getattr(layer, what).shape) for layer in network.filters]
        shapes = [tuple(tensor.shape) for tensor in found]
        if shapes[: len(wanted)] != wanted:
            raise ModelFileError(
                f"{file}: its tensors of {n_dims} dimensions have the shapes {_few(shapes)}, the {plural} of this "
                f"network {_few(wanted)}; set widths and depths to those of the file"
            )
        state = {f"layers.{i}.{what}": tensor for i, tensor in enumerate(found[: len(wanted)])}
        network.load_state_dict(state, strict=False)


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that orders ``layer2`` before ``layer10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _few(shapes: list[tuple[int, ...]]) -> str:
    shown = ", ".join(str(shape) for shape in shapes[:3])
    return f"{shown}, ... ({len(shapes)})" if len(shapes) > 3 else (shown or "none")
