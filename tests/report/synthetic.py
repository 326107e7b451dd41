"""A search that never happened: results with every field filled, and events that look like trilepton events."""

from __future__ import annotations

from typing import Any

import numpy as np

from anomalon.features import Features
from anomalon.features.trilepton import TrileptonFeatures
from anomalon.report import FigureData, Projection
from anomalon.search.results import (
    Blinding,
    Candidate,
    Curve,
    DetectorSummary,
    Driver,
    Estimate,
    Evaluation,
    FeatureSummary,
    FlaggedProcess,
    SampleSummary,
    SearchResults,
    SplitSummary,
    ThresholdSummary,
    TrainingSummary,
    WorkingPoint,
)

ROLES = {"WZ": "background", "ZZ": "background", "Drell-Yan": "background", "wprime": "signal", "c1n2_450": "signal"}
TITLES = {"wprime": "W' → WZ → 3 leptons, 2 TeV", "c1n2_450": "Chargino-neutralino (450, 300) GeV"}
DETECTORS = {
    "autoencoder": ("Autoencoder", "detector", 1.3),
    "isolation-forest": ("Isolation forest", "detector", 1.0),
    "kmeans": ("k-means", "detector", 0.9),
    "met": ("MET alone", "baseline", 1.6),
    "best-single-variable": ("Best single variable (oracle)", "baseline", 2.1),
    "supervised": ("Supervised bound", "bound", 3.0),
}


def estimate(value: float, width: float) -> Estimate:
    return Estimate(value=value, low=max(value - 1.2 * width, 0.0), high=min(value + width, 1.0))


def curve(strength: float) -> Curve:
    b = np.geomspace(1e-4, 1, 120)
    return Curve(
        background_efficiency=tuple(b),
        signal_efficiency=tuple(b ** (1 / (4 * strength))),
        background_left=tuple(int(x) for x in np.floor(b * 8000)),
    )


def evaluation(detector: str, signal: str, strength: float) -> Evaluation:
    strength *= 1.0 if signal == "wprime" else 0.4
    auc = 1 - 0.1 ** (strength + 0.3)
    points = tuple(
        WorkingPoint(
            background_efficiency=b,
            signal_efficiency=estimate(b ** (1 / (4 * strength)), 0.02),
            background_left=int(8000 * b),
            reliable=8000 * b >= 10,
        )
        for b in (1e-1, 1e-2, 1e-3, 1e-4)
    )
    return Evaluation(
        detector=detector,
        signal=signal,
        auc=estimate(auc, 0.1 * (1 - auc)),
        auc_minus_met=None if detector == "met" else Estimate(value=auc - 0.98, low=auc - 0.983, high=auc - 0.977),
        working_points=points,
        at_threshold=estimate(0.75, 0.03),
        max_sic=4.56 * strength,
        detail="LT, high" if detector == "best-single-variable" else "",
        curve=curve(strength),
    )


def detector(name: str) -> DetectorSummary:
    title, role, _ = DETECTORS[name]
    epochs = np.arange(60)
    training = TrainingSummary(
        epochs=60, best_epoch=47, seconds=12.3, stopped="no improvement in 12 epochs",
        train_loss=tuple(0.9 * np.exp(-epochs / 9) + 0.05), learning_rate=tuple(1e-3 * 0.5 ** (epochs // 20)),
        validation_loss=tuple(0.9 * np.exp(-epochs / 9) + 0.055 + 1e-6 * (epochs - 47.0) ** 2),
    )  # fmt: skip
    threshold = ThresholdSummary(
        quantile=0.95, value=3.217, false_positive_rate=Estimate(value=0.0512, low=0.0489, high=0.0536),
        background_above=410, background_total=8000,
    )  # fmt: skip
    return DetectorSummary(
        name=name, title=title, role=role, kind=name, n_train=20_000, fit_seconds=12.3,
        inputs=("MET_pt", "LT") if name != "met" else ("MET_pt",), threshold=threshold if role == "detector" else None,
        training=training if name == "autoencoder" else None,
    )  # fmt: skip


def candidate(rank: int, process: str = "wprime") -> Candidate:
    return Candidate(
        rank=rank, run=1, lumi=10 + rank, event=123456 + rank, sample=process, process=process, role="signal",
        weight=0.01, score=40.0 - rank, background_fraction_above=0.0001 * rank,
        drivers=(Driver(feature="MET_pt", value=812.3, share=0.61), Driver(feature="nJet", value=2.0, share=0.12)),
    )  # fmt: skip


def sample(name: str) -> SampleSummary:
    role = ROLES[name]
    return SampleSummary(
        name=name, process=name, title=TITLES.get(name, f"{name} → leptons"), role=role, origin="simulation",
        cross_section_pb=0.0123 if role == "signal" else 4.43, k_factor=1.0, n_events=100_000, n_selected=12_345,
        yield_expected=45_123.4, yield_error=321.9, caveats=("leading order",),
    )  # fmt: skip


def cutflow() -> tuple[dict[str, Any], ...]:
    cuts = (("all", 100_000, 1.0), ("three leptons", 20_000, 0.2), ("Z candidate", 12_345, 0.617))
    return tuple(
        {"process": p, "cut": cut, "raw": raw, "weighted": raw * 4.43, "error": raw**0.5 * 4.43,
         "efficiency": raw / 100_000, "relative_efficiency": relative}
        for p in ROLES for cut, raw, relative in cuts
    )  # fmt: skip


def make_results(**changes: Any) -> SearchResults:
    signals = [name for name, role in ROLES.items() if role == "signal"]
    ledger = {"file": "pythia:wz seed 1", "read": 10, "written": 7, "cut": 2, "duplicated": 0, "error": "",
              "skipped": {"NaN in pt": 1}}  # fmt: skip
    complete = SearchResults(
        anomalon_version="0.1.0", title="Search for anomalous trilepton events", luminosity_fb=140.0, seed=1,
        main_detector="autoencoder", notes=("Multi-parton interactions OFF.",),
        headline=("Autoencoder flags 5.1 % of the test background.", "W' reaches AUC 0.975, MET alone 0.987."),
        samples=tuple(sample(name) for name in ROLES), ledger=(ledger,), cutflow=cutflow(),
        split=tuple(SplitSummary(process=p, role=r, train=100, validation=40, test=60) for p, r in ROLES.items()),
        features=tuple(FeatureSummary(name=n, missing=3, not_finite=0, used=True) for n in TrileptonFeatures().names),
        detectors=tuple(detector(name) for name in DETECTORS),
        evaluations=tuple(evaluation(d, s, DETECTORS[d][2]) for s in signals for d in DETECTORS),
        flagged=tuple(FlaggedProcess(process=p, role=r, flagged=210, tested=4000, expected=1234.5, error=56.7)
                      for p, r in ROLES.items()),
        candidates=tuple(candidate(rank) for rank in range(1, 6)), blinding=Blinding(applies=False),
        seconds={"simulation": 61.2, "training": 45.6},
    )  # fmt: skip
    return complete.model_copy(update=changes)


def make_data(n: int = 2000, seed: int = 1) -> FigureData:
    """Energies fall exponentially, three times harder in the signals; an event fills only its own channel's columns."""
    random = np.random.default_rng(seed)
    names = TrileptonFeatures().names
    processes = random.choice(list(ROLES), size=n, p=[0.4, 0.25, 0.15, 0.1, 0.1])
    hard = np.select([processes == "wprime", processes == "c1n2_450"], [8.0, 2.5], 1.0)
    scale = random.exponential(1.0, n) * hard
    channel = random.integers(0, 4, n)
    values = np.full((n, len(names)), np.nan, dtype=np.float32)
    for column, name in enumerate(names):
        here = channel == "ABCD".index(name[0]) if name[:2] in ("A_", "B_", "C_", "D_") else np.ones(n, bool)
        values[here, column] = _column(name, scale, channel, random)[here]
    score = np.exp(random.normal(0, 0.8, n)) * hard
    rows = np.flatnonzero(np.arange(n) % 3 == 0)
    return FigureData(
        features=Features(values, np.isfinite(values), names), processes=processes, roles=ROLES,
        weights=np.where(processes == "Drell-Yan", 3.0, 0.4), tested=np.arange(n) % 3 == 0,
        scores={"autoencoder": score, "isolation-forest": random.normal(0.4 + 0.02 * hard, 0.05)},
        projections={"PCA of the code": Projection(random.normal(size=(len(rows), 2)) * hard[rows, None], rows)},
    )  # fmt: skip


def _column(name: str, scale: np.ndarray, channel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    n = len(scale)
    if name.startswith("channel"):
        return (channel == "ABCD".index(name[-1])).astype(float)
    if name.endswith("Zmass"):
        return random.normal(91, 4, n)
    if name.startswith("n"):
        return random.poisson(1.2, n).astype(float)
    if "Dr_" in name or "dphi" in name:
        return random.uniform(0, np.pi, n)
    return 20 + 60 * scale * random.uniform(0.6, 1.4, n)
