from __future__ import annotations

from typing import Any

from anomalon.search.headline import headline
from anomalon.search.results import (
    Candidate,
    Curve,
    DetectorSummary,
    Driver,
    Estimate,
    Evaluation,
    SampleSummary,
    ThresholdSummary,
    WorkingPoint,
)

TITLES = {"autoencoder": "Autoencoder", "kmeans": "k-means clustering", "met": "MET alone"}
SIGNALS = {"wprime": "W' → WZ, 2 TeV", "c1n2": "chargino-neutralino (450, 300)"}


def detector(name: str, **changes: Any) -> DetectorSummary:
    role = "baseline" if name == "met" else "detector"
    return DetectorSummary.model_validate(
        {"name": name, "title": TITLES[name], "role": role, "kind": name, "inputs": ("MET_pt",), "n_train": 10,
         "fit_seconds": 1.0} | changes
    )  # fmt: skip


def evaluation(name: str, signal: str, gain: float | None) -> Evaluation:
    return Evaluation(
        detector=name, signal=signal, auc=Estimate(value=0.9 + (gain or 0.0)),
        auc_minus_met=None if gain is None else Estimate(value=gain, low=gain - 0.01, high=gain + 0.01),
        working_points=(WorkingPoint(background_efficiency=1e-2, signal_efficiency=Estimate(value=0.5),
                                     background_left=100, reliable=True),),
        curve=Curve(background_efficiency=(), signal_efficiency=(), background_left=()),
    )  # fmt: skip


def sample(name: str) -> SampleSummary:
    return SampleSummary(
        name=name, process=name, title=SIGNALS[name], role="signal", origin="simulation", cross_section_pb=1.0,
        k_factor=1.0, n_events=10, n_selected=5, yield_expected=1.0, yield_error=0.1,
    )  # fmt: skip


def candidate(*drivers: Driver) -> Candidate:
    return Candidate(
        rank=1, run=1, lumi=2, event=3, sample="wprime", process="wprime", role="signal", weight=1.0, score=12.345,
        background_fraction_above=0.0, drivers=drivers,
    )  # fmt: skip


def lines(gains: dict[str, dict[str, float]], *candidates: Candidate, **main: Any) -> tuple[str, ...]:
    """Headline of detectors -> signals -> difference of the AUC to MET alone."""
    evaluations = [evaluation(d, s, gain) for d, own in gains.items() for s, gain in own.items()]
    signals = dict.fromkeys(s for own in gains.values() for s in own)
    met = [evaluation("met", s, None) for s in signals]
    detectors = [detector("autoencoder", **main), detector("kmeans"), detector("met")]
    return headline(detectors[0], detectors, [*met, *evaluations], [sample(s) for s in signals], candidates)


def test_the_verdict_names_who_beats_met_alone_on_what() -> None:
    first = lines({"autoencoder": {"wprime": -0.05, "c1n2": -0.05}, "kmeans": {"wprime": 0.05, "c1n2": -0.05}})[0]
    assert first == (
        "Only k-means clustering beats MET alone on W' → WZ, 2 TeV; no detector beats MET alone on "
        "chargino-neutralino (450, 300) (AUC, 68 % interval of the difference)."
    )


def test_signals_with_the_same_answer_share_a_clause() -> None:
    first = lines({"autoencoder": {"wprime": 0.05, "c1n2": 0.05}, "kmeans": {"wprime": 0.05, "c1n2": 0.05}})[0]
    assert first.startswith("Every detector beats MET alone on W' → WZ, 2 TeV and chargino-neutralino (450, 300) (AUC")


def test_a_difference_whose_interval_holds_zero_is_no_win() -> None:
    assert lines({"autoencoder": {"wprime": 0.005}})[0].startswith("No detector beats MET alone")


def test_registry_names_never_appear_and_sentences_start_with_capitals() -> None:
    gains = {"autoencoder": {"c1n2": -0.05, "wprime": -0.05}, "kmeans": {"c1n2": 0.05, "wprime": 0.05}}
    found = lines(gains, candidate())
    assert not any(name in line for line in found for name in ("autoencoder", "kmeans", "wprime"))
    assert all(line[0].isupper() for line in found)
    assert (
        "Chargino-neutralino (450, 300): AUC of Autoencoder 0.850, MET alone 0.900, best detector: k-means" in found[1]
    )
    assert "With 1 % of the background, Autoencoder keeps 50 % of the signal, MET alone keeps 50 %." in found[1]


def test_drivers_have_words_and_units_and_small_shares_are_left_out() -> None:
    drivers = [Driver(feature=f, value=v, share=s) for f, v, s in (("MET_pt", 812.34, 0.6), ("nJet", 2.0, 0.01))]
    (line,) = lines({}, candidate(*drivers))
    assert line.endswith("score 12.35, driven by missing transverse momentum (812 GeV).")


def test_the_threshold_is_stated_with_what_it_flags() -> None:
    rate = Estimate(value=0.0512, low=0.049, high=0.0535)
    cut = ThresholdSummary(
        quantile=0.95, value=3.2, false_positive_rate=rate, background_above=410, background_total=8000
    )
    (line,) = lines({}, threshold=cut)
    assert "95 % quantile" in line
    assert "5.1 % [4.9, 5.3] of the test background by weight (410 of 8000 simulated events)" in line


def test_without_evaluations_nothing_is_claimed() -> None:
    assert lines({}) == ()
