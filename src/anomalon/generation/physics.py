"""Derived quantities compared one by one: Wasserstein distances, tails, histograms; and numbers of objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import wasserstein_distance

from anomalon.generation.derived import COUNTS, QUANTITIES
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.generation.splits import Measure, Prepared
from anomalon.generation.validation import Shape, TailPull

FEWEST = 50
"""Values of a quantity below which it is left out of a comparison."""
TAILS = ((0.0, 0.01), (0.95, 0.99), (0.99, 0.999), (0.999, 1.0))
"""Quantiles of the real events."""
FEWEST_EXPECTED = 10
"""Events expected in a tail below which its pull is no Gaussian."""
_BINS = 40
_PEAKED = {"m_W": (0.0, 240.0), "m_top": (0.0, 480.0)}
"""Ranges in GeV where a histogram has a peak to show."""


def distances_measure() -> Measure:
    """W1 over the real standard deviation: ``w1_<quantity>`` of each, and ``w1_derived``, their mean."""
    titles = {f"w1_{name}": f"W1/sigma of {name}" for name in QUANTITIES}
    return Measure(_distances, {"w1_derived": "mean W1/sigma of derived quantities", **titles}, "physics")


def multiplicity_measure() -> Measure:
    """Total variation distance of the numbers of objects of all kinds together."""
    titles = {"multiplicity": "total variation of multiplicities"}
    return Measure(lambda a, b, _: {"multiplicity": total_variation(a.arrays, b.arrays)}, titles, "structure")


def total_variation(real: EventArrays, generated: EventArrays) -> float:
    """Half the sum of the absolute differences of the probabilities of each combination of multiplicities."""
    both = np.concatenate([real.counts, generated.counts])
    _, index = np.unique(both, axis=0, return_inverse=True)
    size = int(index.max(initial=0)) + 1
    p, q = (np.bincount(part, minlength=size) / max(len(part), 1) for part in np.split(index.ravel(), [len(real)]))
    return float(0.5 * np.abs(p - q).sum())


def tail_pulls(real: Prepared, generated: Prepared) -> tuple[TailPull, ...]:
    """Generated events in the tails of every continuous quantity, the largest pull first."""
    found = (pull for name in QUANTITIES if name not in COUNTS for pull in _pulls(name, real, generated))
    return tuple(sorted(found, key=lambda pull: -abs(pull.pull)))


def shapes(real: Prepared, generated: Prepared) -> tuple[Shape, ...]:
    """Histograms of all quantities; those that fewer than :data:`FEWEST` real events have are left out."""
    return tuple(_shape(n, real, generated) for n in QUANTITIES if len(real.derived.present(n)) >= FEWEST)


def _distances(real: Prepared, generated: Prepared, _: int) -> dict[str, float]:
    found = {}
    for name in QUANTITIES:
        a, b = real.derived.present(name), generated.derived.present(name)
        if len(a) >= FEWEST:
            found[f"w1_{name}"] = _standard_distance(a, b)
    return {"w1_derived": float(np.mean([*found.values()])), **found}


def _standard_distance(real: Floats, generated: Floats) -> float:
    """W1 over the real width, or over 1 where all are the same; 1 where no generated event has it."""
    width = float(real.std()) or 1.0
    return float(wasserstein_distance(real, generated)) / width if len(generated) else 1.0


def _pulls(name: str, real: Prepared, generated: Prepared) -> Iterator[TailPull]:
    a, b = real.derived.present(name), generated.derived.present(name)
    scale = len(generated) / max(len(real), 1)
    for low, high in TAILS if len(a) >= FEWEST else ():
        above, below = np.quantile(a, [low, high])
        ends = (-np.inf if low == 0 else above), (np.inf if high == 1 else below)
        n_a, n_b = (int(((v > ends[0]) & (v <= ends[1])).sum()) for v in (a, b))
        expected = n_a * scale
        if min(n_a, expected) >= FEWEST_EXPECTED:
            error = np.sqrt(expected * scale + expected)
            yield TailPull(
                quantity=name,
                low=low,
                high=high,
                above=float(above),
                below=None if high == 1 else float(below),
                expected=expected,
                seen=n_b,
                pull=float((n_b - expected) / error),
            )


def _shape(name: str, real: Prepared, generated: Prepared) -> Shape:
    a, b = real.derived.present(name), generated.derived.present(name)
    edges = _edges(name, a)
    outside = name not in _PEAKED  # a tail of combinations would stand as high as the peak
    counts = [np.histogram(np.clip(v, edges[0], edges[-1]) if outside else v, edges)[0].tolist() for v in (a, b)]
    return Shape(
        quantity=name,
        edges=tuple(edges.tolist()),
        real=tuple(counts[0]),
        generated=tuple(counts[1]),
        real_events=len(real),
        generated_events=len(generated),
        distance=_standard_distance(a, b),
    )


def _edges(name: str, values: Floats) -> Floats:
    if name in COUNTS:
        return np.arange(-0.5, max(float(np.quantile(values, 0.9995)), 1.0) + 1.0)
    if name in _PEAKED:
        return np.linspace(*_PEAKED[name], _BINS + 1)
    low, high = np.quantile(values, [0.001, 0.995])
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-6))) / 5
    low, high = np.floor(low / step) * step, np.ceil(high / step) * step
    return np.linspace(0.0 if 0 < low < 0.15 * high else low, high, _BINS + 1)
