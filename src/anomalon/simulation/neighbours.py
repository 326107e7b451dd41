"""Which objects of an event are close to which: pairs over flat arrays sorted by event."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.kinematics import delta_r

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Directions = tuple[Ints, Floats, Floats]
"""(event, eta, phi) of objects, sorted by event."""


def close_pairs(first: Directions, second: Directions, radius: float) -> tuple[Ints, Ints]:
    """Indices (i, j) of all pairs within one event with delta_R < ``radius``, ordered by i.

    >>> event, angle = np.array([0, 1]), np.zeros(2)
    >>> close_pairs((event, angle, angle), (event, angle, angle + 0.1), 0.3)
    (array([0, 1]), array([0, 1]))
    """
    begin = np.searchsorted(second[0], first[0], side="left")
    count = np.searchsorted(second[0], first[0], side="right") - begin
    i = np.repeat(np.arange(len(count)), count)
    j = np.arange(len(i)) + np.repeat(begin - (np.cumsum(count) - count), count)
    near = np.abs(first[1][i] - second[1][j]) < radius
    i, j = i[near], j[near]
    near = delta_r(first[1][i], first[2][i], second[1][j], second[2][j]) < radius
    return i[near], j[near]


def has_neighbour(first: Directions, second: Directions, radius: float) -> npt.NDArray[np.bool_]:
    """Whether each of the first objects has one of the second within ``radius`` in its event, shape (first,)."""
    found = np.zeros(len(first[0]), dtype=np.bool_)
    found[close_pairs(first, second, radius)[0]] = True
    return found
