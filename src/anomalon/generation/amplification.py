"""Whether generated events know a distribution better than the events that they were learned from.

Quantiles of a large truth make bins of equal probability; the mean squared error of a sample's fractions in them is
(1/q)(1 - 1/q) / n for n independent events. So an error stands for a number of real events, and that number over the
training events is the amplification. Ref: Butter et al., arXiv:2008.06545, in one dimension for each quantity.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from anomalon.errors import EmptySelectionError
from anomalon.generation.derived import Derived
from anomalon.generation.flatten import Floats
from anomalon.generation.splits import ONE_SIGMA
from anomalon.generation.validation import Amplification, QuantileError, Spread

AMPLIFIED = ("MET", "HT", "jet1_pt", "m_jj", "m_W", "m_top", "balance_calo", "sphericity", "delta_r_jj")
TRUTH = 10
"""Truth events per training event: fewer could not show an amplification."""
_PER_QUANTILE = 10
"""Training events in a bin below which its error is no scale."""


def amplification(training: Derived, generated: Derived, truth: Derived, quantiles: int = 20) -> Amplification:
    """Quantile errors of generated and training events against the truth.

    Intervals are the error of the mean over the quantities, which are correlated: they are a little too narrow.

    Raises:
        EmptySelectionError: too little truth or training; the message says how much is needed.
    """
    if len(truth) < TRUTH * len(training):
        raise EmptySelectionError(
            f"amplification: {len(truth)} truth events for {len(training)} training events; {TRUTH} times as many, "
            f"{TRUTH * len(training)}, are needed to see whether generated events do better than the training sample"
        )
    found = [_errors(name, training, generated, truth, quantiles) for name in AMPLIFIED]
    usable = [one for one in found if one is not None]
    if not usable:
        needed = _PER_QUANTILE * quantiles
        raise EmptySelectionError(
            f"amplification: of {len(training)} training events fewer than {needed} have any of "
            f"{', '.join(AMPLIFIED)}; {_PER_QUANTILE} are needed for each of {quantiles} quantiles"
        )
    scaled = np.array([(one.generated, one.training, expected) for one, expected in usable]).T
    return Amplification(
        quantiles=quantiles,
        quantities=tuple(one for one, _ in usable),
        factor=_inverse_mean(scaled[0] / scaled[2]),
        training_factor=_inverse_mean(scaled[1] / scaled[2]),
        training_events=len(training),
        generated_events=len(generated),
        truth_events=len(truth),
        limit=len(truth) / len(training),
    )


def quantile_error(values: Floats, edges: Floats) -> float:
    """Mean squared error of the fractions in bins of equal probability; ``edges`` are the inner ones."""
    q = len(edges) + 1
    fractions = np.bincount(np.searchsorted(edges, values), minlength=q) / max(len(values), 1)
    return float(np.mean((fractions - 1 / q) ** 2))


def _errors(
    name: str, training: Derived, generated: Derived, truth: Derived, quantiles: int
) -> tuple[QuantileError, float] | None:
    """Errors of a quantity and what as many real events as were trained on are expected to have."""
    known, learned = truth.present(name), training.present(name)
    if len(learned) < _PER_QUANTILE * quantiles:
        return None
    edges = np.quantile(known, np.arange(1, quantiles) / quantiles)
    error, own = quantile_error(generated.present(name), edges), quantile_error(learned, edges)
    variance = (1 / quantiles) * (1 - 1 / quantiles)
    found = QuantileError(quantity=name, generated=error, training=own, equivalent=variance / max(error, 1e-12))
    return found, variance / len(learned)


def _inverse_mean(errors: Floats) -> Spread:
    """One over the mean, with the interval of the mean."""
    n, mean = len(errors), float(errors.mean())
    half = float(student.ppf(ONE_SIGMA, n - 1) * errors.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Spread(value=1 / mean, low=1 / (mean + half), high=1 / max(mean - half, 0.1 * mean))
