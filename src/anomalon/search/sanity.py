"""Sanity tests of a search: what a detector must see if it has learned the background, and what it may miss.

Ref: Frette 2023 (Oslo), section 3.7 (channel removing, altered momenta, shuffled features, dummy data, blind signals),
with four-vectors altered before anything is computed from them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.features import Features
from anomalon.search.results import Estimate, SanityCheck, SanityTest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WHAT: dict[SanityTest, str] = {
    "left-out process": "was left out of training and comes back as a signal",
    "lepton pT": "was applied to background, and missing momentum and everything else rebuilt",
    "shuffled features": "were exchanged between background events, each feature by itself",
    "dummy events": "were swapped inside the matrix of each background event",
}


class SanitySettings(Settings):
    """What ``--sanity`` does.

    Attributes:
        detector: name of the detector that is trained anew without each process; None takes the main one.
        epochs: of these trainings, where the detector learns in epochs; None takes its own number.
        leave_out: samples to leave out one at a time; None takes every background with enough training events.
        leave_out_minimum: fewer training or test events of a process than this say nothing.
        pt_factors: on the pT of the leading electron and of the leading muon.
        dummy_fraction: of the rows, and of the columns, that are swapped.
        events: at most so many background test events are altered.
        pseudo_events: at most so many events of pseudo-data are drawn.
    """

    detector: str | None = None
    epochs: int | None = Field(default=10, ge=1)
    leave_out: tuple[str, ...] | None = None
    leave_out_minimum: int = Field(default=50, ge=20)
    pt_factors: tuple[float, ...] = Field(default=(1.5, 3.0, 5.0, 7.0, 10.0), min_length=1)
    dummy_fraction: float = Field(default=1.0, gt=0, le=1)
    events: int = Field(default=20_000, ge=100)
    pseudo_events: int = Field(default=20_000, ge=100)


def shuffled(features: Features, seed: int) -> Features:
    """Every feature exchanged between the events by itself: marginals stay, all that relates features is lost."""
    random = np.random.default_rng(seed)
    values, mask = np.array(features.values), np.array(features.mask)
    for k in range(values.shape[1]):
        order = random.permutation(len(values))
        values[:, k], mask[:, k] = values[order, k], mask[order, k]
    return Features(values, mask, features.names)


def dummies(matrices: npt.NDArray[np.float32], fraction: float, seed: int) -> npt.NDArray[np.float32]:
    """Matrices (event, row, column) with a fraction of their rows, and of their columns, in each other's place."""
    random = np.random.default_rng(seed)
    n, size = matrices.shape[:2]
    rows, columns = (_moved(random.random((n, size)), max(2, round(fraction * size))) for _ in range(2))
    return np.asarray(matrices[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]])


def _moved(random: Floats, moving: int) -> Ints:
    """Per event a permutation of 0, 1, ... in which exactly ``moving`` places change, shape (event, place)."""
    order = np.argsort(random, axis=1)[:, :moving]
    places = np.broadcast_to(np.arange(random.shape[1]), random.shape).copy()
    np.put_along_axis(places, order, np.roll(order, 1, axis=1), axis=1)
    return places


def draw_pseudo_data(weights: Floats, expected: float, seed: int) -> Ints:
    """Rows of weighted events drawn as collisions would come, unweighted: each row Poisson(expected w / sum w) times.

    Negative weights draw nothing. A row may be drawn several times.
    """
    positive = np.maximum(weights, 0.0)
    mean = expected * positive / positive.sum()
    return np.repeat(np.arange(len(weights)), np.random.default_rng(seed).poisson(mean))


def check(
    test: SanityTest, name: str, title: str, auc: Estimate, *, least: float, counts: tuple[int, int]
) -> SanityCheck:
    """Whether a detector did what it should, in a sentence.

    Args:
        test: which one.
        name: what was altered.
        title: of the detector.
        auc: of altered against ordinary background.
        least: AUC that must be reached; 0.5 stands for any separation beyond the interval.
        counts: background and altered events.
    """
    reached = auc.value if least > 0.5 else auc.low if auc.low is not None else auc.value
    found = reached >= least if least > 0.5 else reached > least
    should = f"an AUC of at least {least:g}" if least > 0.5 else "an AUC above 0.5 beyond its interval"
    interval = f" [{auc.low:.3f}, {auc.high:.3f}]" if auc.low is not None and auc.high is not None else ""
    sentence = (
        f"{name} {WHAT[test]}: {title} should reach {should}; it has {auc.value:.3f}{interval} and "
        f"{'sees it' if found else 'does not see it'}."
    )
    return SanityCheck(
        test=test, name=name, detector=title, auc=auc, least_auc=least, found=found, sentence=sentence,
        n_background=counts[0], n_altered=counts[1],
    )  # fmt: skip
