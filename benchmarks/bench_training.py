"""Training samples/s of the loop, beside a DataLoader loop, a bare loop and, where installed, Lightning's Trainer.

The same network, optimiser, batch size and events everywhere, on one thread; validation, checkpoints and progress are
off. The loops take turns, so that a busy machine disturbs all alike, and the median of each is taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from anomalon.models.autoencoder import AutoencoderSettings
from anomalon.models.detector import DetectorSettings
from anomalon.networks.dense import DenseAutoencoder
from anomalon.training import TrainingSettings, train

BATCH = 1024
EPOCHS = 3
ROUNDS = 5
TINY = {"n_inputs": 5, "hidden": (64, 32), "code": 16, "activation": "selu", "batch_norm": True}
FRETTE2023 = AutoencoderSettings.model_validate(DetectorSettings.parse("frette2023-ae-large").scorer.model_dump())
LARGE = {
    "n_inputs": 529,
    "hidden": FRETTE2023.hidden,
    "code": FRETTE2023.code,
    "activation": FRETTE2023.acting(code=FRETTE2023.code_activation),
}
EVENTS = {"tiny": 65_536, "frette2023-ae-large": 8_192}

Values = np.ndarray[Any, np.dtype[np.float32]]
TrainingLoop = Callable[[nn.Module, Values], None]


def run() -> list[dict[str, Any]]:
    """Ratios of samples per second, ours to each peer's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for name, shape in (("tiny", TINY), ("frette2023-ae-large", LARGE)) for row in compare(name, shape)]
    finally:
        torch.set_num_threads(threads)


def compare(name: str, shape: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of one network."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(EVENTS[name], shape["n_inputs"])).astype(np.float32)
    speeds = measure({"ours": ours, **peers()}, shape, values)
    return [
        {
            "name": f"training, {name} autoencoder, batch {BATCH}",
            "ours": speeds["ours"],
            "peer": speed,
            "ratio": speeds["ours"] / speed,
            "unit": "samples/s",
            "peer_name": peer,
        }
        for peer, speed in speeds.items()
        if peer != "ours"
    ]


def peers() -> dict[str, TrainingLoop]:
    """Loops to compare with."""
    loops: dict[str, TrainingLoop] = {"DataLoader loop": with_dataloader, "bare loop": bare}
    try:
        import lightning  # noqa: F401, PLC0415 - optional
    except ImportError:
        return loops
    return {**loops, "Lightning Trainer": with_lightning}


def measure(loops: dict[str, TrainingLoop], shape: dict[str, Any], values: Values) -> dict[str, float]:
    """Median samples per second of each loop, taking turns after one round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS + 1):
        for name, loop in loops.items():
            torch.manual_seed(0)
            module = DenseAutoencoder(**shape)
            start = time.perf_counter()
            loop(module, values)
            seconds[name].append(time.perf_counter() - start)
    return {name: EPOCHS * len(values) / statistics.median(spent[1:]) for name, spent in seconds.items()}


def loss(module: nn.Module, x: Tensor) -> Tensor:
    """Squared error per event."""
    return ((module(x) - x) ** 2).mean(dim=1)


def ours(module: nn.Module, values: Values) -> None:
    """Our loop, its start included."""
    train(module, loss, batches=values, settings=TrainingSettings(epochs=EPOCHS, batch_size=BATCH))


def steps(module: nn.Module, batches: Callable[[], Iterable[Any]]) -> None:
    """Plain steps of fused AdamW."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)
    module.train()
    for _ in range(EPOCHS):
        for (x,) in batches():
            optimizer.zero_grad(set_to_none=True)
            loss(module, x).mean().backward()
            optimizer.step()


def with_dataloader(module: nn.Module, values: Values) -> None:
    """Batches from a DataLoader, as tutorials write it."""
    loader = DataLoader(TensorDataset(torch.from_numpy(values)), batch_size=BATCH, shuffle=True)
    steps(module, lambda: loader)


def bare(module: nn.Module, values: Values) -> None:
    """Slices from memory, with nothing around it."""
    x = torch.from_numpy(values)
    steps(module, lambda: ((x[index],) for index in torch.randperm(len(x)).split(BATCH)))


def with_lightning(module: nn.Module, values: Values) -> None:
    """Lightning's Trainer with everything optional off."""
    import lightning  # noqa: PLC0415 - optional

    class Wrapped(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return loss(self.module, batch[0]).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.module.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)

    loader = DataLoader(TensorDataset(torch.from_numpy(values)), batch_size=BATCH, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Wrapped(), loader)
