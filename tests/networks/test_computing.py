"""Threads and blocks around the use of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from anomalon.networks.computing import FEWEST_PER_BLOCK, in_blocks


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def wide() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 4096)


@pytest.mark.parametrize("n", [0, 1, FEWEST_PER_BLOCK, 5 * FEWEST_PER_BLOCK + 1])
def test_blocks_hold_every_event_once_and_in_order(n: int, threads: int) -> None:
    x = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    blocks = in_blocks(wide(), lambda part: part.numpy().copy(), x)
    assert all(0 < len(block) <= FEWEST_PER_BLOCK for block in blocks)
    np.testing.assert_array_equal(np.concatenate([*blocks, x[:0]]), x)


def test_each_block_has_one_thread_and_follows_no_gradient(threads: int) -> None:
    module, x = wide(), np.zeros((4 * FEWEST_PER_BLOCK, 3), dtype=np.float32)
    seen = in_blocks(module, lambda part: (torch.get_num_threads(), module(part).requires_grad), x)
    assert seen == [(1, False)] * 4
    assert torch.get_num_threads() == threads


def test_the_number_of_threads_comes_back_after_an_error(threads: int) -> None:
    def broken(part: torch.Tensor) -> None:
        raise RuntimeError(f"{len(part)} events")

    with pytest.raises(RuntimeError, match="events"):
        in_blocks(wide(), broken, np.zeros((4 * FEWEST_PER_BLOCK, 3), dtype=np.float32))
    assert torch.get_num_threads() == threads
