"""Jets taken for leptons, by weight instead of by luck.

A jet becomes an electron or a muon so rarely that drawing it would waste nearly all events. Each generated event is
split into weighted versions instead: with probability p, the sum of the rates of its jets, one jet, drawn according to
the rates, is taken for a lepton; with 1 - p the event stays as it is. The versions are stored with the factor ``fake``
(p or 1 - p), so that they add up to one event: yields are right, real three-lepton events are neither lost nor counted
twice, and a variation moves events between the versions without changing their sum. At most one jet is taken
for a lepton: terms in p^2 are left out.

The version with the fake lepton has run number 2 and the lumi and event numbers of its original. Jets below 20 GeV are
not stored and do not become leptons: with a lepton pT of 0.7 of the jet's, fake leptons start at 14 GeV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import make_objects, sort_by_pt
from anomalon.simulation.detector import met_objects
from anomalon.simulation.response import DetectorSettings, MetResponse

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_FLAVOURS = ("electrons", "muons")

RANDOM_NUMBERS = 5
"""Per event: which jet and flavour, charge, isolation, and two for the soft momentum."""


class FakeSettings(Settings):
    """How jets turn into leptons.

    Attributes:
        rate: per jet and flavour.
        pt_fraction: the lepton's part of the jet's pT.
        uncertainty: relative, for the variations ``fakeUp`` and ``fakeDown``.
        keep_real: whether events are stored without a fake lepton as well. Off, the rate stands for every non-prompt
            lepton: of 60,000 Drell-Yan events about six have a third lepton from a hadron or a photon, and each of them
            would weigh as much as 800 events with a fake one.
    """

    rate: float = Field(default=5e-4, ge=0, le=1)
    pt_fraction: float = Field(default=0.7, gt=0, le=1)
    uncertainty: float = Field(default=0.5, ge=0, le=1)
    keep_real: bool = True


@dataclass(frozen=True)
class Versions:
    """Weighted versions of events.

    Attributes:
        source: index of the event that each version was made from, shape (version,).
        is_fake: whether one of its leptons is a jet.
        objects: awkward columns of the versions.
        factors: ``fake``, ``fakeUp`` and ``fakeDown``, shape (version,).
    """

    source: Ints
    is_fake: Mask
    objects: dict[str, ak.Array]
    factors: dict[str, Floats]


def without_fakes(objects: Mapping[str, ak.Array]) -> Versions:
    """One version per event, with factor 1: for processes whose jets are not turned into leptons."""
    n = len(objects["met"])
    return Versions(np.arange(n), np.zeros(n, dtype=np.bool_), dict(objects), dict.fromkeys(_names(), np.ones(n)))


def with_fakes(
    objects: Mapping[str, ak.Array], uniform: Floats, *, settings: FakeSettings, detector: DetectorSettings
) -> Versions:
    """Split events into a version as it is and, where a jet can become a lepton, a version where one has.

    Args:
        objects: awkward columns electrons, muons, photons, jets and met.
        uniform: random numbers that belong to the events, shape (event, :data:`RANDOM_NUMBERS`).
        settings: rates.
        detector: acceptance of the leptons, and its response to soft momentum.
    """
    rates = _rates(objects["jets"], settings, detector)
    total = np.minimum(rates.sum(axis=1), 1.0)
    rows = np.flatnonzero(total > 0)
    option = _draw(rates[rows], uniform[rows, 0])
    faked = _as_lepton(
        {name: column[rows] for name, column in objects.items()},
        option // 2,
        is_muon=option % 2 == 1,
        uniform=uniform[rows, 1:],
        settings=settings,
        detector=detector,
    )
    return Versions(
        np.concatenate([np.arange(len(total)), rows]),
        np.repeat([False, True], [len(total), len(rows)]),
        {name: ak.concatenate([objects[name], faked[name]]) for name in objects},
        _factors(total, rows, settings),
    )


def _names() -> tuple[str, str, str]:
    return "fake", "fakeUp", "fakeDown"


def _factors(total: Floats, rows: Ints, settings: FakeSettings) -> dict[str, Floats]:
    scales = (1.0, 1.0 + settings.uncertainty, 1.0 - settings.uncertainty)
    varied = [np.minimum(scale * total, 1.0) for scale in scales]
    return {name: np.concatenate([1.0 - p, p[rows]]) for name, p in zip(_names(), varied, strict=True)}


def _rates(jets: ak.Array, settings: FakeSettings, detector: DetectorSettings) -> Floats:
    """Rate of every option, shape (event, 2 x jet): electron and muon of the first jet, of the second, ..."""
    n_jets = max(int(ak.max(ak.num(jets), initial=0, mask_identity=False)), 1)
    pt, eta = (_padded(jets[name], n_jets) for name in ("pt", "eta"))
    rates = np.zeros((len(pt), n_jets, 2))
    for flavour, response in enumerate((detector.electrons, detector.muons)):
        accepted = (settings.pt_fraction * pt > response.pt_min) & (np.abs(eta) < response.efficiency[-1][0])
        rates[:, :, flavour] = settings.rate * accepted
    return rates.reshape(len(pt), 2 * n_jets)


def _padded(values: ak.Array, length: int) -> Floats:
    padded = ak.fill_none(ak.pad_none(values, length, clip=True), 0.0)
    return np.asarray(ak.to_numpy(padded), dtype=np.float64).reshape(len(values), length)


def _draw(rates: Floats, uniform: Floats) -> Ints:
    """Column drawn with probability proportional to the rates, shape (event,)."""
    cumulative = np.cumsum(rates, axis=1)
    return np.asarray(np.argmax(cumulative > (uniform * cumulative[:, -1])[:, None], axis=1))


def _as_lepton(
    objects: Mapping[str, ak.Array],
    jet: Ints,
    *,
    is_muon: Mask,
    uniform: Floats,
    settings: FakeSettings,
    detector: DetectorSettings,
) -> dict[str, ak.Array]:
    """Replace jet number ``jet`` of each event by a lepton; the rest of the jet becomes soft momentum."""
    changed = dict(objects)
    if not len(jet):
        return changed
    old = ak.flatten(objects["jets"][ak.local_index(objects["jets"]) == jet[:, None]])
    changed["jets"] = objects["jets"][ak.local_index(objects["jets"]) != jet[:, None]]
    columns = {name: ak.to_numpy(old[name]) for name in ("eta", "phi")}
    columns["pt"] = (settings.pt_fraction * ak.to_numpy(old.pt)).astype(np.float32)
    columns["charge"] = np.where(uniform[:, 0] < 0.5, 1, -1).astype(np.int32)
    columns["isolation"] = (detector.isolation_max * uniform[:, 1]).astype(np.float32)
    for name, mass, chosen in zip(_FLAVOURS, (M_ELECTRON, M_MUON), (~is_muon, is_muon), strict=True):
        extra = columns | {"mass": np.full(len(jet), mass, dtype=np.float32)}
        lists = ak.unflatten(make_objects({k: v[chosen] for k, v in extra.items()}), chosen.astype(np.int64))
        changed[name] = sort_by_pt(ak.concatenate([objects[name], lists], axis=1))
    rest = ak.to_numpy(old.pt) - columns["pt"]
    changed["met"] = _without(objects["met"], rest, columns["phi"], uniform=uniform[:, 2:], response=detector.met)
    return changed


def _without(met: ak.Array, rest: Floats, phi: Floats, *, uniform: Floats, response: MetResponse) -> ak.Array:
    """Missing momentum after ``rest`` GeV in direction ``phi`` went from a jet to soft momentum."""
    # Box and Muller: the numbers belong to the event, so that they cannot be drawn here.
    radius = response.soft_resolution * np.sqrt(-2.0 * rest * np.log1p(-uniform[:, 0]))
    met_x, met_y = (
        ak.to_numpy(met.pt) * turn(ak.to_numpy(met.phi))
        + (1.0 - response.soft_scale) * rest * turn(phi)
        - radius * turn(2.0 * np.pi * uniform[:, 1])
        for turn in (np.cos, np.sin)
    )
    return met_objects(met_x, met_y)
