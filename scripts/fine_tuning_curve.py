# ruff: noqa: RUF001 - sigma and the multiplication sign are what a table wants
"""Print how good a fine-tuned generator is against the number of events, beside one trained from scratch, in Markdown.

    .venv/bin/python scripts/fine_tuning_curve.py ttbar stores/stop stores/c1n2 [--numbers 100 300 1000 3000]

The first argument is the model to start from. Of each store, events of weight one that fit the model's slots and
acceptance are split: a fifth of ``numbers`` is held out for stopping early, and all others judge. Both generators see
the same events and both have smoothed multiplicities. ``AUC`` is that of gradient boosting between generated and real
events, one half where it cannot tell; W1 is in standard deviations of the real events, and the last row is real against
real. In brackets is the spread over repetitions with other events.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import wasserstein_distance

from anomalon.events import Events
from anomalon.generation.autoregressive import Autoregressive
from anomalon.generation.columns import columns
from anomalon.generation.derived import derive
from anomalon.generation.flatten import EventArrays, flatten, unweighted
from anomalon.generation.splits import Prepared
from anomalon.generation.tuning import FineTuning, TuningSettings, hold_out
from anomalon.generation.two_sample import LEARNERS
from anomalon.metrics.two_sample import held_out_auc
from anomalon.pipeline.generation import find_model
from anomalon.pipeline.validation import read_events

QUANTITIES = ("HT", "MET", "m_ll")
SHARE = 0.2
FRESH = {"epochs": 100, "batch_size": 64, "learning_rate": 2e-3, "schedule": "plateau", "patience": 10}
"""The training from scratch: that of the tuning, at the rate at which random weights learn."""


def main() -> None:
    """Read, train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--numbers", nargs="+", type=int, default=[100, 300, 1000, 3000])
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    source = find_model(options.model, refine=False)
    if not isinstance(source, Autoregressive):
        raise SystemExit(f"{options.model}: only autoregressive generators can be fine-tuned")
    torch.set_num_threads(1)
    print(f"| target | events | generator | AUC | {' | '.join(f'W1/σ {name}' for name in QUANTITIES)} |")
    print(f"|---|--:|---|{'--:|' * (1 + len(QUANTITIES))}")
    for store in options.stores:
        for name, number, row in curve(source, store, options.numbers, options.repeat):
            print(f"| {name} | {number} | {' | '.join(row)} |", flush=True)


def curve(source: Autoregressive, store: str, numbers: list[int], repeat: int) -> Iterator[tuple[str, str, list[str]]]:
    """Rows of a target: its name, number of events, and what was made of them."""
    events = usable(source, read_events(store))
    name = events.samples[0].process
    order = [np.random.default_rng([7, i]).permutation(len(events)) for i in range(repeat)]
    left = len(events) - max(numbers)
    if left < 1000:
        raise SystemExit(f"{store}: {len(events)} usable events leave {left} to judge, at least 1000 are needed")
    for number in numbers:
        found: dict[str, list[npt.NDArray[np.float64]]] = {"fine-tuned": [], "from scratch": []}
        for i, rows in enumerate(order):
            few, judge = events[np.sort(rows[:number])], events[np.sort(rows[max(numbers) :])]
            for kind, made in (("fine-tuned", tuned(source, few, i)), ("from scratch", fresh(source, few, i))):
                found[kind].append(judged(source, judge, made.sample(len(judge), 1 + i)))
        for kind, values in found.items():
            yield name, f"{number:,}", [kind, *cells(np.array(values))]
    half = (left // 2, order[0][max(numbers) :])
    floor = [judged(source, *(events[np.sort(part)] for part in (half[1][: half[0]], half[1][half[0] :])))]
    yield name, "", ["floor, real against real", *cells(np.array(floor))]


def usable(source: Autoregressive, events: Events) -> Events:
    """Events of weight one within slots and acceptance."""
    events = unweighted(events)
    arrays = flatten(events, source.slots)
    accepted = source._accepting()
    fits = (arrays.counts <= [source.slots[kind] for kind in source.slots]).all(axis=1)
    return events[fits & accepted.holds(arrays) & accepted.stores(arrays)]


def tuned(source: Autoregressive, events: Events, seed: int) -> Autoregressive:
    """Start from the source."""
    return FineTuning(source, TuningSettings(seed=seed, validation_share=SHARE)).fit(events)


def fresh(source: Autoregressive, events: Events, seed: int) -> Autoregressive:
    """Start from random weights."""
    tuning = TuningSettings()
    training = tuning.training.model_copy(update=FRESH)
    changed: dict[str, Any] = {"training": training, "multiplicities": tuning.multiplicities, "seed": seed}
    settings = source.settings.model_copy(update={**changed, "refinement": None, "acceptance": source.acceptance})
    return Autoregressive(settings).fit(*hold_out(events, SHARE))


def judged(source: Autoregressive, real: Events, made: Events) -> npt.NDArray[np.float64]:
    """AUC and distances, shape (1 + quantity,)."""
    a, b = (prepared(flatten(events, source.slots)) for events in (real, made))
    x, y = (columns(sample.arrays, sample.derived, "judge").values for sample in (a, b))
    auc = held_out_auc(x, y, learner=LEARNERS["boosting"], folds=2)
    return np.array([auc, *(distance(a.derived.present(q), b.derived.present(q)) for q in QUANTITIES)])


def prepared(arrays: EventArrays) -> Prepared:
    """Arrays with their derived quantities."""
    return Prepared(arrays, derive(arrays))


def distance(real: npt.NDArray[np.float64], made: npt.NDArray[np.float64]) -> float:
    """Wasserstein distance in standard deviations of the real values; NaN where there are too few."""
    return float(wasserstein_distance(real, made) / real.std()) if min(len(real), len(made)) > 1 else float("nan")


def cells(values: npt.NDArray[np.float64]) -> list[str]:
    """Means over the repetitions, and their spread where there are several, shape (repetition, value)."""
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
    mean = values.mean(axis=0)
    return [f"{m:.3f}" if spread is None else f"{m:.3f} ({spread[i]:.3f})" for i, m in enumerate(mean)]


if __name__ == "__main__":
    main()
