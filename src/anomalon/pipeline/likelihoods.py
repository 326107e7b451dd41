"""Likelihoods of a search: templates with their systematics, limits, significances, pulls and impacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anomalon.bumps.decorrelation import Decorrelation
from anomalon.errors import ConfigError, FitError, InvalidEventsError
from anomalon.features import Features
from anomalon.likelihood.limits import Limits, LimitSettings, discovery, limits
from anomalon.likelihood.model import Likelihood, read_likelihood
from anomalon.likelihood.pulls import impacts, pulls
from anomalon.likelihood.templates import Channel
from anomalon.likelihood.workspace import Workspace, describe_workspace
from anomalon.pipeline.channels import Binning, binning, fill_channels
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.regions import Regions
from anomalon.pipeline.variations import Floats, Ints, Varying
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.inference import SignalInference
from anomalon.search.results import Blinding


@dataclass(frozen=True)
class Likelihoods:
    """Channels of a search, and what they say of every signal.

    Attributes:
        channels: regions of the main detector.
        alone: the variable without regions.
        workspaces: signal -> its likelihood over the regions.
        found: per signal.
        notes: signals of which nothing can be said, and why.
    """

    channels: tuple[Channel, ...]
    alone: tuple[Channel, ...]
    workspaces: dict[str, Workspace]
    found: tuple[SignalInference, ...]
    notes: tuple[str, ...]


def likelihoods(regions: Regions, varying: Varying, state: Blinding) -> Likelihoods:
    """Fill the templates of all samples and look at one signal after the other.

    Raises:
        MissingExtraError: pyhf is not installed.
    """
    main = regions.search.main
    channels, alone = (_channels(regions, varying, name, state) for name in (main, MET_ALONE))
    workspaces: dict[str, Workspace] = {}
    found, notes = [], []
    for signal in _signals(channels):
        varying.progress.start(f"limits, {signal}")
        try:
            workspace, plain = (describe_workspace(c, signal) for c in (channels, alone))
            found.append(_inference(signal, workspace, plain, regions.search))
        except (FitError, ConfigError, InvalidEventsError) as error:
            notes.append(f"No limits on {signal}: {error}.")
        else:
            workspaces[signal] = workspace
    return Likelihoods(channels, alone, workspaces, tuple(found), tuple(notes))


def _channels(regions: Regions, varying: Varying, detector: str, state: Blinding) -> tuple[Channel, ...]:
    """Channels with the variations of every template; events of varied samples are placed by the same rule."""
    bins = binning(regions, detector)
    plain = fill_channels(bins, regions, detector, state)
    sizes = [len(channel.edges) - 1 for channel in plain]
    flat = regions.decorrelations.get(detector)
    placing = _Placing(bins, detector != MET_ALONE, flat, regions.search.statistics.decorrelate or "")
    varied = varying.templates(placing, sizes)
    names = [t.process for t in plain[0].templates if t.process in varied]
    return tuple(
        replace(channel, templates=tuple(varied[name][i] for name in names)) for i, channel in enumerate(plain)
    )


@dataclass(frozen=True)
class _Placing:
    """The place of events in the flat list of bins; without regions the score does not matter."""

    bins: Binning
    with_score: bool
    flat: Decorrelation | None
    mass: str

    def __call__(self, features: Features, score: Floats) -> Ints:
        if self.flat is not None:
            score = self.flat.transform(_values(features, self.mass), score)
        return self.bins.place(
            _values(features, self.bins.variable), score if self.with_score else np.zeros(len(score))
        )


def _values(features: Features, name: str) -> Floats:
    i = features.index(name)
    return np.where(features.mask[:, i], features.values[:, i], np.nan).astype(np.float64)


def _signals(channels: Sequence[Channel]) -> Iterator[str]:
    yield from (t.process for t in channels[0].templates if t.role == "signal")


def _inference(signal: str, workspace: Workspace, alone: Workspace, search: SearchConfig) -> SignalInference:
    model, plain = (read_likelihood(one.specification) for one in (workspace, alone))
    ours, without = (_limits(one, search) for one in (model, plain))
    found = discovery(model)
    if found.warnings and search.statistics.toys:
        found = discovery(model, LimitSettings(toys=search.statistics.toys, seed=search.seed))
    return SignalInference(
        signal_name=signal,
        bins=len(model.bins),
        limits=ours,
        discovery=found,
        alone=without,
        pulls=pulls(model),
        impacts=impacts(model),
        improvement=_ratio(without, ours),
        notes=workspace.notes,
    )


def _limits(model: Likelihood, search: SearchConfig) -> Limits:
    """Limits by asymptotic formulas, or by pseudo-experiments where these fail and the search asks for it."""
    settings = LimitSettings(seed=search.seed)
    found = limits(model, settings)
    toys = search.statistics.toys
    return limits(model, settings.model_copy(update={"toys": toys})) if found.warnings and toys else found


def _ratio(plain: Limits, ours: Limits) -> float | None:
    a, b = plain.expected.median, ours.expected.median
    return a / b if a is not None and b else None
