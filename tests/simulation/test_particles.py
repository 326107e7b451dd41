"""What is read from the generator's record."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.simulation.particles import Record, record_from_batch

Line = tuple[int, int, int, float, float, float]
"""(identity, status, mother, pT, eta, phi)."""


def read(*events: list[Line]) -> Record:
    lines = [[(90, -11, 0, 0.0, 0.0, 0.0), *event] for event in events]
    flat = np.array([line for event in lines for line in event])
    pt, eta, phi = flat[:, 3], flat[:, 4], flat[:, 5]
    momentum = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "e": pt * np.cosh(eta)}
    columns = {name: flat[:, i].astype(np.int32) for i, name in enumerate(("id", "status", "mother1"))}
    particles = ak.unflatten(ak.zip(columns | {"p": ak.zip(momentum)}, depth_limit=1), [len(event) for event in lines])
    return record_from_batch(ak.Array({"prt": particles, "info": [{"weights": [1.0]}] * len(lines)}))


def test_only_stable_visible_particles_reach_the_detector() -> None:
    invisible = [(code, 1, 0, 30.0, 0.0, 0.0) for code in (12, -14, 16, 52, 1000022, 1000039)]
    record = read([(23, -62, 0, 30.0, 0.0, 0.0), (13, 1, 1, 30.0, 1.0, 2.0), *invisible, (211, 1, 0, 0.05, 0.0, 0.0)])
    assert record.particles.pdg_id.tolist() == [13]
    assert [record.particles.pt[0], record.particles.eta[0], record.particles.phi[0]] == pytest.approx([30, 1, 2])


@pytest.mark.parametrize(
    ("mothers", "prompt"),
    [
        ((24,), True),
        ((24, 13, 13), True),
        ((24, -15), True),
        ((1000024,), True),
        ((23, 13, 22), True),
        ((521,), False),
        ((4122,), False),
        ((521, -15), False),
        ((111, 22), False),
    ],
)
def test_leptons_are_prompt_unless_a_hadron_is_behind_them(mothers: tuple[int, ...], prompt: bool) -> None:
    chain: list[Line] = [(code, -2, i, 40.0, 0.0, 0.0) for i, code in enumerate(mothers)]
    record = read([(211, 1, 0, 9.0, 0.0, 0.0)], [*chain, (13, 1, len(mothers), 20.0, 0.0, 0.0)])
    assert record.particles.prompt.tolist() == [True, prompt]
    assert record.particles.event.tolist() == [0, 1]


def test_heavy_hadrons_are_found_by_their_quark_and_diquarks_are_not() -> None:
    codes = (511, 5122, 421, -4122, 10521, 443, 211, 3122, 5103, 4203, 5)
    record = read([(code, -2, 0, 9.0, 0.1 * i, 0.0) for i, code in enumerate(codes)])
    assert record.hadrons.eta.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert record.hadrons.is_b.tolist() == [True, True, False, False, True, False]


def test_soft_heavy_hadrons_do_not_count() -> None:
    assert len(read([(511, -2, 0, 4.0, 0.0, 0.0)]).hadrons.event) == 0
