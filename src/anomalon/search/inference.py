"""Records of what the likelihoods of a search say, and of bumps in its mass spectra."""

from __future__ import annotations

from typing import Literal

from anomalon.bumps.records import BumpHuntResult
from anomalon.bumps.sculpting import Sculpting
from anomalon.config import Settings
from anomalon.likelihood.limits import Discovery, Limits
from anomalon.likelihood.pulls import Impacts, Pulls


class SignalInference(Settings):
    """Limits and significances of one signal, from a likelihood over bins of regions, and from the cut variable alone.

    Attributes:
        bins: number of bins of the likelihood.
        limits, discovery: of the regions of the main detector.
        alone: limits of the variable without regions, in bins fixed the same way.
        pulls, impacts: of the nuisance parameters.
        improvement: expected limit without regions over that with them; None where one of them is missing.
        notes: what was merged, mirrored or left out to make the likelihood.
    """

    signal_name: str
    bins: int
    limits: Limits
    discovery: Discovery
    alone: Limits
    pulls: Pulls
    impacts: Impacts
    improvement: float | None = None
    notes: tuple[str, ...] = ()


class MassSculpting(Settings):
    """What cuts on the main score do to one mass spectrum of the background."""

    mass: str
    result: Sculpting


class MassHunt(Settings):
    """A bump hunt in one mass spectrum, over all regions of the main detector.

    Attributes:
        mass: name of the feature.
        observed: ``data``, or ``expected`` where a signal is added to the expected background.
        signal_name: that was added.
        result: of the hunt; its thresholds are no cut on the score, and then the regions.
    """

    mass: str
    observed: Literal["data", "expected"]
    signal_name: str | None = None
    result: BumpHuntResult
