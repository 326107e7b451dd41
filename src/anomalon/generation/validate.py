"""Generated events against real ones: every distance beside its floor, the same between two real samples.

Weights are removed first (:func:`anomalon.generation.flatten.unweighted`): simulated events come in weighted versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from anomalon import __version__
from anomalon.errors import EmptySelectionError
from anomalon.events import Events
from anomalon.generation.amplification import amplification
from anomalon.generation.correlations import correlation_measure, largest_differences
from anomalon.generation.coverage import coverage_measure, memorisation
from anomalon.generation.distances import DISTANCES, Ranges, marginal_distances, ranges
from anomalon.generation.flatten import EventArrays, Mask, flatten, unweighted
from anomalon.generation.frechet import frechet_measure
from anomalon.generation.physics import distances_measure, multiplicity_measure, shapes, tail_pulls
from anomalon.generation.splits import Measure, Prepared, Splits, draw_splits, over_splits
from anomalon.generation.two_sample import two_sample_test
from anomalon.generation.validation import (
    Amplification,
    Described,
    Memorisation,
    Metric,
    Validation,
    ValidationSettings,
)
from anomalon.generation.validity import broken_rules, copies_of, rates

Role = Literal["real", "generated", "training", "truth"]
Progress = Callable[[int, int], None]

_TITLES = {"ws": "WS", "js": "JS divergence", "js_distance": "JS distance", "kl": "KL(real || generated)"}
_SAME = 0.5
"""Fraction of copies from which on two samples are called the same."""


def validate(
    real: Events,
    generated: Events,
    *,
    train: Events | None = None,
    truth: Events | None = None,
    settings: ValidationSettings | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Compare generated events with real ones that the generator did not see.

    Args:
        real: twice as many as are compared, for the floor takes two samples.
        generated: to be judged.
        train: what the generator learned from: gives memorisation, and the ranges of the marginal distances.
        truth: ten times as many real events as ``train``, in neither sample: gives amplification.
        settings: of the comparison.
        progress: called with (comparisons done, comparisons in all).

    Raises:
        EmptySelectionError: a sample is too small to conclude; the message gives the number needed.
        MissingFieldError: a collection or column is missing.
        InvalidEventsError: a lepton has no charge, or all weights are zero.
    """
    chosen = settings or ValidationSettings()
    given = {"real": real, "generated": generated, "training": train, "truth": truth}
    samples = {role: _Sample.of(role, e, chosen) for role, e in given.items() if e is not None}  # type: ignore[arg-type]
    used = _in_masks(samples, chosen.mask_share)
    splits = draw_splits(len(used["real"].finite), len(used["generated"].finite), chosen)
    chosen = chosen.model_copy(update={"events": splits.real.shape[1]})
    prepared = {role: Prepared.of(sample.finite) for role, sample in used.items()}
    # first what may be refused: metrics take longest
    memorised, amplified = _memorisation(prepared, chosen), _amplification(prepared, chosen)
    found = _metrics(samples, prepared, chosen, splits=splits, progress=progress)
    return Validation(
        anomalon_version=__version__,
        settings=chosen,
        samples=tuple(sample.described for sample in used.values()),
        disjoint=splits.disjoint,
        metrics=found,
        rates=rates(samples["real"].arrays, samples["generated"].arrays, chosen.detector),
        tails=tail_pulls(prepared["real"], prepared["generated"]),
        shapes=shapes(prepared["real"], prepared["generated"]),
        correlations=largest_differences(prepared["real"].derived, prepared["generated"].derived),
        memorisation=memorised,
        amplification=amplified,
        warnings=_warnings(used, splits),
    )


@dataclass(frozen=True)
class _Sample:
    """Events of weight one as arrays, the finite ones among them, and their description."""

    arrays: EventArrays
    finite: EventArrays
    described: Described

    @classmethod
    def of(cls, role: Role, events: Events, settings: ValidationSettings) -> _Sample:
        drawn = unweighted(events, settings.seed)
        arrays = flatten(drawn, settings.slots)
        index = np.unique(events.numbers("dataset"))
        samples = [events.samples[i] for i in index]
        described = Described(
            role=role,
            rows=len(events),
            events=len(drawn),
            origins=tuple(sorted({sample.origin for sample in samples})),
            processes=tuple(sorted({sample.process for sample in samples})),
            without_slot=arrays.without_slot(),
        )
        return cls(arrays, arrays[~broken_rules(arrays)["not_finite"]], described)


def _in_masks(samples: dict[str, _Sample], share: float) -> dict[str, _Sample]:
    """The samples without events whose multiplicities are rare among the training (or real) events."""
    if share >= 1:
        return samples
    masks, number = np.unique(samples.get("training", samples["real"]).finite.counts, axis=0, return_counts=True)
    order = np.argsort(-number, kind="stable")
    kept = np.searchsorted(np.cumsum(number[order]), share * number.sum() * (1 - 1e-12)) + 1
    allowed = {row.tobytes() for row in masks[order[:kept]]}
    found = {}
    for role, sample in samples.items():
        inside = np.array([row.tobytes() in allowed for row in sample.finite.counts], dtype=np.bool_)
        outside = float(1 - inside.mean()) if len(inside) else 0.0
        described = sample.described.model_copy(update={"outside_masks": outside})
        found[role] = replace(sample, finite=sample.finite[inside], described=described)
    return found


def _metrics(
    samples: dict[str, _Sample],
    prepared: dict[str, Prepared],
    settings: ValidationSettings,
    *,
    splits: Splits,
    progress: Progress | None,
) -> tuple[Metric, ...]:
    measures = _measures(ranges(prepared.get("training", prepared["real"]).arrays), settings)
    total, done = (len(measures) + 1) * settings.splits, 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    found = _multiplicity(samples, settings, tick)
    for measure in measures:
        found += over_splits(
            measure, prepared["real"], prepared["generated"], splits=splits, seed=settings.seed, tick=tick
        )
    return found


def _measures(scale: Ranges, settings: ValidationSettings) -> list[Measure]:
    def marginals(real: Prepared, generated: Prepared, _: int) -> dict[str, float]:
        return marginal_distances(real.arrays, generated.arrays, scale, settings.bins)

    return [
        Measure(marginals, {name: _TITLES[name] for name in DISTANCES}, "marginals"),
        distances_measure(),
        correlation_measure(),
        *frechet_measure(),
        coverage_measure(settings),
        *(two_sample_test(judge, settings.view, settings.folds) for judge in settings.judges),
    ]


def _multiplicity(
    samples: dict[str, _Sample], settings: ValidationSettings, tick: Callable[[], None]
) -> tuple[Metric, ...]:
    """Multiplicities before any are left out, which would hide what a generator cannot make."""
    a, b = samples["real"].arrays, samples["generated"].arrays
    splits = draw_splits(len(a), len(b), settings)
    return over_splits(multiplicity_measure(), _counted(a), _counted(b), splits=splits, seed=settings.seed, tick=tick)


def _counted(arrays: EventArrays) -> Prepared:
    """Numbers of objects alone: no momenta are looked at."""
    bare = EventArrays(np.zeros_like(arrays.met), arrays.counts, arrays.objects[:, :0], dict.fromkeys(arrays.slots, 0))
    return Prepared.of(bare)


def _memorisation(prepared: dict[str, Prepared], settings: ValidationSettings) -> Memorisation | None:
    if "training" not in prepared:
        return None
    real, generated, training = (prepared[role].arrays for role in ("real", "generated", "training"))
    return memorisation(real, generated, training, settings)


def _amplification(prepared: dict[str, Prepared], settings: ValidationSettings) -> Amplification | None:
    if "truth" not in prepared:
        return None
    if "training" not in prepared:
        raise EmptySelectionError("amplification: truth without training events; give the training sample as well")
    training, generated, truth = (prepared[role].derived for role in ("training", "generated", "truth"))
    return amplification(training, generated, truth, settings.quantiles)


def _warnings(samples: dict[str, _Sample], splits: Splits) -> tuple[str, ...]:
    real, generated = samples["real"], samples["generated"]
    found = _origins(samples)
    copied = _share(copies_of(generated.finite, real.finite))
    if copied >= _SAME:
        found.append(f"{copied:.0%} of the generated events are real events, bit by bit: the samples are the same")
    elif copied > 0:
        found.append(f"{copied:.2%} of the generated events are among the real ones, bit by bit")
    if "training" in samples and (seen := _share(copies_of(real.finite, samples["training"].finite))) > 0:
        found.append(f"{seen:.2%} of the real events are training events: give real events that were not trained on")
    for role, sample in samples.items():
        if (n := len(sample.arrays) - int((~broken_rules(sample.arrays)["not_finite"]).sum())) > 0:
            found.append(f"{n} {role} events have a number that is not finite and are compared in nothing else")
        if sample.described.without_slot > 0.001:
            found.append(f"{sample.described.without_slot:.2%} of the objects of {role} events have no slot")
    if not splits.disjoint:
        size, n = splits.real.shape[1], len(splits.real)
        found.append(
            f"splits share events, so that intervals are somewhat too narrow: {n} splits of {size} need "
            f"{2 * n * size} real and {n * size} generated events"
        )
    return tuple(found)


def _origins(samples: dict[str, _Sample]) -> list[str]:
    found = []
    for role, sample in samples.items():
        origins = ", ".join(sample.described.origins)
        if role == "generated" and origins != "generated":
            found.append(f"the generated events are flagged as {origins}")
        if role != "generated" and "generated" in sample.described.origins:
            found.append(f"the {role} events are flagged as {origins}: floors of generated events say nothing")
    return found


def _share(mask: Mask) -> float:
    return float(mask.mean()) if len(mask) else 0.0
