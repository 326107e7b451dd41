"""Significance of an excess over an expected background: closed forms that stay finite everywhere.

With s signal and b background events expected, and b known to sigma_b:

- s / sqrt(b), the limit of small s / b;
- Asimov: Z = sqrt(2 ((s + b) ln(1 + s / b) - s)). Ref: Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727, eq. 97;
- with sigma_b: Z = sqrt(2 [(s + b) ln((s + b)(b + sigma_b^2) / (b^2 + (s + b) sigma_b^2))
  - (b^2 / sigma_b^2) ln(1 + sigma_b^2 s / (b (b + sigma_b^2)))]).
  Ref: Cowan, "Discovery sensitivity for a counting experiment with background uncertainty" (2012), eq. 20.

Written like that they cancel: with x = s / b and r = sigma_b^2 / b everything is computed from differences of small
numbers instead, so that s / b = 1e-12 and sigma_b = 1e-12 have as many digits as s = b.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy.special import xlog1py

from anomalon.errors import InvalidEventsError

Floats = npt.NDArray[np.float64]

_SERIES = 1e-5
"""Relative signals below this use the first terms of a series, where all digits would cancel."""
_LARGEST = 1e300
"""Relative signals above this are not told apart: their products would overflow."""


def asimov_significance(
    s: npt.ArrayLike, b: npt.ArrayLike, sigma_b: npt.ArrayLike = 0.0
) -> float | npt.NDArray[np.float64]:
    """Median discovery significance of a counting experiment, in standard deviations.

    Args:
        s: expected signal, any shape; s <= 0 gives 0.
        b: expected background, broadcast against s; b <= 0 gives 0 and a warning that names the bin.
        sigma_b: absolute uncertainty of b, >= 0, broadcast as well.

    Returns:
        A float for three numbers, else an array of the common shape; finite everywhere.

    Raises:
        InvalidEventsError: a value is NaN or infinite, or an uncertainty is negative.

    Ref: arXiv:1007.1727, eq. 97; with an uncertainty Cowan (2012), eq. 20.

    >>> round(asimov_significance(5, 100), 3), round(asimov_significance(5, 100, 1e-8), 3)
    (0.496, 0.496)
    >>> asimov_significance([10, 10], [100, 100], [0, 10]).round(2).tolist()
    [0.98, 0.69]
    """
    signal, background, sigma = _checked(s, b, sigma_b)
    usable = _usable(signal, background)
    safe = np.where(usable, background, 1.0)
    with np.errstate(over="ignore"):
        x = np.minimum(np.where(usable, signal, 0.0) / safe, _LARGEST)
        z = np.sqrt(2.0 * safe) * np.sqrt(np.maximum(_asimov_term(x, sigma / safe * sigma), 0.0))
    return _plain(z)


def simple_significance(s: npt.ArrayLike, b: npt.ArrayLike) -> float | npt.NDArray[np.float64]:
    """S / sqrt(b), with the conventions of :func:`asimov_significance`; too large where s is not far below b.

    >>> simple_significance(10, 100), simple_significance(0, 100)
    (1.0, 0.0)
    """
    signal, background, _ = _checked(s, b, 0.0)
    usable = _usable(signal, background)
    return _plain(
        np.divide(signal, np.sqrt(np.where(usable, background, 1.0)), out=np.zeros(usable.shape), where=usable)
    )


def _asimov_term(x: Floats, r: Floats) -> Floats:
    """Z^2 / (2 b) for x = s / b and r = sigma_b^2 / b.

    The logarithms are ln(1 + x / (1 + r (1 + x))) and ln(1 + y) with y = r x / (1 + r); the second, divided by r,
    tends to x as r -> 0. To third order in x all but x^2 / (2 (1 + r)) (1 - x (1 + 2 r) / (3 (1 + r))) cancels.
    An uncertainty so large that its square overflows leaves no significance.
    """
    finite = np.isfinite(r)
    r = np.where(finite, r, 0.0)
    first = xlog1py(1.0 + x, x / (1.0 + r + r * x))
    y = r * (x / (1.0 + r))
    second = x / (1.0 + r) * np.divide(np.log1p(y), y, out=np.ones(y.shape), where=y > 0)
    series = x / (1.0 + r) * x / 2.0 * (1.0 - x * (1.0 + 2.0 * r) / (3.0 * (1.0 + r)))
    return np.where(finite, np.where(x < _SERIES, series, first - second), 0.0)


def _checked(*values: npt.ArrayLike) -> list[Floats]:
    """The three arrays in their common shape, signal, background and uncertainty."""
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    for name, array in zip(("s", "b", "sigma_b"), arrays, strict=True):
        bad = ~np.isfinite(array) | ((array < 0) if name == "sigma_b" else False)
        if bad.any():
            raise InvalidEventsError(
                f"{name} = {array[bad].flat[0]:g} at {_place(bad)}: expected a finite number"
                + (" of at least 0" if name == "sigma_b" else "")
            )
    return list(np.broadcast_arrays(*arrays))


def _usable(signal: Floats, background: Floats) -> npt.NDArray[np.bool_]:
    """Bins with signal and background; those with signal alone are named in a warning: no significance is known."""
    empty = background <= 0
    if empty.any():
        warnings.warn(
            f"background {background[empty].flat[0]:g} at {_place(empty)}: no significance is defined there, 0 is given"
            + (f" ({int(empty.sum())} such bins)" if empty.sum() > 1 else ""),
            RuntimeWarning,
            stacklevel=3,
        )
    return np.asarray(~empty & (signal > 0), dtype=np.bool_)


def _place(where: npt.NDArray[np.bool_]) -> str:
    """The first place of a mask in words."""
    return "bin " + ", ".join(str(i) for i in np.argwhere(where)[0]) if where.ndim else "the only bin"


def _plain(z: Floats) -> float | Floats:
    return float(z) if z.ndim == 0 else z
