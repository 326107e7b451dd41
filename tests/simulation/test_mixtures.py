"""Named mixtures: allocation, statistics, and one made from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import ConfigError, OutputExistsError, UnknownNameError
from anomalon.simulation import mixtures, simulate
from anomalon.simulation.measured import Measured, MeasuredIngredient, measured
from anomalon.simulation.mixing import SUMMARY_FILE, MixtureSettings, MixtureSummary, simulate_mixture
from anomalon.simulation.mixtures import MIXTURES, Ingredient, Mixture, get_mixture
from anomalon.simulation.presets import PRESETS
from anomalon.store import Store

NAMES = {
    "trilepton", "dilepton-bjet", "dark-machines-1", "dark-machines-2a", "dark-machines-2b", "dark-machines-3",
    "ttbar-vs-ttdm", "dijet-resonance", "atlas-3lepton", "atlas-2lepton",
}  # fmt: skip

CONTAINED = (
    ("wz-all", "wz"), ("zz-all", "zz"), ("ww-all", "ww"), ("ttbar", "ttbar-2l"), ("w-jets", "w-jets-lnu"),
    ("z-jets", "z-jets-ll"), ("z-jets", "z-jets-nunu"), ("higgs", "higgs-4l"), ("higgs", "higgs-ww"),
    ("higgs", "higgs-diphoton"), ("vh", "wh-www"), ("drell-yan", "z-jets-ll"), ("w-lnu", "w-jets-lnu"),
)  # fmt: skip
"""A process and one that is part of it, from the caveats of the catalogue."""


def measurement(
    sigma: float, acceptance: float = 1.0, effective: float = 1.0, rate: float = 100.0
) -> MeasuredIngredient:
    return MeasuredIngredient(
        cross_section_pb=sigma,
        cross_section_error_pb=0.0,
        rate_mpi_on=rate,
        rate_mpi_off=5 * rate,
        n=1000,
        acceptance=acceptance,
        effective=effective,
    )


def by_hand(monkeypatch: pytest.MonkeyPatch, table: dict[str, MeasuredIngredient], **settings: Any) -> Mixture:
    """A mixture with made-up measurements, of backgrounds unless said otherwise."""
    whole = Measured(generator="a test", processes={}, mixtures={"own": table})
    monkeypatch.setattr(mixtures, "measured", lambda: whole)
    items = {"ingredients": tuple(Ingredient(process=name) for name in table)}
    return Mixture(name="own", title="own", region="trilepton", source="a test", **(items | settings))


def test_the_named_mixtures_are_there_and_measured() -> None:
    assert set(MIXTURES) == NAMES == set(measured().mixtures)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_mixture_resolves_and_its_numbers_add_up(name: str) -> None:
    mixture = get_mixture(name)
    assert mixture.resolved_region.words
    assert mixture.detector in PRESETS
    assert mixture.source
    assert {item.process for item in mixture.ingredients} == set(mixture.measured)
    assert {item.resolved.label for item in mixture.ingredients} == {item.process for item in mixture.ingredients}
    assert len({item.folder for item in mixture.ingredients}) == len(mixture.ingredients)
    assert sum(mixture.shares().values()) == pytest.approx(1.0)
    numbers = mixture.numbers(10_000)
    assert sum(numbers.values()) == 10_000
    assert min(numbers.values()) > 0
    assert 0 < mixture.effective_per_hour() < mixture.effective_per_hour(mpi=False)


def test_equal_weights_from_perfect_acceptance_make_every_event_count(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = by_hand(monkeypatch, {"wz": measurement(1.0), "zz": measurement(3.0)})
    assert mixture.shares() == pytest.approx({"wz": 0.25, "zz": 0.75})
    assert mixture.effective_per_hour() == pytest.approx(3600 * 100)
    assert mixture.effective_per_hour(mpi=False) == pytest.approx(3600 * 500)


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.05, 1)), min_size=2, max_size=5),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_no_other_allocation_has_a_smaller_error(rows: list[tuple[float, float]], first: int, second: int) -> None:
    wanted = np.array([mixtures._wanted(measurement(s, a, a)) for s, a in rows])
    shares = wanted / wanted.sum()

    def variance(n: np.ndarray) -> float:
        return sum((s * a) ** 2 / (part * a) for (s, a), part in zip(rows, n, strict=True))

    moved = shares.copy()
    step = 0.1 * shares[first % len(rows)]
    moved[first % len(rows)] -= step
    moved[second % len(rows)] += step
    assert variance(shares) <= variance(moved) * (1 + 1e-12)


def test_rare_backgrounds_and_those_never_seen_in_the_region_get_events(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"wz": measurement(100.0), "zz": measurement(1e-6), "ww": measurement(1.0, 0.0, 0.0)}
    shares = by_hand(monkeypatch, table).shares()
    assert min(shares.values()) > 0.009


def test_a_mixture_may_raise_the_share_of_rare_backgrounds(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"wz": measurement(100.0), "zz": measurement(1e-6)}
    shares = by_hand(monkeypatch, table, least_background=0.25).shares()
    assert shares == pytest.approx({"wz": 0.8, "zz": 0.2})


def test_a_share_given_by_hand_is_kept_and_the_others_divide_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"wz": measurement(1.0), "zz": measurement(3.0), "ww": measurement(1e3), "c1n2": measurement(1.0)}
    items = (
        Ingredient(process="wz"),
        Ingredient(process="ww", share=0.2),
        Ingredient(process="zz"),
        Ingredient(process="c1n2", role="signal"),
    )
    shares = by_hand(monkeypatch, table, ingredients=items, each_signal=0.1).shares()
    assert shares == pytest.approx({"wz": 0.9 * 0.8 * 0.25, "ww": 0.9 * 0.2, "zz": 0.9 * 0.8 * 0.75, "c1n2": 0.1})


def test_no_mixture_holds_a_process_beside_one_that_contains_it() -> None:
    for mixture in MIXTURES.values():
        names = {item.resolved.name for item in mixture.ingredients if item.role == "background"}
        for whole, part in CONTAINED:
            assert not {whole, part} <= names, f"{mixture.name}: {whole} contains {part}"


def test_mistakes_are_answered_in_one_line() -> None:
    with pytest.raises(UnknownNameError, match="no mixture 'trileptons'; did you mean 'trilepton'"):
        get_mixture("trileptons")
    with pytest.raises(ConfigError, match="mixture 'ttbar-vs-ttdm': 1 events for 2 processes"):
        get_mixture("ttbar-vs-ttdm").numbers(1)


SETTINGS = MixtureSettings(mixture="ttbar-vs-ttdm", n_events=400, seed=9, mpi=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MixtureSummary]:
    pytest.importorskip("pythia8mc", reason="simulation needs the extra 'simulate'")
    pytest.importorskip("fastjet", reason="jets need the extra 'simulate'")
    folder = tmp_path_factory.mktemp("mixture") / "made"
    return folder, simulate_mixture(SETTINGS, folder, workers=1)


def test_a_mixture_is_one_store_per_process_and_a_summary(made: tuple[Path, MixtureSummary]) -> None:
    folder, summary = made
    numbers = get_mixture("ttbar-vs-ttdm").numbers(400)
    assert [part.process for part in summary.parts] == ["ttbar-2l", "ttdm-2l"]
    for part in summary.parts:
        store = Store(folder / part.store)
        assert store.samples[0].n_generated == part.n_generated == numbers[part.process]
        assert store.n_events == part.n_stored
    assert MixtureSummary.parse(json.loads((folder / SUMMARY_FILE).read_text())) == summary


def test_yields_of_the_summary_are_sums_of_weights_and_fit_the_table(made: tuple[Path, MixtureSummary]) -> None:
    folder, summary = made
    background = summary.parts[0]
    events = Store(folder / background.store).load()
    chosen = events.weights(140.0)[get_mixture("ttbar-vs-ttdm").resolved_region.passes(events.array)]
    assert background.expected == pytest.approx(chosen.sum())
    assert summary.effective_background == pytest.approx(chosen.sum() ** 2 / (chosen**2).sum())
    table = get_mixture("ttbar-vs-ttdm").measured["ttbar-2l"]
    expected = 140e3 * table.cross_section_pb * table.acceptance
    assert background.expected == pytest.approx(expected, rel=0.1, abs=5 * background.expected_error)


def test_a_mixture_has_the_events_of_its_processes_simulated_alone(made: tuple[Path, MixtureSummary]) -> None:
    folder, summary = made
    item, part = get_mixture("ttbar-vs-ttdm").ingredients[0], summary.parts[0]
    alone = simulate(SETTINGS.simulation(item, part.n_generated), workers=1).load()
    assert ak.array_equal(Store(folder / part.store).load().array.met.pt, alone.array.met.pt)


def test_a_folder_that_holds_something_is_left_alone(made: tuple[Path, MixtureSummary]) -> None:
    with pytest.raises(OutputExistsError, match="is not empty"):
        simulate_mixture(SETTINGS, made[0])
