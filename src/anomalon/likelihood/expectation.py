"""Events expected in every bin as a function of signal strength and systematics, with first and second derivatives.

A sample of a channel (a row) has the yield f(alpha) h(alpha) in each of its bins: f is the product of its normalisation
factors, h the template with its shape variations. Background and signal of all bins of all channels stand in one list
of 2 * bin yields (the columns), in which a row is 0 outside of its channel and role. Factors are exponential in alpha
and shapes linear beyond one standard deviation; polynomials of degree six join the two sides, with continuous second
derivatives.
Ref: Cranmer et al., CERN-OPEN-2012-016, section 4.1; pyhf calls these codes 4 and 4p.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BACKGROUND, SIGNAL = 0, 1
"""Places of the two yields of a bin, each with a statistical error of its own."""


@dataclass(frozen=True)
class Expectation:
    """The templates of a likelihood.

    Attributes:
        nominal: shape (row, 2 * bin).
        norms: factors one standard deviation down and up, shape (2, alpha, row).
        shapes: change of the nominal yields one standard deviation down and up, shape (2, alpha, row, 2 * bin).
    """

    nominal: Floats
    norms: Floats
    shapes: Floats

    @property
    def n_bins(self) -> int:
        """Number of bins over all channels."""
        return int(self.nominal.shape[1] // 2)

    def yields(self, theta: Floats) -> Floats:
        """Background and signal for parameters of shape (set, 1 + alpha); shape (set, 2, bin)."""
        alpha = theta[:, 1:]
        factor = np.prod(self._factors(alpha)[0], axis=1)
        yields = (factor[:, :, None] * self._shape(alpha, _bend(alpha))).sum(axis=1).reshape(-1, 2, self.n_bins)
        yields[:, SIGNAL] *= theta[:, :1]
        return np.asarray(yields)

    def expand(self, theta: Floats) -> Expansion:
        """Yields with their derivatives."""
        return Expansion(self, theta)

    @cached_property
    def straight(self) -> Floats:
        """Part of the shape variations that is odd in alpha, shape (alpha, row, 2 * bin)."""
        return np.asarray(0.5 * (self.shapes[1] - self.shapes[0]))

    @cached_property
    def bent(self) -> Floats:
        """Part that is even in alpha, shape (alpha, row, 2 * bin)."""
        return np.asarray(0.5 * (self.shapes[1] + self.shapes[0]))

    @cached_property
    def _polynomial(self) -> Floats:
        """Coefficients of the normalisation factors between -1 and 1, from the first power; shape (6, alpha, row)."""
        down, up = self.norms
        log_down, log_up = np.log(down), np.log(up)
        at_ends = [up - 1, down - 1, log_up * up, -log_down * down, log_up**2 * up, log_down**2 * down]
        i = np.arange(1.0, 7.0)
        powers = [i**0, (-1.0) ** i, i, i * (-1.0) ** (i - 1), i * (i - 1), i * (i - 1) * (-1.0) ** i]
        return np.asarray(np.einsum("ij,jkr->ikr", np.linalg.inv(np.asarray(powers)), np.asarray(at_ends)))

    def _shape(self, alpha: Floats, bend: Floats) -> Floats:
        """Templates without their factors, shape (set, row, 2 * bin)."""
        size = self.nominal.size
        change = alpha @ self.straight.reshape(-1, size) + bend @ self.bent.reshape(-1, size)
        return np.asarray(self.nominal + change.reshape(-1, *self.nominal.shape))

    def _factors(self, alpha: Floats) -> tuple[Floats, Floats]:
        """Normalisation factors, and the exponents they have outside, both of shape (set, alpha, row)."""
        a = alpha[:, :, None]
        inner = np.clip(a, -1.0, 1.0)
        factor = np.zeros((len(a), *self.norms.shape[1:]))
        for coefficient in self._polynomial[::-1]:
            factor = (factor + coefficient) * inner
        exponent = np.where(a > 0, np.log(self.norms[1]), -np.log(self.norms[0]))
        return np.maximum(1.0 + factor, 1e-300) * np.exp((a - inner) * exponent), exponent

    def _factor_slopes(self, alpha: Floats) -> tuple[Floats, Floats, Floats]:
        """Product of the factors, shape (set, row); f' / f and f'' / f of each, shape (set, alpha, row)."""
        factor, exponent = self._factors(alpha)
        a = np.clip(alpha, -1.0, 1.0)[:, :, None]
        first, second = np.zeros_like(factor), np.zeros_like(factor)
        for power in range(6, 0, -1):
            first = first * a + power * self._polynomial[power - 1]
        for power in range(6, 1, -1):
            second = second * a + power * (power - 1) * self._polynomial[power - 1]
        inside = np.abs(alpha)[:, :, None] < 1
        slope = np.where(inside, first / factor, exponent)
        return np.prod(factor, axis=1), slope, np.where(inside, second / factor, exponent**2)


class Expansion:
    """Yields at parameters of shape (set, parameter), with derivatives.

    Attributes:
        yields: shape (set, 2, bin).
        slopes: their derivatives, shape (set, parameter, 2, bin).
    """

    def __init__(self, expectation: Expectation, theta: Floats):
        alpha, mu = theta[:, 1:], theta[:, 0]
        self._of, self._mu, self._bends = expectation, mu, _bend_slopes(alpha)
        self._factor, self._log_slope, self._curve = expectation._factor_slopes(alpha)
        self._rows = self._factor[:, :, None] * expectation._shape(alpha, _bend(alpha))
        self.yields = self._rows.sum(axis=1).reshape(len(theta), 2, -1)
        by_mu = np.zeros_like(self.yields[:, None])
        by_mu[:, 0, SIGNAL] = self.yields[:, SIGNAL]
        by_alpha = self._log_slope @ self._rows + self._shape_slopes()
        by_alpha = by_alpha.reshape(len(theta), -1, 2, expectation.n_bins)
        self._signal = by_alpha[:, :, SIGNAL].copy()
        self.yields[:, SIGNAL] *= mu[:, None]
        by_alpha[:, :, SIGNAL] *= mu[:, None, None]
        self.slopes = np.concatenate([by_mu, by_alpha], axis=1)

    def _shape_slopes(self) -> Floats:
        """Derivatives of the yields through the shapes, shape (set, alpha, 2 * bin)."""
        shape = (len(self._factor), -1, self._of.nominal.shape[1])
        odd, even = (
            (self._factor @ part.transpose(1, 0, 2).reshape(self._factor.shape[1], -1)).reshape(shape)
            for part in (self._of.straight, self._of.bent)
        )
        return np.asarray(odd + self._bends[0][:, :, None] * even)

    def curvature(self, weights: Floats) -> Floats:
        """Second derivatives of the sum of weights of shape (set, 2, bin) times yields, (set, parameter, parameter)."""
        scaled = weights.copy()
        scaled[:, SIGNAL] *= self._mu[:, None]
        scaled = scaled.reshape(len(weights), -1)
        rows = (self._rows @ scaled[:, :, None]).transpose(0, 2, 1)
        odd, even = (
            (scaled @ part.reshape(-1, scaled.shape[1]).T).reshape(self._log_slope.shape) * self._factor[:, None]
            for part in (self._of.straight, self._of.bent)
        )
        first, second = self._bends
        mixed = self._log_slope @ (odd + first[:, :, None] * even).transpose(0, 2, 1)
        inner = (self._log_slope * rows) @ self._log_slope.transpose(0, 2, 1) + mixed + mixed.transpose(0, 2, 1)
        alphas = np.arange(inner.shape[1])
        inner[:, alphas, alphas] += ((self._curve - self._log_slope**2) * rows + second[:, :, None] * even).sum(axis=2)
        cross = np.einsum("nb,nkb->nk", weights[:, SIGNAL], self._signal)[:, None]
        top = np.concatenate([np.zeros((len(weights), 1, 1)), cross], axis=2)
        return np.concatenate([top, np.concatenate([cross.transpose(0, 2, 1), inner], axis=2)], axis=1)


def _bend(alpha: Floats) -> Floats:
    """The even part of the interpolation of shapes, |alpha| beyond 1."""
    x = alpha**2
    return np.where(x < 1, x * (15.0 + x * (3.0 * x - 10.0)) / 8.0, np.abs(alpha))


def _bend_slopes(alpha: Floats) -> tuple[Floats, Floats]:
    """Its first and second derivative."""
    x, inside = np.minimum(alpha**2, 1.0), np.abs(alpha) < 1
    first = np.where(inside, alpha * (30.0 + x * (18.0 * x - 40.0)) / 8.0, np.sign(alpha))
    return first, np.where(inside, (30.0 + x * (90.0 * x - 120.0)) / 8.0, 0.0)
