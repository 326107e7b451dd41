"""Compiled loop over events: the jets that are no lepton."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True, nogil=True)
def wrapped(phi: Any) -> Any:
    """An angle in (-pi, pi].

    The formula of :func:`anomalon.kinematics.wrap_phi`, written a second time: Numba's cache looks for changes in this
    file alone, and would go on with an old formula from another.
    """
    return -((-phi + math.pi) % (2.0 * math.pi) - math.pi)


class Directions(NamedTuple):
    """A collection of objects, some of which count: event i has those from ``starts[i]`` to ``stops[i]`` (exclusive).

    Attributes:
        starts, stops: shape (event,).
        good: which objects count, shape (object,).
        eta, phi: in rad, shape (object,).
    """

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    good: npt.NDArray[np.bool_]
    eta: npt.NDArray[np.float64]
    phi: npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def sum_apart(
    events: Any, jets: Directions, columns: Any, electrons: Directions, muons: Directions, distance: Any
) -> Any:
    """Sum columns of jets over the good jets that are farther than a distance from every good lepton of the event.

    Args:
        events: positions of n events.
        jets: jets of all events.
        columns: what to sum, shape (jet, column).
        electrons: those of all events.
        muons: those of all events.
        distance: in eta and phi; a lepton of unknown direction is near to nothing.

    Returns:
        The sums, shape (n, column).
    """
    sums = np.zeros((len(events), columns.shape[1]))
    for i in range(len(events)):
        event = events[i]
        for j in range(jets.starts[event], jets.stops[event]):
            if not jets.good[j]:
                continue
            eta, phi = jets.eta[j], jets.phi[j]
            if not (_near(eta, phi, electrons, event, distance) or _near(eta, phi, muons, event, distance)):
                for c in range(columns.shape[1]):
                    sums[i, c] += columns[j, c]
    return sums


@njit(cache=True, nogil=True)
def _near(eta: Any, phi: Any, leptons: Directions, event: Any, distance: Any) -> Any:
    for k in range(leptons.starts[event], leptons.stops[event]):
        d_eta = eta - leptons.eta[k]
        if not leptons.good[k] or abs(d_eta) > distance:  # most are farther already
            continue
        if math.hypot(d_eta, wrapped(phi - leptons.phi[k])) <= distance:
            return True
    return False
