"""Print whether a detector learns more from generated background, in Markdown.

    .venv/bin/python scripts/generated_background.py stores/wz stores/wprime-2000 stores/c1n2-450-300 stores/c1n2-800-50

The first store is the background, the others are signals. Of the background events that pass the trilepton
selection, ``--few`` (10,000) and ``--many`` (100,000) train detectors, and all others judge them. A generator that saw
the few only makes as many as ``--many``; its events pass the same selection. Every detector is trained on the few, on
those that the few taught, on both together, and on the many. In brackets is half the spread of the seeds' values.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from anomalon import features, metrics, selection
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.generation.autoregressive import Autoregressive, AutoregressiveSettings
from anomalon.generation.flatten import unweighted
from anomalon.generation.tuning import hold_out
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.pipeline.validation import read_events
from anomalon.selection.cutflow import apply

Floats = npt.NDArray[np.float64]

FIELDS = "trilepton"
DETECTORS = ("autoencoder", "gaussian-mixture", "isolation-forest")
GENERATOR: Mapping[str, Any] = {
    "training": {"epochs": 40, "batch_size": 128, "learning_rate": 1e-3, "weight_decay": 1e-3, "patience": 6,
                 "schedule": "plateau", "gradient_clip": 5.0},
    "multiplicities": {"model": "smoothed"},
}  # fmt: skip
SHARE = 0.1
"""Of the training events, held out for stopping early."""
LEVEL = 0.01
"""Background efficiency at which signals are counted."""


def main() -> None:
    """Read, generate, train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("background")
    parser.add_argument("signals", nargs="+")
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    background = selected(read_events(options.background))
    left = len(background) - options.many
    if left < options.few:
        raise SystemExit(f"{options.background}: {len(background)} events pass the selection; {left} are left to judge")
    background = background[np.random.default_rng(5).permutation(len(background))]
    signals = {store: table(selected(read_events(store))) for store in options.signals}
    few, test = background[: options.few], table(background[options.many :])
    made = generate(few, options.many)
    few_table, made_table = table(few), table(made)
    samples = {
        f"{options.few:,} simulated": few_table,
        f"{options.many:,} generated from them": made_table,
        "both": Features.concatenate([few_table, made_table]),
        f"{options.many:,} simulated": table(background[: options.many]),
    }
    print(f"| detector | learned from | {' | '.join(f'{name}: AUC / εS at {LEVEL:g}' for name in signals)} |")
    print(f"|---|---|{'--:|' * len(signals)}")
    print(f"| MET alone | | {' | '.join(cell([judged(met(test), met(s))]) for s in signals.values())} |")
    for row in rows(samples, test, signals, options.seeds):
        print(f"| {' | '.join(row)} |", flush=True)


def selected(events: Events) -> Events:
    """Events of weight one that pass the trilepton selection."""
    return apply(selection.for_features(FIELDS), unweighted(events)).events


def table(events: Events) -> Features:
    """Features of events."""
    return features.get(FIELDS).transform(events)


def met(table: Features) -> Floats:
    """Missing transverse momentum, the score to beat."""
    return table.column("MET_pt").astype(np.float64)


def generate(few: Events, many: int) -> Events:
    """As many events that pass the selection, from a generator that saw the few only."""
    generator = Autoregressive(AutoregressiveSettings.parse(GENERATOR))
    generator.fit(*hold_out(few, SHARE))
    parts: list[Events] = []
    while (have := sum(map(len, parts))) < many:
        parts.append(selected(generator.sample(many, seed=1 + len(parts))))
        if not len(parts[-1]):
            raise SystemExit("no generated event passes the selection")
        print(f"generated {have + len(parts[-1]):,} of {many:,} that pass", file=sys.stderr)
    return Events.concatenate(parts)[:many]


def rows(
    samples: Mapping[str, Features], test: Features, signals: Mapping[str, Features], seeds: int
) -> Iterator[list[str]]:
    """Rows of the table: every detector, learned from every sample."""
    for kind in DETECTORS:
        for name, training in samples.items():
            found = [fitted(kind, training, seed) for seed in range(seeds)]
            at_test = [detector.score_features(test) for detector in found]
            pairs = zip(found, at_test, strict=True)
            judges = zip(*(of_signals(detector, scores, signals) for detector, scores in pairs), strict=True)
            yield [kind, name, *(cell(values) for values in judges)]


def of_signals(detector: Detector, test: Floats, signals: Mapping[str, Features]) -> list[Floats]:
    """What a detector reaches for every signal."""
    return [judged(test, detector.score_features(signal)) for signal in signals.values()]


def fitted(kind: str, training: Features, seed: int) -> Detector:
    """A detector that learned from training events, a share of which told it when to stop."""
    order = np.random.default_rng([seed, 3]).permutation(len(training))
    held = int(SHARE * len(training))
    detector = Detector(DetectorSettings.parse({"name": kind, "kind": kind}).seeded(seed))
    return detector.fit(training[order[held:]], validation=training[order[:held]])


def judged(background: Floats, signal: Floats) -> Floats:
    """AUC and the efficiency for the signal where the background's is :data:`LEVEL`."""
    cut = np.quantile(background, 1 - LEVEL)
    return np.array([metrics.auc(background, signal), np.mean(signal > cut)])


def cell(values: Sequence[Floats]) -> str:
    """Means over the seeds, in brackets half the spread where there are several."""
    mean, half = np.mean(values, axis=0), np.ptp(values, axis=0) / 2
    spread = [f" ({h:.3f})" if len(values) > 1 else "" for h in half]
    return f"{mean[0]:.3f}{spread[0]} / {mean[1]:.3f}{spread[1]}"


if __name__ == "__main__":
    main()
