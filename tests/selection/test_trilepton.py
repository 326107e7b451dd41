from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import MissingFieldError
from anomalon.events import Events
from anomalon.features import TrileptonFeatures
from anomalon.selection import TrileptonSelection, apply
from anomalon.selection.trilepton import CHANNELS
from tests.random_events import random_rows
from tests.selection import trilepton_loop as loop

ROWS = random_rows(1500, seed=7)
EVENTS = Events.from_dicts(ROWS)


def lepton(pt: float, charge: int, eta: float = 0.3, phi: float = 0.0) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi, "charge": charge}


def test_every_cut_agrees_with_a_loop_over_events() -> None:
    passed = np.array([loop.cuts_passed(row) for row in ROWS])
    steps = TrileptonSelection().steps(EVENTS)
    assert len(steps) == 4
    for k, (name, mask) in enumerate(steps):
        np.testing.assert_array_equal(mask, passed >= k, err_msg=name)
    assert 50 < steps[-1][1].sum() < 1400


def test_every_feature_agrees_with_a_loop_over_events() -> None:
    features = TrileptonFeatures().transform(EVENTS)
    for i, row in enumerate(ROWS):
        expected = loop.features(row)
        present = {name for name, there in zip(features.names, features.mask[i], strict=True) if there}
        assert present == set(expected)
        for name in present:
            value = float(features.values[i, features.index(name)])
            assert value == pytest.approx(expected[name], rel=2e-4, abs=5e-3), (i, name)


def test_channel_variables_are_present_only_in_their_channel() -> None:
    features = TrileptonFeatures().transform(EVENTS)
    channel = np.stack([features.column(f"channel_{c}") for c in CHANNELS], axis=1)
    for i, name in enumerate(CHANNELS):
        for what in ("Zmass", "Dr_Z", "Sum_mass"):
            column, there = features.column(f"{name}_{what}"), features.mask[:, features.index(f"{name}_{what}")]
            assert not there[channel[:, i] != 1].any()
            assert np.isnan(column[~there]).all()
            assert np.isfinite(column[there]).all()


def test_every_selected_event_is_in_exactly_one_channel() -> None:
    selected = apply(TrileptonSelection(), EVENTS).events
    features = TrileptonFeatures().transform(selected)
    total = sum(features.column(f"channel_{c}") for c in CHANNELS)
    np.testing.assert_array_equal(total, 1.0)


def test_the_pair_closest_to_the_z_mass_is_chosen_and_not_the_leading_pair() -> None:
    # The leading pair is far above m_Z; the second combination, back to back, sits on it.
    row = {"muons": [lepton(200, 1), lepton(45.6, -1, phi=3.1), lepton(45.6, 1, phi=-0.04)], "met": {"pt": 1, "phi": 0}}
    features = TrileptonFeatures().transform(Events.from_dicts([row]))
    assert features.column("D_Zmass")[0] == pytest.approx(91.2, abs=0.3)
    assert features.column("W_lepton_pt")[0] == 200


def test_three_leptons_without_an_opposite_sign_same_flavour_pair_have_no_z_candidate() -> None:
    row = {"electrons": [lepton(50, 1), lepton(40, 1, phi=2)], "muons": [lepton(30, -1, phi=-2)]}
    events = Events.from_dicts([row])
    assert not TrileptonSelection().steps(events)[-1][1].any()
    without = TrileptonSelection(require_z=False)
    assert without.steps(events)[-1][1].all()
    features = TrileptonFeatures(selection=without).transform(events)
    assert np.isnan(features.column("B_Zmass")[0])
    assert np.isnan(features.column("mT_W")[0])
    assert features.column("B_Sum_mass")[0] > 0


def test_a_fourth_lepton_never_enters_the_triplet() -> None:
    three = [lepton(60, 1), lepton(50, -1, phi=2.5), lepton(30, 1, phi=-2)]
    a = TrileptonFeatures().transform(Events.from_dicts([{"electrons": three}]))
    b = TrileptonFeatures().transform(Events.from_dicts([{"electrons": [*three, lepton(11, -1, phi=1)]}]))
    assert b.column("nElectron")[0] == 4
    np.testing.assert_array_equal(a.column("A_Sum_mass"), b.column("A_Sum_mass"))


def test_the_order_of_the_input_lists_does_not_matter() -> None:
    turned = [{k: v[::-1] if isinstance(v, list) else v for k, v in row.items()} for row in ROWS]
    a, b = (TrileptonFeatures().transform(e).values for e in (EVENTS, Events.from_dicts(turned)))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_lepton_with_a_broken_direction_is_missing_not_invented() -> None:
    row = {
        "muons": [lepton(50, 1), lepton(40, -1, phi=float("nan")), lepton(30, 1, phi=2)],
        "met": {"pt": 20, "phi": 1},
    }
    features = TrileptonFeatures().transform(Events.from_dicts([row]))
    assert not features.mask[0, features.index("D_Zmass")]
    assert features.not_finite() == {"D_Sum_mass": 1, "m_3l": 1}
    assert not features.usable()[0]


def test_tighter_cuts_never_pass_more_events() -> None:
    loose, tight = (TrileptonSelection(eta_max=eta).steps(EVENTS)[-1][1].sum() for eta in (2.5, 1.2))
    assert tight < loose


def test_missing_columns_are_named() -> None:
    events = Events(EVENTS.array[["run", "lumi", "event", "dataset", "gen_weight", "electrons"]], EVENTS.samples)
    with pytest.raises(MissingFieldError, match=r"muons\.charge.*found run, lumi"):
        TrileptonSelection().steps(events)


def test_no_event_is_a_legal_input() -> None:
    empty = EVENTS[:0]
    assert len(apply(TrileptonSelection(), empty).events) == 0
    assert TrileptonFeatures().transform(empty).values.shape == (0, len(TrileptonFeatures().names))
