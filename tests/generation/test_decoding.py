"""Decoding inverts encoding, and makes events within the rules from whatever is drawn."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri

from anomalon.generation.decoding import Decoder, stored_angle
from anomalon.generation.encoding import HEAD, PER_SLOT, Encoder, Shape
from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, flatten
from anomalon.generation.layout import Acceptance, get_slots
from anomalon.generation.neural import NORMAL, SLOT_PHI, filled, first_filled
from anomalon.generation.records import Asked, Learned
from anomalon.hashing import splitmix64
from anomalon.kinematics import delta_phi
from tests.generation.examples import toy_events

SHAPE = Shape(get_slots("default"), 0)
ACCEPTANCE = Acceptance.of_detector("darkmachines")


def toys(n: int = 400) -> EventArrays:
    arrays = flatten(toy_events(n), SHAPE.slots)
    return arrays[(arrays.counts <= list(SHAPE.slots.values())).all(axis=1)]


def encoder(arrays: EventArrays) -> Encoder:
    return Encoder.of(Learned(arrays, np.zeros((len(arrays), 0), np.float32)), SHAPE, ACCEPTANCE)


def asked(counts: np.ndarray) -> Asked:
    return Asked(counts, np.zeros((len(counts), 0), np.float32), splitmix64(np.arange(len(counts), dtype=np.uint64)))


def test_decoding_gives_back_what_was_encoded_but_for_a_turn() -> None:
    arrays = toys()
    made = encoder(arrays)
    rows = made.encode(Learned(arrays, np.zeros((len(arrays), 0), np.float32)), 0).astype(np.float64)
    slots = rows[:, HEAD:].reshape(len(arrays), -1, PER_SLOT)
    back = Decoder(made).whole(
        ndtri(slots[..., NORMAL:].clip(1e-7, 1 - 1e-7)), slots[..., SLOT_PHI], asked(arrays.counts)
    )
    there = arrays.present
    for column in (PT, ETA, MASS):
        scale = np.maximum(np.abs(arrays.objects[..., column]), 1.0)
        off = np.abs(back.objects[..., column] - arrays.objects[..., column]) / scale
        assert np.quantile(off[there], 0.99) < 2e-3, column
    turned = delta_phi(back.objects[..., PHI], arrays.objects[..., PHI])
    first = turned[np.arange(len(arrays)), first_filled(arrays.counts, SHAPE)]
    assert np.abs(delta_phi(turned, first[:, None]))[there].max() < 1e-4
    assert np.quantile(np.abs(back.met[:, 0] / arrays.met[:, 0] - 1), 0.9) < 0.02
    assert np.quantile(np.abs(delta_phi(delta_phi(back.met[:, 1], arrays.met[:, 1]), first)), 0.9) < 0.02


def test_thresholds_order_acceptance_and_masses_hold_whatever_is_drawn() -> None:
    arrays, rng = toys(), np.random.default_rng(0)
    counts = np.minimum(rng.integers(0, 6, (2000, len(KINDS))), list(SHAPE.slots.values()))
    normal = 4 * rng.normal(size=(2000, SHAPE.n_slots + 1, 3))
    made = Decoder(encoder(arrays)).whole(normal, 9 * rng.normal(size=normal.shape[:2]), asked(counts))
    rounded = EventArrays(
        made.met.astype(np.float32).astype(float), counts, made.objects.astype(np.float32).astype(float), made.slots
    )
    assert ACCEPTANCE.holds(rounded).all()
    assert np.isfinite(rounded.met).all()
    assert (np.abs(rounded.met[:, 1]) <= np.pi).all()
    for kind in KINDS:
        objects, there = rounded.of(kind)
        assert (~there[:, 1:] | (objects[:, 1:, PT] <= objects[:, :-1, PT])).all()
        assert (objects[..., MASS][there] >= 0).all()
    muons, there = rounded.of("m-", "m+")
    assert len(np.unique(muons[..., MASS][there])) == 1


def test_events_without_objects_are_made_of_missing_momentum() -> None:
    counts = np.zeros((500, len(KINDS)), dtype=np.int64)
    normal = np.random.default_rng(0).normal(size=(500, SHAPE.n_slots + 1, 3))
    made = Decoder(encoder(toys())).whole(normal, np.zeros(normal.shape[:2]), asked(counts))
    assert (made.met[:, 0] > 0).all()
    assert not made.objects.any()
    assert np.histogram(made.met[:, 1], 4, (-np.pi, np.pi))[0].min() > 90
    assert (first_filled(counts, SHAPE) == SHAPE.n_slots).all()


def test_filled_slots_are_those_of_the_numbers_of_objects() -> None:
    arrays = toys(50)
    there = filled(torch.from_numpy(arrays.counts), SHAPE).numpy()
    np.testing.assert_array_equal(there[:, :-1], arrays.present)
    assert there[:, -1].all()


def test_a_stored_angle_is_a_float32_within_pi() -> None:
    angles = stored_angle(np.array([np.pi, -np.pi, 3 * np.pi, 7.0]))
    assert (np.abs(angles) <= np.pi).all()
    np.testing.assert_array_equal(angles, angles.astype(np.float32))
    np.testing.assert_allclose(np.cos(angles), np.cos([np.pi, np.pi, np.pi, 7.0]), atol=1e-6)
