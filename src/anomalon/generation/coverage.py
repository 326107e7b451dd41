"""Whether generated events are everywhere where real ones are, and whether they are copies of the training events.

Coverage and density (Naeem et al., arXiv:2002.09797) in the standardised derived quantities, with balls around real
events that reach to their k-th real neighbour: coverage is the fraction of balls with a generated event in them,
density the number of balls that a generated event is in, over k. Both fall when modes are missing; the floor, real
events against real events, is about 1 - 2^-k and 1.

Memorisation: distances of generated events to their nearest training event against those of real events that were not
trained on, in Cartesian momenta in the frame of the event, so that a copy turned in phi is one too.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.stats import norm

from anomalon.errors import EmptySelectionError
from anomalon.generation.columns import momenta
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.generation.frechet import Standard
from anomalon.generation.splits import ONE_SIGMA, Measure, Prepared
from anomalon.generation.validation import Memorisation, Spread, ValidationSettings
from anomalon.generation.validity import copies_of
from anomalon.metrics import clopper_pearson

CLOSE = 0.01
"""Quantile of the real distances below which an event is close to a training event."""


def coverage_measure(settings: ValidationSettings) -> Measure:
    """Coverage and density."""
    titles = {"coverage": "coverage", "density": "density"}
    compute = partial(_coverage, neighbours=settings.neighbours, most=settings.neighbour_events)
    return Measure(compute, titles, "structure", {"coverage": 0.9, "density": 0.9}, kind="share")


def memorisation(
    real: EventArrays, generated: EventArrays, training: EventArrays, settings: ValidationSettings
) -> Memorisation:
    """Compare distances to the training events.

    Real events that are training events are left out.

    Raises:
        EmptySelectionError: too few events to tell; the message says how many are needed.
    """
    unseen = real[~copies_of(real, training)][: settings.neighbour_events]
    drawn = generated[: settings.neighbour_events]
    needed = int(np.ceil(10 / CLOSE))
    if min(len(unseen), len(drawn)) < needed:
        raise EmptySelectionError(
            f"memorisation: {len(unseen)} real events outside the training sample and {len(drawn)} generated ones; "
            f"{needed} of each are needed for the {CLOSE:.0%} quantile of the distances"
        )
    space = momenta(training)
    width = space.std(axis=0)
    scale = np.where(width > 0, width, 1.0)
    real_distance, distance = (_nearest(space / scale, momenta(sample) / scale) for sample in (unseen, drawn))
    closer = int((distance < np.quantile(real_distance, CLOSE)).sum())
    low, high = clopper_pearson(closer, len(drawn))
    copies = int(copies_of(generated, training).sum())
    surely = clopper_pearson(closer, len(drawn), 0.95)[0]
    return Memorisation(
        closer=Spread(value=closer / len(drawn), low=low, high=high),
        quantile=CLOSE,
        median_ratio=_ratio_of_medians(distance, real_distance),
        copies=copies,
        generated_events=len(drawn),
        real_events=len(unseen),
        training_events=len(training),
        memorised=copies > 0 or surely > 2 * CLOSE,
    )


def _coverage(real: Prepared, generated: Prepared, _: int, *, neighbours: int, most: int) -> dict[str, float]:
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415 slow to import

    space = Standard.of(real.derived)
    a, b = space(real.derived)[:most], space(generated.derived)[:most]
    k = min(neighbours, len(a) - 1)
    radius = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(a).kneighbors(a)[0][:, -1]  # 0th: itself
    inside, covered = 0, 0
    for start in range(0, len(a), 1000):
        distance = _distances(a[start : start + 1000], b) < radius[start : start + 1000, None]
        inside, covered = inside + int(distance.sum()), covered + int(distance.any(axis=1).sum())
    return {"coverage": covered / len(a), "density": inside / (k * len(b))}


def _distances(a: Floats, b: Floats) -> Floats:
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _nearest(training: Floats, events: Floats) -> Floats:
    """Distance of each event to the nearest training event."""
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415 slow to import

    return np.asarray(NearestNeighbors(n_neighbors=1, algorithm="brute").fit(training).kneighbors(events)[0][:, 0])


def _ratio_of_medians(first: Floats, second: Floats) -> Spread:
    """Ratio of two medians; the error of a median from the order statistics around it."""
    below, above = float(np.median(first)), max(float(np.median(second)), 1e-12)
    errors = []
    for values in (first, second):
        step = float(norm.ppf(ONE_SIGMA)) * 0.5 / np.sqrt(len(values))
        low, high = np.quantile(values, [0.5 - step, 0.5 + step])
        errors.append(0.5 * float(high - low))
    ratio, half = below / above, float(np.hypot(errors[0], errors[1] * below / above)) / above
    return Spread(value=ratio, low=ratio - half, high=ratio + half)
