"""Compiled arithmetic beside NumPy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomalon.generation.arithmetic import KERNELS, dense, exponentials, hard_swish

RNG = np.random.default_rng(0)


def test_products_are_those_of_numpy() -> None:
    x, w, b = (RNG.normal(size=shape).astype(np.float32) for shape in ((12, 8), (8, 20), 20))
    out = np.zeros((12, 20), np.float32)
    dense(x, w, b, out, 9)
    np.testing.assert_allclose(out, x @ w + b, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 64])
def test_a_row_does_not_depend_on_the_others(rows: int) -> None:
    x, w, b = (RNG.normal(size=shape).astype(np.float32) for shape in ((68, 104), (104, 128), 128))
    whole, some = np.zeros((68, 128), np.float32), np.zeros((68, 128), np.float32)
    dense(x, w, b, whole, 64)
    dense(x[64 - rows :].copy(), w, b, some, rows)
    np.testing.assert_array_equal(some[:rows], whole[64 - rows : 64])


def test_exponentials_are_exact_to_a_millionth() -> None:
    x = np.linspace(-20, 0, 64).astype(np.float32)
    made = x.copy()
    exponentials(made, np.zeros(64, np.int32))
    np.testing.assert_allclose(made, np.exp(x.astype(float)), rtol=3e-6)


def test_hard_swish_is_that_of_torch() -> None:
    import torch  # noqa: PLC0415 - the only test here that needs it

    x = np.linspace(-5, 5, 32).astype(np.float32)[None]
    made = x.copy()
    hard_swish(made, 1)
    np.testing.assert_allclose(made, torch.nn.functional.hardswish(torch.from_numpy(x)).numpy(), atol=1e-6)


def test_what_is_kept_of_a_compilation_is_that_of_all_files_it_was_made_of(tmp_path: Path) -> None:
    # numba itself looks at the function's own file only: a constant of another file would stay what it was
    folder = tmp_path / "kernels"
    folder.mkdir()
    names = [path.name for path in KERNELS]
    for path in KERNELS:
        (folder / path.name).write_text("")
    source = Path(str(KERNELS[0])).read_text()
    (folder / "arithmetic.py").write_text(source)
    (folder / "heads.py").write_text(
        "from arithmetic import compiled\nfrom radial import SIZE\n\n@compiled\ndef size():\n    return SIZE\n"
    )
    assert {"arithmetic.py", "heads.py", "radial.py"} <= set(names)
    found = []
    for value in (1, 2):
        (folder / "radial.py").write_text(f"SIZE = {value}\n")
        made = subprocess.run(
            [sys.executable, "-c", "import heads; print(heads.size())"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(int(made.stdout))
    assert found == [1, 2]
