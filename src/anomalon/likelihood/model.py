"""The likelihood of a workspace, evaluated for many data sets at a time, with its gradient and curvature.

HistFactory models made of normalisation and shape variations and of statistical errors of the templates: in each bin

    nu = gamma_b t_b(alpha) + gamma_s mu t_s(alpha), with t of :mod:`~anomalon.likelihood.expectation`.

Data are counts and auxiliary measurements: Poisson(n | nu) prod N(a | alpha, 1) prod N(c | gamma, delta). Ref: Cranmer
et al., CERN-OPEN-2012-016, sections 4.1 and 5. pyhf evaluates the same function; here it is written for batches.

The gammas need no minimiser. At given mu and alpha a bin has dL/dgamma_j = 0 for
gamma_j = c_j - delta_j^2 t_j (1 - n / nu) with t the two yields, so that with V = sum (delta_j t_j)^2

    nu^2 - (sum c_j t_j - V) nu - V n = 0.

What remains has few parameters. With r = 1 - n / nu, and -ln L minimised over the gammas, its second derivatives are
w u u^T - r^2 sum_j delta_j^2 dt_j dt_j^T + r sum_j gamma_j d^2 t_j, where u = sum_j (gamma_j - r delta_j^2 t_j) dt_j
and w = 1 / (nu^2 / n + V).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError
from anomalon.likelihood.expectation import BACKGROUND, SIGNAL, Expectation

Floats = npt.NDArray[np.float64]

LEAST_GAMMA = 1e-10
"""A statistical scale factor stays above this, as in pyhf."""
_LEAST_YIELD = 1e-12
_LEAST_WEIGHT = 0.01
"""Bins with far fewer events than expected still have this part of the expected curvature, to keep steps finite."""


@dataclass(frozen=True)
class Data:
    """Data sets: what was counted and what the auxiliary measurements gave.

    Attributes:
        counts: shape (set, bin).
        centres: of the constrained parameters alpha, shape (set, alpha).
        gammas: of the statistical scale factors, shape (set, 2, bin).
        widths: relative errors delta that constrain them, shape (1 or set, 2, bin).
    """

    counts: Floats
    centres: Floats
    gammas: Floats
    widths: Floats

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, index: npt.NDArray[np.int64]) -> Data:
        """Some of the data sets, in the order of an index of shape (set,); one may come several times."""
        widths = self.widths if len(self.widths) == 1 else self.widths[index]
        return Data(self.counts[index], self.centres[index], self.gammas[index], widths)

    def repeat(self, n: int) -> Data:
        """The first data set n times."""
        return self.take(np.zeros(n, dtype=np.int64))


@dataclass(frozen=True)
class Point:
    """The likelihood at a point of its parameters, per data set.

    Attributes:
        nll: -ln L, with the gammas at their best, less that of a model that fits all counts; shape (set,).
        gradient: shape (set, parameter).
        curvature: second derivatives, shape (set, parameter, parameter).
        positive: the part of them that is never negative, of the same shape.
        gammas: the best ones, shape (set, 2, bin).
    """

    nll: Floats
    gradient: Floats
    curvature: Floats
    positive: Floats
    gammas: Floats


@dataclass(frozen=True)
class Likelihood:
    """A workspace as arrays.

    Attributes:
        parameters: names, the signal strength mu first, then the alphas.
        bins: name of the channel and number of the bin, over all channels.
        expectation: of the events in the bins.
        widths: relative statistical errors, shape (2, bin).
        observed: counts, shape (bin,).
        blinded: whether these are the background expected, for data are blinded.
    """

    parameters: tuple[str, ...]
    bins: tuple[tuple[str, int], ...]
    expectation: Expectation
    widths: Floats
    observed: Floats
    blinded: bool

    @cached_property
    def signal(self) -> Floats:
        """Signal expected at mu = 1 before any fit, shape (bin,)."""
        return np.asarray(self.expectation.yields(self.start(1, mu=1.0))[0, SIGNAL])

    @cached_property
    def background(self) -> Floats:
        """Background expected before any fit, shape (bin,)."""
        return np.asarray(self.expectation.yields(self.start(1, mu=0.0))[0, BACKGROUND])

    @cached_property
    def scale(self) -> float:
        """About the error of the signal strength without systematics, to start from; 1 without signal."""
        variance = self.background * (1.0 + self.widths[BACKGROUND] ** 2 * self.background)
        information = float((self.signal**2 / np.maximum(variance + 1e-3 * self.signal, 1e-300)).sum())
        counted = float(self.signal.sum())
        return 1.0 / max(np.sqrt(information), 1e-3 * counted) if counted > 0 else 1.0

    def start(self, n: int, *, mu: float | Floats) -> Floats:
        """Parameters before any fit for n data sets, shape (n, parameter)."""
        theta = np.zeros((n, len(self.parameters)))
        theta[:, 0] = mu
        return theta

    def data(self, counts: Floats) -> Data:
        """Counts of shape (set, bin) with auxiliary measurements as they were before any fit."""
        n = len(counts)
        ones = np.ones((n, 2, len(self.bins)))
        return Data(counts, np.zeros((n, len(self.parameters) - 1)), ones, self.widths[None])

    def asimov(self, theta: Floats, gammas: Floats | None = None) -> Data:
        """Data that are exactly what is expected at parameters of shape (set, parameter), auxiliary ones included."""
        yields = self.expectation.yields(theta)
        gammas = np.ones(yields.shape) if gammas is None else gammas
        return replace(self.data((gammas * yields).sum(axis=1)), centres=theta[:, 1:].copy(), gammas=gammas)

    def point(self, theta: Floats, data: Data) -> Point:
        """Everything that a step of a fit needs, at parameters of shape (set, parameter)."""
        expansion = self.expectation.expand(theta)
        yields, slopes = expansion.yields, expansion.slopes
        gammas, nu, pull = profile(yields, data)
        free = data.widths**2 * (gammas > LEAST_GAMMA)
        direction = np.einsum("njb,npjb->npb", gammas - pull[:, None] * free * yields, slopes)
        counted = np.maximum(data.counts, _LEAST_WEIGHT * nu)
        weight = counted / (nu**2 + counted * (free * yields**2).sum(axis=1))
        positive = np.matmul(direction * weight[:, None], direction.transpose(0, 2, 1))
        alphas = np.arange(1, theta.shape[1])
        positive[:, alphas, alphas] += 1.0
        flat = slopes.reshape(*slopes.shape[:2], -1)
        softer = np.matmul(flat * (pull[:, None] ** 2 * free).reshape(len(flat), 1, -1), flat.transpose(0, 2, 1))
        curvature = positive - softer + expansion.curvature(pull[:, None] * gammas)
        gradient = np.einsum("nb,njb,npjb->np", pull, gammas, slopes)
        gradient[:, 1:] += theta[:, 1:] - data.centres
        return Point(self._nll(theta, data, yields, gammas), gradient, curvature, positive, gammas)

    def nll(self, theta: Floats, data: Data) -> Floats:
        """-ln L with the gammas at their best, as in :class:`Point`; infinite where a yield is negative."""
        yields = self.expectation.yields(theta)
        return self._nll(theta, data, yields, profile(yields, data)[0])

    def _nll(self, theta: Floats, data: Data, yields: Floats, gammas: Floats) -> Floats:
        nu = np.maximum((gammas * yields).sum(axis=1), _LEAST_YIELD)
        offset = np.divide(gammas - data.gammas, data.widths, out=np.zeros_like(gammas), where=data.widths > 0)
        poisson = np.where(data.counts > 0, _deviance(data.counts, nu), nu)
        total = poisson.sum(axis=1) + 0.5 * (offset**2).sum(axis=(1, 2))
        total += 0.5 * ((theta[:, 1:] - data.centres) ** 2).sum(axis=1)
        return np.where((yields.sum(axis=1) < 0).any(axis=1), np.inf, total)


def profile(yields: Floats, data: Data) -> tuple[Floats, Floats, Floats]:
    """The best gammas, shape (set, 2, bin), the events then expected and 1 - n / nu, both of shape (set, bin).

    A gamma that would fall below its least value stays there, and the other is found anew.
    """
    n, free, held = data.counts, data.widths**2 * np.ones(yields.shape), data.gammas
    for _ in range(2):
        v = (free * yields**2).sum(axis=1)
        half = 0.5 * ((held * yields).sum(axis=1) - v)
        root = np.sqrt(half**2 + v * n)
        # the same root twice: each form is without cancellation on its side
        nu = np.where(half >= 0, half + root, np.divide(v * n, root - half, out=np.zeros_like(v), where=root > half))
        pull = np.where(n > 0, 1.0 - n / np.maximum(nu, _LEAST_YIELD), 1.0)
        gammas = held - free * yields * pull[:, None]
        low = (free > 0) & (gammas < LEAST_GAMMA)
        if not low.any():
            break
        free, held = np.where(low, 0.0, free), np.where(low, LEAST_GAMMA, held)
    gammas = np.where(free > 0, np.maximum(gammas, LEAST_GAMMA), held)
    nu = np.maximum((gammas * yields).sum(axis=1), _LEAST_YIELD)
    return gammas, nu, np.where(n > 0, 1.0 - n / nu, 1.0)


def _deviance(n: Floats, nu: Floats) -> Floats:
    """Nu - n + n ln(n / nu) without cancellation."""
    safe = np.maximum(n, 1e-300)
    x = np.maximum((nu - n) / safe, -1 + 1e-300)
    return np.asarray(np.where(n > 0, safe * (x - np.log1p(x)), nu))


def read_likelihood(workspace: Mapping[str, Any]) -> Likelihood:
    """The likelihood of a workspace of :func:`~anomalon.likelihood.workspace.make_workspace`.

    Raises:
        ConfigError: a modifier of another kind than normfactor, normsys, histosys and staterror.
    """
    poi = workspace["measurements"][0]["config"]["poi"]
    rows = [(c, s) for c in workspace["channels"] for s in c["samples"]]
    alphas = sorted({m["name"] for _, s in rows for m in s["modifiers"] if m["type"] in {"normsys", "histosys"}})
    lengths = {c["name"]: len(c["samples"][0]["data"]) for c in workspace["channels"]}
    bins = tuple((name, i) for name, length in lengths.items() for i in range(length))
    columns = [_columns(channel["name"], sample, bins, poi) for channel, sample in rows]
    nominal, variances = np.zeros((len(rows), 2 * len(bins))), np.zeros(2 * len(bins))
    norms, shapes = np.ones((2, len(alphas), len(rows))), np.zeros((2, len(alphas), *nominal.shape))
    for row, ((_, sample), at) in enumerate(zip(rows, columns, strict=True)):
        nominal[row, at] = sample["data"]
        for modifier in sample["modifiers"]:
            name, values = modifier["name"], modifier["data"]
            if modifier["type"] == "normsys":
                norms[:, alphas.index(name), row] = values["lo"], values["hi"]
            elif modifier["type"] == "histosys":
                shapes[:, alphas.index(name), row, at] = (
                    np.asarray([values["lo_data"], values["hi_data"]]) - nominal[row, at]
                )
            elif modifier["type"] == "staterror":
                variances[at] += np.square(values)
    totals = nominal.sum(axis=0)
    widths = np.divide(np.sqrt(variances), totals, out=np.zeros(len(totals)), where=totals > 0)
    observed = {o["name"]: o["data"] for o in workspace["observations"]}
    return Likelihood(
        parameters=(poi, *alphas),
        bins=bins,
        expectation=Expectation(nominal, norms, shapes),
        widths=widths.reshape(2, len(bins)),
        observed=np.concatenate([observed[name] for name in lengths]).astype(np.float64),
        blinded=workspace["measurements"][0]["name"].startswith("blinded"),
    )


def _columns(channel: str, sample: Mapping[str, Any], bins: tuple[tuple[str, int], ...], poi: str) -> slice:
    """Place of a sample among the 2 * bin yields, its modifiers being checked."""
    for modifier in sample["modifiers"]:
        free = modifier["type"] == "normfactor" and modifier["name"] == poi
        if not free and modifier["type"] not in {"normsys", "histosys", "staterror"}:
            raise ConfigError(
                f"modifier '{modifier['name']}' of {sample['name']} in {channel} is a {modifier['type']}: allowed are "
                f"normsys, histosys, staterror and the normfactor '{poi}'; fit other models with pyhf itself"
            )
    is_signal = any(m["type"] == "normfactor" for m in sample["modifiers"])
    first = bins.index((channel, 0)) + (SIGNAL if is_signal else BACKGROUND) * len(bins)
    return slice(first, first + len(sample["data"]))
