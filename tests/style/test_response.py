"""Responses where the answer is known."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.distortions import distort, parse_distortions
from anomalon.errors import ConfigError, FitError
from anomalon.style.closure import closures
from anomalon.style.objects import Chosen, Freedom
from anomalon.style.registry import calibrator
from anomalon.style.response_fit import packed, unpacked
from anomalon.style.response_model import Response
from tests.style.synthetic import made

CUT = Freedom(objects="bjets", pt_min=20.0)


@pytest.fixture(scope="module")
def source():
    return made(12_000, 1)


@pytest.fixture(scope="module")
def halved():
    return CUT.selected(distort(made(12_000, 2), parse_distortions("bjet-scale-0.5")))


def fitted(kind, source, target, freedom=CUT, **settings):
    return calibrator({"kind": kind, "freedom": freedom.model_dump(), **settings}).fit(source, target)


@pytest.mark.parametrize("pt_min", [20.0, 30.0])
def test_half_the_momentum_is_found_behind_a_cut(source, halved, pt_min):
    freedom = Freedom(objects="bjets", pt_min=pt_min)
    found = fitted("response", source, freedom.selected(halved), freedom)
    scale, error = np.exp(found.response.log_scale), found.quality["errors"]["log_scale"][0]
    assert scale == pytest.approx(0.5, rel=max(0.02, 3 * error))
    assert found.response.smearing < 0.1


def test_a_number_of_objects_that_events_must_have_is_inside_the_fit(source):
    freedom = Freedom(objects="bjets", pt_min=20.0, at_least=2)
    target = freedom.selected(distort(made(12_000, 2), parse_distortions("bjet-scale-0.5")))
    assert np.exp(fitted("response", source, target, freedom).response.log_scale) == pytest.approx(0.5, rel=0.04)


def test_morphing_without_the_cut_inside_the_fit_is_wrong_near_the_cut(source, halved):
    naive = fitted("quantiles", CUT.selected(source), halved, response=False)
    right = fitted("quantiles", source, halved)
    found = Chosen.read(source, "bjets")
    near = (found.pt > 28) & (found.pt < 32)

    def ratio(calibration):
        # b-jets keep their order in pT among themselves, for both maps ascend
        return np.median(Chosen.read(calibration.transform(source), "bjets").pt[near] / found.pt[near])

    assert ratio(naive) > 0.7
    assert ratio(right) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", ["response", "quantiles", "sliced-transport"])
def test_the_truth_is_closed(kind, source, halved):
    found = fitted(kind, source, halved)
    twins = CUT.selected(distort(source, parse_distortions("bjet-scale-0.5")))
    result = closures(CUT.selected(source), CUT.selected(found.transform(source)), twins, halved)
    assert result["bjets.pt"].closed > 0.97
    assert result["met"].closed > 0.93
    assert result["muons.pt"].after < 2 * result["muons.pt"].floor


@pytest.mark.slow
def test_cells_resolution_and_scale_are_told_apart():
    steps = parse_distortions(["jet-eta-response-5", "jet-resolution-10"])
    freedom = Freedom(objects="jets", pt_min=30.0)
    target = freedom.selected(distort(made(90_000, 3, jets=4.0), steps, seed=4))
    found = fitted("response", made(90_000, 4, jets=4.0), target, freedom)
    scale, error = found.response.log_scale, np.asarray(found.quality["errors"]["log_scale"])
    truth = np.log(np.where(np.asarray(freedom.eta_edges[:-1]) < 1.3, 1.05, 0.95))
    assert (np.abs(scale - truth) < 4 * error + 0.005).all()
    assert found.response.smearing == pytest.approx(0.1, abs=0.025)


def test_what_is_not_there_is_not_found(source):
    found = fitted("response", source, made(12_000, 5))
    assert found.response.slope == 0
    assert found.response.smearing == 0
    assert found.response.log_scale == pytest.approx(0.0, abs=0.02)


def test_the_resolution_is_that_of_the_distortion():
    response, n = Response(np.zeros(1), smearing=0.1), 200_000
    pull = response.smeared(np.full(n, 60.0), np.zeros(n, dtype=int), (np.arange(n) + 0.5) / n) / 60.0
    assert (pull.mean(), pull.std()) == (pytest.approx(1.0, abs=1e-3), pytest.approx(0.1, abs=1e-3))
    assert (pull > 0).all()


def test_parameters_and_response_are_the_same_thing():
    response = Response(np.array([0.1, -0.2, 0.3]), 0.05, 0.2)
    again = unpacked(packed(response))
    np.testing.assert_allclose(again.log_scale, response.log_scale)
    assert (again.slope, again.smearing) == (pytest.approx(0.05), pytest.approx(0.2))


def test_a_target_far_above_the_source_is_refused(source):
    hard = made(12_000, 6)
    freedom = Freedom(objects="bjets", pt_min=2000.0)
    with pytest.raises(FitError, match=r"objects of the target above 2000 GeV"):
        fitted("response", source, hard, freedom)


def test_edges_that_do_not_ascend_are_refused():
    with pytest.raises(ConfigError, match="ascending"):
        Freedom.parse({"eta_edges": [0.0, 2.5, 1.0]})


def test_leptons_keep_their_mass_and_jets_their_shape(source):
    leptons, jets = Chosen.read(source, "muons"), Chosen.read(source, "jets")
    moved = leptons.moved(1.1 * leptons.pt).array.muons
    assert set(np.round(ak.flatten(moved.mass).to_numpy(), 4)) == {np.float32(0.106)}
    after = jets.moved(0.5 * jets.pt).array.jets
    np.testing.assert_allclose(ak.flatten(after.mass / after.pt), 0.12, rtol=1e-5)
