"""The stransverse mass m_T2: the smallest parent mass that two decays with unseen particles allow; compiled.

m_T2 is the minimum, over all splittings q + q' of the missing transverse momentum, of the larger of the transverse
masses m_T(a, q) and m_T(b, q'). Refs: Lester, Summers, arXiv:hep-ph/9906349, eq. 14; Cheng, Han, arXiv:0810.5178.

Both m_T^2 are convex in q, and so is the larger: its minimum is found by bisecting the sign of its slope, in q_y inside
q_x, down to rounding. That needs no special case for light or massless particles, in which the ellipses of
arXiv:0810.5178 and of Lester, Nachman, arXiv:1411.4312, degenerate.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

_WIDEST = 1e4
"""Half width of the widest bracket in units of the momenta: massless particles back to back need that much."""
_PRECISION = 1e-10
"""Of a component of q, in units of the momenta."""


@njit(cache=True, nogil=True)
def _larger(qx: float, qy: float, event: Floats) -> tuple[float, float, float]:
    """The larger m_T^2 of a splitting in GeV^2 and its slopes, from an event with both transverse energies added."""
    ax, ay, a_mass, bx, by, b_mass, met_x, met_y, unseen, a_energy, b_energy = event
    energy = math.sqrt(qx * qx + qy * qy + unseen * unseen)
    rx, ry = met_x - qx, met_y - qy
    other = math.sqrt(rx * rx + ry * ry + unseen * unseen)
    first = a_mass * a_mass + unseen * unseen + 2.0 * (a_energy * energy - ax * qx - ay * qy)
    second = b_mass * b_mass + unseen * unseen + 2.0 * (b_energy * other - bx * rx - by * ry)
    if first >= second:
        over = a_energy / energy if energy > 0.0 else 0.0
        return first, over * qx - ax, over * qy - ay
    over = b_energy / other if other > 0.0 else 0.0
    return second, bx - over * rx, by - over * ry


@njit(cache=True, nogil=True)
def _best_y(qx: float, event: Floats, scale: float) -> tuple[float, float]:
    """Smallest m_T^2 at a q_x, and its slope along q_x.

    Where the two m_T^2 cross, the slope is the mixture of those of both ends whose component along q_y is zero.
    """
    low, high = -scale, scale
    _, low_x, low_y = _larger(qx, low, event)
    while low_y >= 0.0 and low > -_WIDEST * scale:
        low *= 4.0
        _, low_x, low_y = _larger(qx, low, event)
    value, high_x, high_y = _larger(qx, high, event)
    while high_y < 0.0 and high < _WIDEST * scale:
        high *= 4.0
        value, high_x, high_y = _larger(qx, high, event)
    while high - low > _PRECISION * scale:
        middle = 0.5 * (low + high)
        value, slope_x, slope_y = _larger(qx, middle, event)
        if slope_y < 0.0:
            low, low_x, low_y = middle, slope_x, slope_y
        else:
            high, high_x, high_y = middle, slope_x, slope_y
    between = high_y - low_y
    if low_y < 0.0 <= high_y and between > 0.0:
        return value, (high_y * low_x - low_y * high_x) / between
    return value, high_x if high_y < 0.0 else low_x


@njit(cache=True, nogil=True)
def _smallest(event: Floats, scale: float) -> float:
    """Smallest m_T^2 of an event in GeV^2."""
    low, high = -scale, scale
    while low > -_WIDEST * scale and _best_y(low, event, scale)[1] >= 0.0:
        low *= 4.0
    while high < _WIDEST * scale and _best_y(high, event, scale)[1] < 0.0:
        high *= 4.0
    smallest = np.inf
    while high - low > _PRECISION * scale:
        middle = 0.5 * (low + high)
        value, slope = _best_y(middle, event, scale)
        smallest = min(smallest, value)
        if slope < 0.0:
            low = middle
        else:
            high = middle
    return smallest


@njit(cache=True, nogil=True)
def smallest_parent_masses(events: Floats) -> Floats:
    """m_T2 in GeV, shape (event,); NaN where a number is not finite.

    Args:
        events: px, py and mass of either visible system, components of the missing transverse momentum, and the mass of
            each unseen particle, in GeV, shape (event, 9).
    """
    found = np.empty(len(events))
    event = np.empty(11)
    for i in range(len(events)):
        event[:9] = events[i]
        event[9] = math.sqrt(event[0] ** 2 + event[1] ** 2 + event[2] ** 2)
        event[10] = math.sqrt(event[3] ** 2 + event[4] ** 2 + event[5] ** 2)
        scale = np.abs(events[i]).sum()
        if scale == 0.0 or not np.isfinite(scale):
            found[i] = 0.0 if scale == 0.0 else np.nan
        else:
            found[i] = math.sqrt(max(_smallest(event, scale), 0.0))
    return found
