"""A score that knows nothing of the mass: the quantile of the score among background of the same mass.

At every value of the score the fraction of background below it is a function of the mass. It is described by straight
lines between nodes: with hat functions h_k(m), 1 at their own node and 0 at all others, the fractions F_k at the nodes
solve the least-squares equations sum_l <h_k h_l> F_l = <h_k [score <= s]>. Background that the fit saw then passes any
cut at the same rate under each hat function, the outer ones included.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.bumps.hunt import checked_edges
from anomalon.bumps.sculpting import checked_events
from anomalon.config import Settings
from anomalon.errors import EmptySelectionError
from anomalon.metrics import effective_number
from anomalon.metrics.ordered import OrderedScores, monotone

Floats = npt.NDArray[np.float64]

_FEWEST_PER_BIN = 20
_TIE = 1e-6
"""Share of the quantile among all masses in each: with it the order of scores is kept where a node has no events."""
_OUTER = 0.1
"""Share of a bin's events that lie beyond the outer nodes: a single far event must not stretch the last line."""


class Decorrelation(Settings):
    """Fractions of background below scores, at nodes in the mass; made by :meth:`fit`, saved as JSON.

    Attributes:
        nodes: masses, increasing, shape (node,).
        scores: increasing, shape (score,).
        below: fraction of background with a score at most that, increasing in it, shape (node, score).
        below_missing: the same for background without a mass, shape (score,).
        scale: of the score, for scores beyond the last.

    >>> random = np.random.default_rng(0)
    >>> mass = random.exponential(100, 20_000)
    >>> score = mass / 50 + random.normal(size=20_000)
    >>> flat = Decorrelation.fit(mass, score)
    >>> before, after = (np.corrcoef(mass, x)[0, 1] for x in (score, flat.transform(mass, score)))
    >>> round(before, 2), round(abs(after), 1)
    (np.float64(0.89), np.float64(0.0))
    >>> Decorrelation.model_validate_json(flat.model_dump_json()) == flat
    True
    """

    nodes: tuple[float, ...] = Field(min_length=2)
    scores: tuple[float, ...] = Field(min_length=2)
    below: tuple[tuple[float, ...], ...]
    below_missing: tuple[float, ...]
    scale: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        table = [*self.below, self.below_missing]
        if len(self.below) != len(self.nodes) or any(len(row) != len(self.scores) for row in table):
            raise ValueError(f"below: expected {len(self.nodes)} rows of {len(self.scores)} fractions")
        if (np.diff(self.nodes) <= 0).any() or (np.diff(self.scores) <= 0).any():
            raise ValueError("nodes and scores must increase")
        rows = np.asarray(table)
        if (np.diff(rows, axis=1) <= 0).any() or rows.min() <= 0 or rows.max() >= 1:
            raise ValueError("below: fractions must increase with the score, within 0 ... 1")
        return self

    @classmethod
    def fit(
        cls,
        mass: npt.ArrayLike,
        score: npt.ArrayLike,
        *,
        weight: npt.ArrayLike | None = None,
        bins: int | npt.ArrayLike = 20,
        grid: int = 500,
    ) -> Self:
        """Learn the fractions from background validation events.

        Args:
            mass: shape (event,), NaN where there is none.
            score: shape (event,); events without one are left out.
            weight: signed, shape (event,); None for ones.
            bins: number of bins of equal weight between the nodes, or the nodes themselves.
            grid: scores at which fractions are kept, denser towards the highest.

        Raises:
            InvalidEventsError: shapes differ, or a weight is not finite.
            EmptySelectionError: too few events with a mass for so many bins.
        """
        m, s, w = checked_events(mass, score, weight)
        known = np.isfinite(s)
        m, s, w = m[known], s[known], w[known]
        seen = ~np.isnan(m)
        nodes = _nodes(m[seen], w[seen], bins)
        scores = _grid(s, w, grid)
        pooled = _fractions(s, w, scores, np.ones((len(s), 1)))
        at_nodes = _fractions(s[seen], w[seen], scores, _hats(m[seen], nodes))
        alone = _fractions(s[~seen], w[~seen], scores, np.ones((int((~seen).sum()), 1)))
        room = 0.5 / max(effective_number(w), 2.0)
        tables = [_increasing(f, pooled[0], room) for f in (*at_nodes, alone[0] if seen.sum() < len(s) else pooled[0])]
        *below, missing = (tuple(row.tolist()) for row in tables)
        # the spacing of the highest tenth of the scores, which an exponential continues
        scale = float(scores[-1] - np.interp(0.9, pooled[0], scores)) / np.log(0.1 / room) if room < 0.05 else 0.0
        return cls(
            nodes=tuple(nodes.tolist()), scores=tuple(scores.tolist()), below=tuple(below), below_missing=missing,
            scale=scale if scale > 0 else float(scores[-1] - scores[0]),
        )  # fmt: skip

    def transform(self, mass: npt.ArrayLike, score: npt.ArrayLike) -> Floats:
        """Quantiles of scores among background of the same mass, between 0 and 1, shape (event,).

        They increase with the score at any mass. Masses beyond the outer nodes have the fractions of the nearest one,
        an event without a mass those of background without one; an event without a score (NaN) has no quantile (NaN).

        Raises:
            InvalidEventsError: shapes differ.
        """
        m, s, _ = checked_events(mass, score, None)
        table = np.asarray([*self.below, self.below_missing])
        scores, nodes = np.asarray(self.scores), np.asarray(self.nodes)
        left, part = _between(np.clip(np.where(np.isnan(m), nodes[0], m), nodes[0], nodes[-1]), nodes)
        left = np.where(np.isnan(m), len(nodes), left)
        right = np.where(np.isnan(m), left, left + 1)
        inside = np.clip(s, scores[0], scores[-1])
        low, share = _between(np.where(np.isnan(inside), scores[0], inside), scores)
        rows = [(1 - share) * table[k, low] + share * table[k, low + 1] for k in (left, right)]
        u = (1 - part) * rows[0] + part * rows[1]
        above, under = (np.exp(-np.maximum(x, 0.0) / self.scale) for x in (s - scores[-1], scores[0] - s))
        u = np.where(s > scores[-1], 1 - (1 - u) * above, np.where(s < scores[0], u * under, u))
        u = np.clip(u, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)
        return np.asarray(np.where(np.isnan(s), np.nan, u))


def _nodes(mass: Floats, weight: Floats, bins: int | npt.ArrayLike) -> Floats:
    """Nodes between bins of equal weight, or as they are given."""
    if np.ndim(bins):
        return checked_edges(bins)
    number = int(np.asarray(bins))
    if number < 1 or len(mass) < _FEWEST_PER_BIN * number or not weight.sum() > 0:
        raise EmptySelectionError(
            f"{len(mass)} background events with a mass for {number} bins: at least {_FEWEST_PER_BIN} per bin are "
            "needed, with a positive sum of weights; take fewer bins"
        )
    share = np.linspace(0, 1, number + 1)
    share[0], share[-1] = _OUTER / number, 1 - _OUTER / number
    nodes = np.unique(_quantiles(mass, weight, share))
    if len(nodes) < 2:
        raise EmptySelectionError(f"background has the single mass {nodes[0]:g}: there is nothing to decorrelate from")
    return nodes


def _grid(score: Floats, weight: Floats, number: int) -> Floats:
    """Scores at even quantiles and, half of them, at quantiles that approach 1 as the events run out."""
    if not len(score) or not weight.sum() > 0:
        raise EmptySelectionError(f"{len(score)} background events with a score, weights summing to {weight.sum():g}")
    rare = np.geomspace(0.5, 1 / max(effective_number(weight), 4.0), number // 2)
    share = np.unique(np.concatenate([np.linspace(0, 1, number - number // 2), 1 - rare]))
    found = np.unique(_quantiles(score, weight, share))
    if len(found) < 2:
        raise EmptySelectionError(f"all background scores are {found[0]:g}: there is nothing to decorrelate")
    return found


def _quantiles(values: Floats, weight: Floats, share: Floats) -> Floats:
    ordered = OrderedScores.of(values, weight, "background")
    cumulative = monotone(ordered.below(ordered.weight))[1:]
    place = np.searchsorted(cumulative, share * (1 - 1e-12), side="left")
    return np.asarray(ordered.score[np.minimum(place, len(cumulative) - 1)])


def _between(values: Floats, nodes: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """The node at the left of each value, and how far it is towards the next, 0 to 1."""
    left = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return left, np.clip((values - nodes[left]) / (nodes[left + 1] - nodes[left]), 0.0, 1.0)


def _hats(mass: Floats, nodes: Floats) -> Floats:
    """Hat functions at masses, shape (event, node)."""
    left, part = _between(mass, nodes)
    hats = np.zeros((len(mass), len(nodes)))
    rows = np.arange(len(mass))
    hats[rows, left], hats[rows, left + 1] = 1 - part, part
    return hats


def _fractions(score: Floats, weight: Floats, scores: Floats, hats: Floats) -> Floats:
    """Least-squares fractions of events with a score at most each of ``scores``, shape (node, score)."""
    place = np.searchsorted(scores, score, side="left")
    weighted = hats * weight[:, None]
    sums = np.stack([np.bincount(place, column, len(scores) + 1) for column in weighted.T])
    below = np.cumsum(sums[:, :-1], axis=1)
    return np.asarray(np.linalg.lstsq(weighted.T @ hats, below, rcond=1e-10)[0])


def _increasing(fractions: Floats, pooled: Floats, room: float) -> Floats:
    """Fractions that increase strictly with the score and leave room below the first and above the last, (score,)."""
    level = (1 - _TIE) * monotone(np.clip(fractions, 0.0, 1.0)) + _TIE * np.clip(pooled, 0.0, 1.0)
    even = np.arange(1, len(level) + 1) / (len(level) + 1)
    level = (1 - _TIE) * level + _TIE * even
    return np.asarray(room + (1 - 2 * room) * level)
