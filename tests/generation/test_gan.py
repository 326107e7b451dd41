"""Ten conditional GANs in sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.errors import ModelFileError
from anomalon.generation.flatten import MASS, PHI, PT, flatten
from anomalon.generation.gan import MET, PenaltySettings, Range, Sequence, SmallClipSettings, _given
from anomalon.generation.records import Asked, Learned
from anomalon.generation.registry import get_generator
from anomalon.generation.validity import broken_rules
from anomalon.training import EpochReport, TrainingRun
from tests.generation.examples import quick, toy_events

NAME = "garcia2024-wgan-gp-small"


@pytest.fixture(scope="module")
def fitted() -> Sequence:
    made = quick(NAME).fit(toy_events())
    assert isinstance(made, Sequence)
    return made


def rows(generator: Sequence, n: int = 200) -> tuple[Learned, dict[str, tuple[np.ndarray, np.ndarray]]]:
    arrays = flatten(toy_events(n), generator.slots)
    learned = Learned(arrays, np.zeros((n, 0), np.float32))
    return learned, generator._training_rows(learned)


def test_the_sources_slots_make_its_ten_models() -> None:
    names = quick(NAME, slots="garcia2024")._names()  # type: ignore[attr-defined]
    assert names == (MET, "b", "j", "e-", "e+", "m-", "m+", "g", "b-next", "j-next")


def test_the_full_widths_and_losses_are_those_of_the_source() -> None:
    clip, penalty = (get_generator(f"garcia2024-wgan{name}").Settings() for name in ("", "-gp"))
    assert (clip.bound.clip, clip.bound.penalty) == (0.01, 0.0)  # type: ignore[attr-defined]
    assert (penalty.bound.clip, penalty.bound.penalty) == (None, 10.0)  # type: ignore[attr-defined]
    assert clip.slots == "garcia2024"
    assert clip.multiplicities.coverage == 0.95
    for settings in (clip.met, clip.particles, penalty.met, penalty.particles):  # type: ignore[attr-defined]
        assert (settings.width, settings.layers, settings.critic_steps) == (1024, 7, 6)
        assert (settings.learning_rate, settings.betas) == (5e-6, (0.5, 0.9))
    assert (clip.met.batch_size, clip.met.epochs) == (2048, 160)  # type: ignore[attr-defined]
    assert (clip.particles.batch_size, clip.particles.epochs) == (1024, 320)  # type: ignore[attr-defined]


def test_a_setting_alone_leaves_the_others_of_its_preset() -> None:
    small = SmallClipSettings.parse({"particles": {"steps": 7}})
    assert (small.particles.steps, small.particles.width, small.bound.clip) == (7, 64, small.clip)
    full = PenaltySettings.parse({"met": {"epochs": 7}})
    assert (full.met.epochs, full.met.batch_size, full.bound.penalty) == (7, 2048, 10.0)


def test_conditions_are_what_came_before(fitted: Sequence) -> None:
    learned, found = rows(fitted)
    arrays = learned.arrays
    two = np.flatnonzero(arrays.counts[:, 0] >= 2)
    features, given = found["b"]
    b = np.flatnonzero(arrays.present[:, 0])
    np.testing.assert_allclose(features[:, 1], np.log10(arrays.objects[b, 0, PT]))
    np.testing.assert_allclose(given[:, :2], np.stack([np.log10(arrays.met[b, 0]), arrays.met[b, 1]], axis=1))
    assert not given[:, 2:].any()
    _, given = found["b-next"]
    np.testing.assert_allclose(given[: len(two), 2:6], given[: len(two), 6:10])  # one object before: sum and previous
    np.testing.assert_allclose(given[: len(two), 7], np.log10(1 + arrays.objects[two, 0, PT]))
    j = np.flatnonzero(arrays.present[:, fitted.slots["b"]])
    _, given = found["j"]
    expected = np.where(arrays.present[:, : fitted.slots["b"]], arrays.objects[:, : fitted.slots["b"], PHI], 0).sum(1)
    np.testing.assert_allclose(given[:, 5], expected[j], atol=1e-12)


def test_objects_are_drawn_given_what_was_drawn_before(fitted: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    # every call of a GAN sees the sums and the previous object of the calls before
    made, before, previous, met = fitted._made, np.zeros((1, 4)), np.zeros((1, 4)), np.zeros((1, 2))
    names = []

    def record(name: str, given: np.ndarray, *rest: Any) -> np.ndarray:
        nonlocal before, previous, met
        found = made(name, given, *rest)
        if len(given):
            names.append(name)
        if name == MET:
            met = found
        elif len(given):
            last = previous if name.endswith("-next") else np.zeros((1, 4))
            np.testing.assert_allclose(given, _given(met, before, last, np.zeros((1, 0), np.float32)))
            previous = np.concatenate([10 ** found[:, :2], found[:, 2:]], axis=1)
            before = before + previous
        return found

    monkeypatch.setattr(fitted, "_made", record)
    counts = np.array([[2, 3, 1, 0, 0, 1, 0]])
    fitted._draw(Asked(counts, np.zeros((1, 0), np.float32), np.array([7], dtype=np.uint64)))
    assert names == [MET, "b", "b-next", "j", "j-next", "j-next", "e-", "m+"]


def test_features_come_back_from_their_range() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    scale = Range.of(values)
    assert np.abs(scale.scaled(values)).max() == pytest.approx(1.0)
    np.testing.assert_allclose(scale.values(scale.scaled(values).astype(float)), values, atol=1e-6)
    assert (scale.values(np.full((1, 3), 1.5)) == values.max(axis=0)).all()


def test_masses_are_on_the_shell_unless_energies_are_left_as_generated(fitted: Sequence) -> None:
    made = flatten(fitted.sample(300, 1), fitted.slots)
    assert not broken_rules(made)["any"].any()
    other = quick(NAME, mass_shell=False).fit(toy_events())
    raw = flatten(other.sample(300, 1), other.slots)
    broken = broken_rules(raw)
    assert broken["below_shell"].any()
    assert broken["off_shell"].any()
    jets, there = raw.of("b", "j")
    assert (jets[..., MASS][there] < 0).any()
    assert not broken["order"].any()


def test_progress_counts_the_epochs_of_all_models() -> None:
    seen: list[EpochReport] = []
    quick(NAME).fit(toy_events(), run=TrainingRun(progress=seen.append))
    assert [report.epoch for report in seen] == list(range(1, len(seen) + 1))
    assert {report.epochs for report in seen} == {len(seen)}


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = quick(NAME).fit(toy_events())

    def stop(report: EpochReport) -> None:
        if report.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(NAME).fit(toy_events(), run=TrainingRun(tmp_path, progress=stop, checkpoint_seconds=0.0))
    resumed = quick(NAME).fit(toy_events(), run=TrainingRun(tmp_path, resume=True))
    np.testing.assert_array_equal(resumed.sample(20, 1).numbers("met.pt"), whole.sample(20, 1).numbers("met.pt"))


def test_ranges_of_other_slots_are_refused(fitted: Sequence, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    other = quick(NAME, slots={"b": 1, "j": 1})
    other.known, other.acceptance = fitted.known, fitted.acceptance
    assert isinstance(other, Sequence)
    with pytest.raises(ModelFileError, match="not the weights of this network"):
        other._load(tmp_path, {"record": None})
