"""Decays at rest that fill phase space evenly, for many events at once; energies in GeV.

Four-vectors are arrays whose last axis is (E, px, py, pz).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NEWTON_STEPS = 12


def log_uniform(edges: tuple[float, float], n: int, rng: np.random.Generator) -> Floats:
    """Numbers between two edges, shape (n,), whose logarithm is uniform."""
    low, high = np.log(edges)
    return np.exp(rng.uniform(float(low), float(high), n))


def isotropic(energy: Floats, rng: np.random.Generator) -> Floats:
    """Massless four-vectors of given energies in random directions, shape (..., 4)."""
    cos = rng.uniform(-1.0, 1.0, energy.shape)
    phi = rng.uniform(-np.pi, np.pi, energy.shape)
    sin = np.sqrt(1.0 - cos * cos)
    return np.stack([energy, energy * sin * np.cos(phi), energy * sin * np.sin(phi), energy * cos], axis=-1)


def boosted(p: Floats, along: Floats) -> Floats:
    """Four-vectors, given in the rest frame of ``along``, in the frame in which ``along`` is given; they broadcast.

    >>> rest, moving = np.array([2.0, 0.0, 0.0, 0.0]), np.array([5.0, 3.0, 0.0, 0.0])
    >>> boosted(rest, moving).tolist()
    [2.5, 1.5, 0.0, 0.0]
    """
    mass = np.sqrt(np.maximum(along[..., :1] ** 2 - (along[..., 1:] ** 2).sum(-1, keepdims=True), 0.0))
    u, gamma = along[..., 1:] / mass, along[..., :1] / mass
    across = (p[..., 1:] * u).sum(-1, keepdims=True)
    energy = gamma * p[..., :1] + across
    return np.concatenate([energy, p[..., 1:] + u * (p[..., :1] + across / (1.0 + gamma))], axis=-1)


def decay(mass: Floats, daughters: Floats, rng: np.random.Generator) -> Floats:
    """Momenta of daughters in the rest frame of their mother, shape (event, daughter, 4).

    RAMBO (Kleiss, Stirling, Ellis 1986): massless momenta that fill phase space evenly; heavy daughters by one common
    scale of all momenta, whose weight (their equation 4.11) is left out.

    Args:
        mass: of the mother, shape (event,); above the sum of its daughters'.
        daughters: masses, shape (event, daughter), at least two.
        rng: random numbers.
    """
    q = isotropic(-np.log(rng.uniform(1e-300, 1.0, (2, *daughters.shape)).prod(axis=0)), rng)
    total = q.sum(axis=1, keepdims=True)
    turned = total * np.array([1.0, -1.0, -1.0, -1.0])
    rest = boosted(q, turned)
    p = rest[..., 1:] * (mass / rest[..., 0].sum(axis=1))[:, None, None]
    p *= _common_scale(mass, daughters, (p * p).sum(-1))[:, None, None]
    return np.concatenate([np.sqrt((p * p).sum(-1) + daughters**2)[..., None], p], axis=-1)


def _common_scale(mass: Floats, daughters: Floats, squares: Floats) -> Floats:
    """Factor of all momenta, with squares (event, daughter), at which the energies add up to the mother's mass."""
    scale = np.sqrt(np.maximum(1.0 - (daughters.sum(axis=1) / mass) ** 2, 1e-12))
    for _ in range(_NEWTON_STEPS):
        energies = np.sqrt(daughters**2 + scale[:, None] ** 2 * squares)
        slope = (scale[:, None] * squares / energies).sum(axis=1)
        scale = np.maximum(scale - (energies.sum(axis=1) - mass) / slope, 1e-9)
    return np.asarray(scale)
