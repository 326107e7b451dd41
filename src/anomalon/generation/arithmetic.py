"""Compiled arithmetic for small networks on one thread: matrix products, activations and exponentials.

A row's result never depends on the other rows, bit by bit: rows are taken four at a time, always by the same code. So
an event comes out the same in whatever batch it is made, which BLAS does not promise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import njit

LOG2_E = np.float32(1.4426950408889634)
# 2^f on [0, 1), to 2e-7.
_P1, _P2, _P3 = np.float32(0.6931472), np.float32(0.24022721), np.float32(0.055495936)
_P4, _P5, _P6 = np.float32(0.0096524395), np.float32(0.0012689357), np.float32(0.00020829197)

Function = TypeVar("Function", bound=Callable[..., Any])


KERNELS = tuple(
    Path(__file__).with_name(f"{name}.py") for name in ("arithmetic", "heads", "quantiles", "radial", "sampler")
)
"""Files whose loops and constants are compiled into each other."""
_VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in KERNELS)).hexdigest()


def compiled(function: Function) -> Function:
    """Compile a loop, for use without Python on numbers that are finite; products and sums are fused.

    Numba keeps what it compiled for as long as the function's own file stays as it is; what the function takes from
    other files would stay old. So what is kept belongs to the contents of all :data:`KERNELS`.
    """
    fast = {"contract", "nsz", "nnan", "ninf"}
    made: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath=fast)(function)
    kept = getattr(made._cache, "_cache_file", None)  # there is none where no folder can be written
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, _VERSION)
    return made  # type: ignore[no-any-return]


@compiled
def dense(x: Any, weights: Any, bias: Any, out: Any, rows: Any) -> None:
    """``out = x @ weights + bias`` for the first ``rows`` rows and up to three beyond; inputs in multiples of four."""
    n_inputs, n_outputs = weights.shape
    for r in range(0, rows, 4):
        o0, o1, o2, o3 = out[r], out[r + 1], out[r + 2], out[r + 3]
        for n in range(n_outputs):
            o0[n] = bias[n]
            o1[n] = bias[n]
            o2[n] = bias[n]
            o3[n] = bias[n]
        for k in range(0, n_inputs, 4):
            _four_inputs(x, weights, out, r, k)


@compiled
def _four_inputs(x: Any, weights: Any, out: Any, r: Any, k: Any) -> None:
    """Add what inputs k to k + 3 give to the outputs of rows r to r + 3: the block that stays in registers."""
    o0, o1, o2, o3 = out[r], out[r + 1], out[r + 2], out[r + 3]
    w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
    a0, a1, a2, a3 = x[r, k], x[r, k + 1], x[r, k + 2], x[r, k + 3]
    b0, b1, b2, b3 = x[r + 1, k], x[r + 1, k + 1], x[r + 1, k + 2], x[r + 1, k + 3]
    c0, c1, c2, c3 = x[r + 2, k], x[r + 2, k + 1], x[r + 2, k + 2], x[r + 2, k + 3]
    d0, d1, d2, d3 = x[r + 3, k], x[r + 3, k + 1], x[r + 3, k + 2], x[r + 3, k + 3]
    for n in range(weights.shape[1]):
        v0, v1, v2, v3 = w0[n], w1[n], w2[n], w3[n]
        o0[n] = o0[n] + a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3
        o1[n] = o1[n] + b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3
        o2[n] = o2[n] + c0 * v0 + c1 * v1 + c2 * v2 + c3 * v3
        o3[n] = o3[n] + d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3


@compiled
def hard_swish(x: Any, rows: Any) -> None:
    """``x clip(x / 6 + 1/2, 0, 1)`` in place: smooth enough, and without an exponential."""
    for r in range(rows):
        row = x[r]
        for n in range(len(row)):
            gate = min(max(row[n] * np.float32(1 / 6) + np.float32(0.5), np.float32(0.0)), np.float32(1.0))
            row[n] = row[n] * gate


@compiled
def exponentials(x: Any, bits: Any) -> None:
    """``exp(x)`` in place for x <= 0; ``bits`` is an int32 buffer of the same length.

    2^(i + f) = 2^i 2^f: the integer goes into the exponent's bits, the rest through a polynomial.
    """
    scale = bits.view(np.float32)
    for n in range(len(x)):
        t = max(x[n] * LOG2_E, np.float32(-126.0))
        whole = np.floor(t)
        f = t - whole
        bits[n] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        x[n] = np.float32(1.0) + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6)))))
    for n in range(len(x)):
        x[n] *= scale[n]


@compiled
def asinh(x: Any) -> Any:
    """``asinh(x)`` in float32, in a third of the time of the library's."""
    size = abs(x)
    made = np.float32(math.log(size + np.float32(math.sqrt(size * size + np.float32(1.0)))))
    return made if x >= 0 else -made


@compiled
def copy_part(row: Any, start: Any, out: Any) -> None:
    """``out = row[start : start + len(out)]``, without the slices that take longer than the copying."""
    for n in range(len(out)):
        out[n] = row[start + n]
