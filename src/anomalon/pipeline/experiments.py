"""``--validate``: the checks of a search that retrain, or that need pseudo-experiments."""

from __future__ import annotations

from collections.abc import Iterator

from anomalon.bumps.records import BumpHuntSettings
from anomalon.errors import EmptySelectionError
from anomalon.likelihood.model import read_likelihood
from anomalon.pipeline.bumps import Spectra
from anomalon.pipeline.stability import Refit, stability
from anomalon.pipeline.statistics import Stated
from anomalon.search.experiments import (
    BackgroundOnly,
    Injection,
    Validation,
    background_only,
    check_likelihood,
    hunt_p_values,
)

TOYS = 1000
"""Of every hunt in a background-only experiment."""


def validate(stated: Stated, refit: Refit) -> Validation:
    """Train with other seeds, and draw pseudo-experiments without and with signals.

    Args:
        stated: the statistics of the search.
        refit: fits a detector, or takes it from the cache.
    """
    regions = stated.regions
    seeds = stability(regions.search, regions.parts, regions.plain_scores, refit)
    empty, injected = _likelihoods(stated)
    return Validation(stability=seeds, background_only=(*empty, *_hunts(stated)), injections=tuple(injected))


def _likelihoods(stated: Stated) -> tuple[list[BackgroundOnly], list[Injection]]:
    empty: list[BackgroundOnly] = []
    injected: list[Injection] = []
    if stated.likelihoods is None:
        return empty, injected
    search = stated.regions.search
    settings = search.statistics.validation
    for one in stated.likelihoods.found:
        likelihood = read_likelihood(stated.likelihoods.workspaces[one.signal_name].specification)
        nothing, something = check_likelihood(
            one.signal_name, likelihood, one.discovery, injections=settings.injections,
            number=settings.pseudo_experiments, seed=search.seed,
        )  # fmt: skip
        empty.append(nothing)
        injected += something
    return empty, injected


def _hunts(stated: Stated) -> Iterator[BackgroundOnly]:
    """One check per mass spectrum; spectra that cannot be hunted in were told before."""
    search = stated.regions.search
    for mass in dict.fromkeys(hunt.mass for hunt in stated.record.bumps):
        try:
            spectra = Spectra(stated.regions, mass)
        except EmptySelectionError:
            continue
        background = spectra.hypothesis()
        settings = BumpHuntSettings(toys=TOYS, seed=search.seed, normalisation_error=background.normalisation_error)
        number = search.statistics.validation.pseudo_experiments
        p = hunt_p_values(background, spectra.edges, settings, number)
        yield background_only(f"bump hunt in {mass}", p)
