"""Diagnosis, closure and two-sample tests."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from anomalon.distortions import distort, parse_distortions
from anomalon.errors import EmptySelectionError
from anomalon.style.attribution import attribute
from anomalon.style.closure import Closure, closures, combined
from anomalon.style.diagnosis import diagnose, suspects
from anomalon.style.objects import Chosen, Freedom
from anomalon.style.spectrum import smooth_spectra
from anomalon.style.two_sample import tell_apart
from anomalon.style.variables import table, variables
from tests.style.synthetic import made


@pytest.fixture(scope="module")
def source():
    return made(1500, 1)


@pytest.fixture(scope="module")
def other():
    return made(1500, 2)


def test_equal_samples_differ_by_no_more_than_the_floor(source, other):
    found = diagnose(source, other)
    assert max(item.significance for item in found) < 4.5
    assert suspects(found) == ()


@pytest.mark.parametrize(("distortion", "expected"), [("bjet-scale-0.5", "bjets"), ("jet-scale-down-5", "jets")])
def test_the_cause_is_what_was_distorted(distortion, expected):
    selection = Freedom(objects="jets", pt_min=25.0)
    target = selection.selected(distort(made(12_000, 4), parse_distortions([distortion, distortion])))
    found, differences = attribute(made(12_000, 3), target, selection)
    assert found == expected
    assert set(suspects(differences)) >= ({"bjets", "other-jets"} if expected == "jets" else {"bjets"})


def test_objects_that_differ_because_of_the_cuts_are_no_cause():
    selection = Freedom(objects="bjets", pt_min=25.0, at_least=2)
    events, others = made(12_000, 5), made(12_000, 6)

    def correlated(e):  # other jets as hard as the b-jets of their event
        jets = Chosen.read(e, "other-jets")
        mean = np.nan_to_num(ak.to_numpy(ak.mean(e.array.jets.pt[e.array.jets.btag], axis=1)), nan=60.0)
        return jets.moved(jets.pt * (mean[jets.owner] / 80.0))

    target = selection.selected(distort(correlated(others), parse_distortions("bjet-scale-0.5")))
    found, differences = attribute(correlated(events), target, selection)
    assert "other-jets" in suspects(differences)
    assert found == "bjets"


def test_where_nothing_differs_there_is_no_cause(source, other):
    assert attribute(source, other, Freedom())[0] is None


def test_the_distance_is_that_of_scipy(source, other):
    found = {item.variable: item.distance for item in diagnose(source, other)}
    a, b = (variables(events)["met"].values for events in (source, other))
    assert found["met"] == pytest.approx(wasserstein_distance(a, b) / np.concatenate([a, b]).std())


def test_the_same_seed_gives_the_same_diagnosis(source, other):
    assert diagnose(source, other, seed=3) == diagnose(source, other, seed=3)
    assert diagnose(source, other, seed=3) != diagnose(source, other, seed=4)


def test_no_events_are_refused(source):
    with pytest.raises(EmptySelectionError, match="the target has no events"):
        diagnose(source, source[:0])


def test_the_truth_closes_everything_and_the_source_nothing(source, other):
    steps = parse_distortions("bjet-scale-0.5")
    twins, target = distort(source, steps), distort(other, steps)
    perfect, nothing = closures(source, twins, twins, target), closures(source, source, twins, target)
    assert perfect["bjets.pt"].closed == 1
    assert nothing["bjets.pt"].closed == 0
    assert 0.9 < perfect["bjets.pt"].ceiling < 1
    assert perfect["muons.pt"].closed is None


def test_regions_are_judged_together():
    up, down = (Closure(variable=name, before=4.0, after=after, floor=0.1) for name, after in (("a", 1.0), ("b", 3.0)))
    assert combined([up, down], "both").closed == 0.5


def test_a_test_sees_a_difference_and_chance_shows_none(source, other):
    same = tell_apart(source, other)
    seen = tell_apart(source, distort(other, parse_distortions("bjet-scale-0.5")))
    assert abs(same.significance) < 3.5
    assert seen.auc > 0.7
    assert same.error == pytest.approx(np.sqrt(3001 / (12 * 1500**2)))


def test_too_few_events_are_not_tested(source):
    with pytest.raises(EmptySelectionError, match="at least 100 each are needed"):
        tell_apart(source, source[:50])


def test_the_table_has_a_column_per_name_and_no_infinities(source):
    names, values = table(source)
    assert values.shape == (len(source), len(names))
    assert len(set(names)) == len(names)
    assert not np.isinf(values).any()


def test_a_cell_keeps_the_shape_that_it_shares_with_all_and_its_own_slope():
    rng = np.random.default_rng(3)
    truth = 300 * np.exp(-((np.linspace(-2, 3, 80)) ** 2)) * np.exp(np.outer([-0.5, 0.5], np.linspace(-1, 1, 80)))
    smooth = smooth_spectra(rng.poisson(truth).astype(float))
    inside = truth > 5
    assert np.abs(smooth / truth - 1)[inside].max() < 0.25


def test_a_smooth_spectrum_keeps_the_sum_and_stays_within_its_range():
    counts = np.zeros(100)
    counts[10:80] = np.random.default_rng(2).poisson(np.linspace(400, 20, 70))
    smooth = smooth_spectra(counts[None])[0]
    assert smooth.sum() == pytest.approx(counts.sum())
    assert (smooth[:10] == 0).all()
    truth = np.linspace(400, 20, 70)
    assert (np.abs(smooth[10:80] - truth) < 5 * np.sqrt(truth)).all()
    assert np.abs(np.diff(smooth[11:79])).max() < 0.5 * np.abs(np.diff(counts[11:79])).max()
