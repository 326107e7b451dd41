"""Checkpoints: the tensors of a training in one safetensors file, its numbers as JSON in the header. Never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anomalon.errors import ModelFileError

State = dict[str, Tensor]


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write beside the final name, then rename: a kill leaves the previous checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, temporary, metadata=dict(metadata))
    temporary.replace(path)


def read_checkpoint(path: Path) -> tuple[State, dict[str, str]]:
    """Tensors and metadata of a checkpoint.

    Raises:
        ModelFileError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: checkpoint is damaged ({error}); remove it, or do not resume") from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> State:
    """State of an optimiser as tensors named ``parameter/quantity``."""
    states = optimizer.state_dict()["state"]
    return {f"{index}/{key}": tensor for index, state in states.items() for key, tensor in state.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave."""
    state: dict[int, State] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def named(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    """Tensors with a prefix before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    """The tensors with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
