"""The models that come along: small, loadable, and their events could have been written by the detector."""

import numpy as np
import pytest

from anomalon.errors import UnknownNameError
from anomalon.generation import trained
from anomalon.generation.flatten import KINDS, flatten
from anomalon.generation.registry import load_generator
from anomalon.generation.validity import rates

N = 20_000


def test_every_model_is_below_two_megabytes_and_names_what_it_learned_from():
    assert "ttbar" in trained.names()
    for name in trained.names():
        folder = trained.folder(name)
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 2_000_000
        generator = load_generator(folder)
        assert generator.trained_on
        assert generator.report.learned > 10_000


def test_top_pairs_obey_every_rule_and_look_like_top_pairs():
    made = load_generator(trained.folder("ttbar")).generate(N, seed=3)
    arrays = flatten(made.events)
    assert {sample.origin for sample in made.events.samples} == {"generated"}
    assert made.rejected < 0.3  # by the refinement, most of them
    counts = dict(zip(KINDS, arrays.counts.mean(axis=0), strict=True))
    assert 1.0 < counts["b"] < 2.0
    assert 0.2 < counts["e-"] + counts["e+"] + counts["m-"] + counts["m+"] < 0.8
    assert 20 < np.median(arrays.met[:, 0]) < 80
    for rate in rates(arrays, arrays, "darkmachines"):
        assert rate.generated_events == 0, rate.name


def test_an_unknown_model_is_named():
    with pytest.raises(UnknownNameError, match="no model 'ttbra' comes along; did you mean 'ttbar'"):
        trained.folder("ttbra")
