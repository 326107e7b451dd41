"""Is the simulation like the data? A chi2 of every feature's shape, with its p-value.

The background is scaled to the number of data events, so the check is of shapes; the ratio of the yields is given
beside it. Of blinded data only the rows that may be shown enter, and the background from the same region.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2 as chi2_distribution

from anomalon.features import Features
from anomalon.report import Heading
from anomalon.report.binning import feature_bins
from anomalon.report.figures_compare import Comparison, Filled, comparison_figure, new_histogram, variable_label
from anomalon.report.records import FigureEntry, Group
from anomalon.search.results import FeatureCheck, Role

Floats = npt.NDArray[np.float64]

MOST_BINS = 20
DATA_PER_BIN = 10
LEAST_EXPECTED = 5.0
"""Bins are joined until so many data events are expected in each, from as many effective background events."""
WORST_SHOWN = 6
SECTION = "Data and simulation"


@dataclass(frozen=True)
class _Counts:
    """One feature in bins: data, background and its variance, each of shape (bin,); the names of the bins."""

    data: Floats
    background: Floats
    variance: Floats
    names: tuple[str, ...]


def data_mc_check(features: Features, weights: Floats, roles: npt.NDArray[np.str_]) -> list[FeatureCheck]:
    """Compare every feature of collision data with the background, worst first.

    chi2 = sum over bins (d - s b)^2 / (s b + s^2 v), where d counts data, b and v are the sums of the background's
    weights and squared weights, and s = sum d / sum b; bins - 1 degrees of freedom. Bins hold equal parts of the
    background; events that miss the feature are a bin of their own.

    Args:
        features: of all events, data among them.
        weights: of the background events, shape (event,); those of data do not enter.
        roles: ``data``, ``background`` or anything else (left out), shape (event,).

    Returns:
        One check per feature, sorted by p-value; empty without data or background.
    """
    data, background = roles == "data", roles == "background"
    if not data.any() or not background.any():
        return []
    checks = [
        _check(name, features.values[:, i], features.mask[:, i], (data, background), weights)
        for i, name in enumerate(features.names)
    ]
    return sorted(checks, key=lambda check: (check.p_value is None, check.p_value or 0.0, -(check.chi2 or 0.0)))


def check_figures(
    checks: Sequence[FeatureCheck],
    features: Features,
    weights: Floats,
    roles: npt.NDArray[np.str_],
    processes: npt.NDArray[np.str_],
    heading: Heading | None = None,
) -> list[FigureEntry]:
    """Draw the features that agree least, the background scaled to the data.

    Args:
        checks: from :func:`data_mc_check`.
        features: as there.
        weights: as there.
        roles: as there.
        processes: name of the process of each event, shape (event,).
        heading: the line above each figure.
    """
    entries = []
    for check in [c for c in checks if c.p_value is not None][:WORST_SHOWN]:
        column = features.index(check.feature)
        values = np.where(features.mask[:, column], features.values[:, column], np.nan).astype(np.float64)
        groups = _groups(values, weights, roles, processes)
        figure = comparison_figure(_scaled_to_data(check.feature, groups), heading)
        text = (
            f"χ²/ndf = {check.chi2:.1f}/{check.ndof}, p = {check.p_value:.2g} for the shape; the background is scaled "
            f"by {check.ratio:.3g} to the data. Largest pull: {check.pull:+.1f} in {check.worst}."
        )
        title = variable_label(check.feature).words
        entries.append(FigureEntry(f"data_mc_{check.feature}", title, text, SECTION, figure))
    return entries


def _groups(
    values: Floats, weights: Floats, roles: npt.NDArray[np.str_], processes: npt.NDArray[np.str_]
) -> list[Group]:
    groups = []
    known: tuple[Role, ...] = ("background", "data")
    for role in known:
        for name in dict.fromkeys(processes[roles == role].tolist()):
            own = (roles == role) & (processes == name)
            groups.append(Group(str(name), role, values[own], weights[own]))
    return groups


def _scaled_to_data(name: str, groups: Sequence[Group]) -> Comparison:
    edges = feature_bins(groups, variable_label(name).kind, count=30).edges
    data = sum(len(g.values) for g in groups if g.role == "data")
    total = sum(float(g.weights.sum()) for g in groups if g.role == "background")
    filled = [fill(name, group, edges) for group in groups]
    scale = data / total if total > 0 else 1.0
    shown = tuple(f.scaled(scale) if f.role == "background" else f for f in filled)
    return Comparison(name, shown, note=f"background scaled by {scale:.3g}")


def fill(name: str, group: Group, edges: npt.NDArray[np.floating]) -> Filled:
    """Fill one process into a histogram; what is not finite is counted, never filled."""
    present = group.present
    histogram = new_histogram(name, edges)
    histogram.fill(group.values[present], weight=group.weights[present])
    return Filled(group.label, group.role, histogram, int(present.sum()), int((~present).sum()))


def _check(
    name: str,
    values: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    samples: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    weights: Floats,
) -> FeatureCheck:
    data, background = samples
    usable = np.isfinite(values) | ~mask
    counts = _joined(_counts(values, mask, (data & usable, background & usable), weights))
    expected = float(weights[background].sum())
    about = FeatureCheck(
        feature=name,
        n_data=int(data.sum()),
        expected=expected,
        ratio=float(data.sum() / expected) if expected > 0 else None,
        missing_data=float((~mask[data]).mean()),
        missing_background=float((~mask[background]).mean()),
        not_finite=int((data & ~usable).sum()),
    )
    if len(counts.data) < 2 or not counts.background.sum() > 0:
        return about.model_copy(update={"note": "constant, or too few events for two bins"})
    return about.model_copy(update=_chi2(counts))


def _chi2(counts: _Counts) -> dict[str, float | int | str]:
    scale = counts.data.sum() / counts.background.sum()
    variance = scale * counts.background + scale**2 * counts.variance
    pull = (counts.data - scale * counts.background) / np.sqrt(variance)
    value, ndof, worst = float((pull**2).sum()), len(pull) - 1, int(np.argmax(np.abs(pull)))
    p_value = float(chi2_distribution.sf(value, ndof))
    return {"chi2": value, "ndof": ndof, "p_value": p_value, "pull": float(pull[worst]), "worst": counts.names[worst]}


def _counts(
    values: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    samples: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    weights: Floats,
) -> _Counts:
    data, background = samples
    edges = _edges(values[background & mask], weights[background & mask], int((data & mask).sum()))
    place = np.where(mask, np.searchsorted(edges, values, side="right"), len(edges) + 1)
    n = len(edges) + 2
    w = weights[background]
    names = [f"below {edges[0]:.4g}"] if len(edges) else ["all values"]
    names += [f"{a:.4g} to {b:.4g}" for a, b in itertools.pairwise(edges)]
    names += [f"from {edges[-1]:.4g}"] if len(edges) else []
    return _Counts(
        np.bincount(place[data], minlength=n).astype(np.float64),
        np.bincount(place[background], w, minlength=n).astype(np.float64),
        np.bincount(place[background], w * w, minlength=n).astype(np.float64),
        (*names, "missing"),
    )


def _edges(values: npt.NDArray[np.float32], weights: Floats, n_data: int) -> npt.NDArray[np.float32]:
    """Inner edges at quantiles of the background's |weight|, fewer for few data; those of counts separate values."""
    bins = int(np.clip(n_data // DATA_PER_BIN, 2, MOST_BINS))
    if not len(values):
        return np.empty(0, dtype=np.float32)
    order = np.argsort(values, kind="stable")
    share = np.cumsum(np.abs(weights[order]))
    if not share[-1] > 0:
        return np.empty(0, dtype=np.float32)
    at = np.searchsorted(share, np.arange(1, bins) / bins * share[-1])
    edges = np.unique(values[order][np.minimum(at, len(values) - 1)])
    return np.asarray(edges[edges > values[order[0]]])


def _joined(counts: _Counts) -> _Counts:
    """Join neighbouring bins until each holds enough; the missing join the last bin only where they are few."""
    total = counts.background.sum()
    scale = counts.data.sum() / total if total > 0 else 0.0
    groups: list[list[int]] = [[]]
    for i in range(len(counts.data)):
        groups[-1].append(i)
        if _enough(counts, groups[-1], scale) and i + 1 < len(counts.data):
            groups.append([])
    if len(groups) > 1 and not _enough(counts, groups[-1], scale):
        groups[-2:] = [groups[-2] + groups[-1]]
    names = tuple(_range([counts.names[i] for i in g if counts.data[i] or counts.background[i]]) for g in groups)
    data, background, variance = (
        np.asarray([column[g].sum() for g in groups]) for column in (counts.data, counts.background, counts.variance)
    )
    return _Counts(data, background, variance, names)


def _enough(counts: _Counts, group: Sequence[int], scale: float) -> bool:
    b, v = float(counts.background[group].sum()), float(counts.variance[group].sum())
    return b > 0 and scale * b >= LEAST_EXPECTED and b * b >= LEAST_EXPECTED * v


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}" if names else "nothing"
