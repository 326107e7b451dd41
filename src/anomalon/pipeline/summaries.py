"""Records of the report made from what the stages left: samples, cutflow, split, features, detectors, notes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from anomalon.batches import TEST, TRAIN, VALIDATION
from anomalon.events import Sample
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, signal_names
from anomalon.pipeline.fit import Fitted
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.samples import SelectedSample
from anomalon.pipeline.table import is_normalised
from anomalon.search.blinding import blind_cutflow
from anomalon.search.evaluation import BEST_VARIABLE, MET_ALONE, SUPERVISED
from anomalon.search.results import (
    Blinding,
    DetectorSummary,
    FeatureSummary,
    SampleSummary,
    SplitSummary,
    TrainingSummary,
)
from anomalon.selection import Cutflow
from anomalon.training import TrainingRecord

TITLES = {
    MET_ALONE: "MET alone",
    "autoencoder": "Autoencoder",
    "terrazas2025": "Autoencoder of Terrazas 2025",
    "kmeans": "k-means clustering",
    "gaussian-mixture": "Gaussian mixture",
    "isolation-forest": "Isolation forest",
    "gradient-boosting": "Gradient boosting",
    "vae": "Variational autoencoder",
    "set-vae": "Deep-sets VAE",
    "flow": "Normalising flow",
    "deep-svdd": "Deep SVDD",
    "principal-components": "Principal components",
    "nearest-neighbours": "Nearest neighbours",
    "kernel-density": "Kernel density",
    "masked-prediction": "Masked prediction",
    "joint-survival": "Joint survival",
    "exposed-to-heavy": "Exposure to heavy decays",
    "exposed-to-pseudo-events": "Exposure to pseudo-events",
    "exposed-to-exaggerated": "Exposure to exaggeration",
    "exposed-or-joint": "Exposure or joint survival",
    "frette2023-ae-large": "Large AE of Frette 2023",
    "frette2023-ae-small": "Small AE of Frette 2023",
    "frette2023-vae-large": "Large VAE of Frette 2023",
    "frette2023-vae-small": "Small VAE of Frette 2023",
}


def sample_summaries(selected: Sequence[SelectedSample], state: Blinding) -> tuple[SampleSummary, ...]:
    """One record per sample; the number of selected events of blinded data is not told."""
    return tuple(_sample(s, hidden=s.sample.is_data and state.applies) for s in selected)


def _sample(selected: SelectedSample, *, hidden: bool) -> SampleSummary:
    sample, table = selected.sample, selected.table
    normalised = not sample.is_data and is_normalised(sample) and not hidden
    return SampleSummary(
        name=sample.name,
        process=sample.process,
        title=selected.config.heading,
        role=selected.config.role,
        origin=sample.origin,
        cross_section_pb=sample.cross_section_pb,
        k_factor=sample.k_factor,
        n_events=sample.n_generated or selected.n_read,
        n_selected=None if hidden else len(table),
        yield_expected=float(table.weight.sum()) if normalised else None,
        yield_error=float(np.sqrt((table.weight**2).sum())) if normalised else None,
        caveats=tuple(sample.provenance.get("caveats", ())),
    )


def cutflow_of(selected: Sequence[SelectedSample]) -> Cutflow:
    """The cutflow of all samples."""
    return reduce(add, (s.cutflow for s in selected))


def cutflow_rows(selected: Sequence[SelectedSample], state: Blinding) -> tuple[dict[str, Any], ...]:
    """Rows of the cutflow as far as blinding shows them; simulated processes are summed up, data are not in the sum."""
    backgrounds = [s.cutflow for s in selected if s.config.role == "background"]
    others = [s.cutflow for s in selected if s.config.role != "background"]
    data = {s.sample.process for s in selected if s.sample.is_data}
    rows = reduce(add, backgrounds).rows() if backgrounds else []
    rows = [{**row, "process": "all backgrounds"} if row["process"] == "all" else row for row in rows]
    rows += [row for cutflow in others for row in cutflow.rows() if row["process"] != "all"]
    return tuple(blind_cutflow(rows, data, state))


def cutflow_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the cutflow as CSV text with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def split_summaries(parts: Parts, search: SearchConfig, state: Blinding) -> tuple[SplitSummary, ...]:
    """How many selected events of every process are trained, validated and tested on."""
    rows = []
    for sample in search.samples:
        if sample.role == "data" and state.applies:
            continue
        own = parts.table.sample_name == sample.name
        counts = [int((own & (parts.split == part)).sum()) for part in (TRAIN, VALIDATION, TEST)]
        rows.append(
            SplitSummary(
                process=sample.process_name, role=sample.role, train=counts[0], validation=counts[1], test=counts[2]
            )
        )
    return tuple(rows)


def feature_summaries(parts: Parts, fitted: Sequence[Fitted], scores: Scores) -> tuple[FeatureSummary, ...]:
    """How often each feature is missing or not finite among the events handed out, and whether any detector uses it."""
    table = parts.table.features[scores.shown]
    used = {name for f in fitted for name in f.detector.inputs}
    bad = table.not_finite()
    missing = (~table.mask).sum(axis=0)
    return tuple(
        FeatureSummary(name=name, missing=int(n), not_finite=bad.get(name, 0), used=name in used)
        for name, n in zip(table.names, missing, strict=True)
    )


def detector_summaries(
    fitted: Sequence[Fitted],
    scores: Scores,
    parts: Parts,
    *,
    supervised_seconds: Mapping[str, float],
    state: Blinding,
) -> tuple[DetectorSummary, ...]:
    """One record per detector, and of the baselines and the bound those that a signal is there for."""
    n_train = None if state.hides_background else int(parts.where("background", TRAIN).sum())
    rows = [_detector(f, scores, n_train) for f in fitted]
    names = parts.table.features.names
    if signal_names(parts) and not state.hides_background:
        rows.insert(1, _other(BEST_VARIABLE, "Best single variable (oracle)", "baseline", names, n_train))
    if supervised_seconds:
        bound = _other(SUPERVISED, "Supervised bound", "bound", names, n_train)
        rows.append(bound.model_copy(update={"fit_seconds": float(sum(supervised_seconds.values()))}))
    return tuple(rows)


def _detector(fitted: Fitted, scores: Scores, n_train: int | None) -> DetectorSummary:
    detector = fitted.detector
    told = n_train is not None
    return DetectorSummary(
        name=detector.name,
        title=TITLES.get(detector.name, detector.name),
        role="baseline" if detector.name == MET_ALONE else "detector",
        kind=detector.settings.kind,
        inputs=tuple(detector.inputs),
        n_train=n_train,
        fit_seconds=round(fitted.seconds, 2),
        threshold=scores.thresholds[detector.name],
        training=None if detector.record is None else _training(detector.record, losses=told),
    )


def _other(name: str, title: str, role: Any, inputs: Sequence[str], n_train: int | None) -> DetectorSummary:
    return DetectorSummary(
        name=name, title=title, role=role, kind=name, inputs=tuple(inputs), n_train=n_train, fit_seconds=0.0
    )


def _training(record: TrainingRecord, *, losses: bool) -> TrainingSummary:
    return TrainingSummary(
        epochs=len(record.training_losses),
        best_epoch=record.best_epoch,
        seconds=record.seconds,
        stopped=record.stopped,
        train_loss=tuple(record.training_losses) if losses else (),
        validation_loss=tuple(record.validation_losses) if losses else (),
        learning_rate=tuple(record.learning_rates),
    )


def notes(search: SearchConfig, samples: Sequence[Sample], state: Blinding) -> tuple[str, ...]:
    """What a reader must know before believing a number."""
    lines = [
        f"Sample '{s.name}' has no cross section: its weights are relative and say nothing about yields."
        for s in samples
        if not is_normalised(s)
    ]
    lines += [
        f"Of the collision data of sample '{s.name}', {s.luminosity_fb:.4g} of {whole:.4g} fb^-1 could be read (the "
        "ledger says what is missing), while yields of simulation are not lowered: set luminosity_fb."
        for s, whole in ((s, luminosity_of_all(s)) for s in samples)
        if s.luminosity_fb is not None and whole is not None
    ]
    if any(s.simulate for s in search.samples):
        mpi = "on" if search.simulation.mpi else "OFF (the fast preset: several times faster, for development)"
        lines.append(
            f"Samples are simulated with PYTHIA 8 at leading order, multi-parton interactions {mpi}, "
            f"detector response '{search.simulation.detector}'."
        )
    if search.background == "data":
        lines += _own_background(search, state)
    if any(s.role != "data" for s in search.samples):
        lines.append(
            f"Yields are for {search.luminosity_fb:g} fb^-1. Networks train on the absolute values of the event "
            "weights; yields are signed."
        )
    lines.append(
        "Preprocessing and thresholds are fixed on background events alone. All efficiencies and AUCs are on test "
        "events, which no training and no threshold has seen; intervals are 68 %."
    )
    if any(s.role == "signal" for s in search.samples):
        lines.append(
            "The best single variable is an oracle: it is chosen with the signal's labels (on training events). "
            "The supervised bound is trained on the signal itself."
        )
    if state.applies:
        lines.append(
            "Collision data above the threshold is blinded: rows, numbers and the last cut of its cutflow are withheld "
            "until --unblind REASON."
        )
    elif state.unblinded_reason:
        lines.append(f"Collision data was unblinded: {state.unblinded_reason}")
    return tuple(lines)


def _own_background(search: SearchConfig, state: Blinding) -> list[str]:
    """What it means that detectors learn from the data in which they search."""
    above, test = 100 * (1 - search.threshold_quantile), 100 * search.split.test
    learned = (
        "The collision data is its own background: detectors learn from it, with weight 1 for every event. A signal in "
        "it is learned in part and moves the threshold up, so that less of it is found than of one that no training "
        "has seen."
    )
    share = (
        f"About {above:.3g} % of the data lie above the threshold by construction, for its quantile asks for so many. "
        "This share is no evidence of anything, and there is no expected yield to compare it with. Only a later "
        "comparison with an independent background (a sideband, simulation, another period of data) can say more."
    )
    part = (
        f"Flagged events and candidates are among the test part, {test:.3g} % of the data: scores of events that were "
        "trained on would flatter them."
    )
    lines = [learned, share, part]
    if any(s.role == "signal" for s in search.samples):
        lines.append("AUC and efficiencies compare signals with the data, whatever it holds.")
    if state.hides_background:
        lines.append(
            "Whatever is computed from the data above the threshold is withheld as well until --unblind REASON: the "
            "share and number above, AUC and efficiencies of signals, candidates, losses, numbers of training events. "
            "From the rest of the data alone they would be wrong. The folder model/ is not blinded: what was learned "
            "from all the data is in it."
        )
    return lines


def luminosity_of_all(sample: Sample) -> float | None:
    """Luminosity of collision data before damaged files and events lowered it, fb^-1; None where nothing did."""
    known = (sample.provenance.get(f"luminosity_fb_of_all_{what}") for what in ("files", "events"))
    return next((value for value in known if value is not None), None)
