"""Ten conditional Wasserstein GANs in sequence, as in Garcia Ruiz 2024 (UPV), with the right losses.

The first makes MET and its phi, given the slots that are filled. Each kind of particle has one for its first object,
given MET and the sum of the four features of all objects before, and, where it has more slots, one for the next
objects, given the previous one as well. Features are log10 E, log10 pT, eta and phi, scaled to [-1, 1] by their range
in training. With the slots of the source that makes ten.

So that events can be written, the objects of a kind are put in order of pT, and masses follow from E and pT: those of
leptons and photons are known, and an energy below the momentum gives a jet without mass. ``mass_shell: false`` leaves
energies as they were generated, as the source does.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import nn

from anomalon.errors import ModelFileError
from anomalon.generation.contract import Generator
from anomalon.generation.decoding import stored_angle
from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Floats, Ints, energy
from anomalon.generation.layout import CLASS_OF, MASS_OF, Reach
from anomalon.generation.multiplicities import MultiplicitySettings
from anomalon.generation.noise import normal_noise, uniform_noise
from anomalon.generation.records import Asked, GeneratorSettings, Learned
from anomalon.generation.wgan import (
    AdversarialSettings,
    Adversaries,
    Around,
    Lipschitz,
    METSettings,
    Sizes,
    SmallSettings,
    generator_network,
)
from anomalon.kinematics import momentum
from anomalon.models.storage import load_network, save_network
from anomalon.networks.computing import one_thread_each, private_random_stream
from anomalon.training import EpochReport, TrainingRecord, TrainingRun

MET = "met"
_NEXT = "-next"
BLOCK = 4096
"""Events drawn at once."""
_WEIGHTS, _RANGES = "generators.safetensors", "ranges.safetensors"
_GIVEN = 2 + 4 + 4
"""Conditions of a particle: MET and its phi, the sum of the features before, the previous object."""


class GANSettings(GeneratorSettings):
    """Shape and training of the GANs in sequence.

    Attributes:
        slots: those of the source, by default.
        multiplicities: the most frequent masks that cover 95 % of the events, as in the source, by default.
        mass_shell: masses of leptons and photons are exact, those of jets not below zero.
        met: the GAN of missing momentum.
        particles: the GANs of particles.
    """

    slots: str | dict[str, int] = "garcia2024"
    multiplicities: MultiplicitySettings = MultiplicitySettings(coverage=0.95)
    mass_shell: bool = True
    met: METSettings = METSettings()
    particles: AdversarialSettings = AdversarialSettings()

    @property
    def bound(self) -> Lipschitz:
        """Of the critics' gradients."""
        return Lipschitz()


@dataclass(frozen=True)
class Range:
    """Smallest and largest values in training, shape (number,): of features and conditions."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: Floats) -> Range:
        """Range of values (object, number)."""
        return cls(values.min(axis=0), values.max(axis=0))

    def scaled(self, values: Floats) -> npt.NDArray[np.float32]:
        """Values in [-1, 1]; outside of the range they stop at twice its width."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        return np.clip(2 * (values - self.low) / width - 1, -3, 3).astype(np.float32)

    def values(self, scaled: Floats) -> Floats:
        """Back from [-1, 1]."""
        return np.clip(self.low + (self.high - self.low) * (scaled + 1) / 2, self.low, self.high)


class Sequence(Generator):
    """Draws MET, then object after object, each with the GAN of its place."""

    Settings: ClassVar[type[GeneratorSettings]] = GANSettings
    settings: GANSettings

    def _names(self) -> tuple[str, ...]:
        """Names of the GANs."""
        first = [kind for kind in KINDS if self.slots[kind]]
        return (MET, *first, *(kind + _NEXT for kind in first if self.slots[kind] > 1))

    def _fit(self, learned: Learned, validation: Learned | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        around, start = run or TrainingRun(), time.monotonic()
        data = self._training_rows(learned)
        self.ranges = {name: self._range(name, *rows) for name, rows in data.items()}
        self.networks, losses = nn.ModuleDict(), list[float]()
        total = sum(self._settings(name).epochs_for(len(f)) for name, (f, _) in data.items() if len(f))

        def tell(loss: float) -> None:
            losses.append(loss)
            if around.progress is not None:
                around.progress(EpochReport(len(losses), total, loss, None, 0.0, len(losses), time.monotonic() - start))

        with private_random_stream():
            for name, rows in data.items():
                gan = self._adversaries(name, around.device)
                path = None if around.checkpoint_dir is None else around.checkpoint_dir / f"{name}.safetensors"
                if len(rows[0]):
                    where = Around(path, around.resume, around.checkpoint_seconds, tell)
                    features, given = self._scaled(name, *rows)
                    self.networks[name] = gan.train(features, given, where)
                else:
                    self.networks[name] = gan.generator.cpu().eval()
        self.record = TrainingRecord(tuple(losses), (), (), len(losses) - 1, time.monotonic() - start, "epochs")
        self._ready()

    def _adversaries(self, name: str, device: str) -> Adversaries:
        seed = 1000 * self.settings.seed + self._names().index(name)
        return Adversaries(self._sizes(name), self._settings(name), bound=self.settings.bound, seed=seed, device=device)

    def _settings(self, name: str) -> AdversarialSettings:
        return self.settings.met if name == MET else self.settings.particles

    def _sizes(self, name: str) -> Sizes:
        n_context = self._require_fit().n_context
        if name == MET:
            return Sizes(sum(self.slots.values()) + n_context, 2)
        return Sizes(_GIVEN + n_context, 4)

    def _ready(self) -> None:
        self.exact: Any = copy.deepcopy(self.networks).double()

    def _training_rows(self, learned: Learned) -> dict[str, tuple[Floats, Floats]]:
        """Features and conditions of every GAN."""
        arrays, there = learned.arrays, learned.arrays.present
        met = np.stack([np.log10(np.maximum(arrays.met[:, 0], 1e-3)), arrays.met[:, 1]], axis=1)
        found = {MET: (met, np.concatenate([there, learned.context], axis=1))}
        raw = np.where(there[..., None], _raw(arrays.objects), 0.0)
        before = np.cumsum(raw, axis=1) - raw
        for name in self._names()[1:]:
            parts = [np.concatenate(part) for part in zip(*self._rows_of(name, learned, met, raw, before), strict=True)]
            found[name] = (parts[0], parts[1])
        return found

    def _rows_of(
        self, name: str, learned: Learned, met: Floats, raw: Floats, before: Floats
    ) -> Iterator[tuple[Floats, Floats]]:
        kind, first = name.removesuffix(_NEXT), not name.endswith(_NEXT)
        span = learned.arrays.span(kind)
        for slot in range(span.start, span.start + 1) if first else range(span.start + 1, span.stop):
            rows = np.flatnonzero(learned.arrays.present[:, slot])
            previous = np.zeros((len(rows), 4)) if first else raw[rows, slot - 1]
            yield _features(raw[rows, slot]), _given(met[rows], before[rows, slot], previous, learned.context[rows])

    def _range(self, name: str, features: Floats, given: Floats) -> Range:
        if len(features):
            return Range.of(np.concatenate([features, given], axis=1))
        reach = self._accepting().reach[CLASS_OF[name.removesuffix(_NEXT)]]
        low, high = np.log10(max(reach.pt_min, 1e-3)), np.log10(max(reach.pt_min, 1e-3)) + 0.5
        every = np.full(given.shape[1], 1.0)
        return Range(
            np.array([low, low, -reach.eta_max, -np.pi, *-every]), np.array([high, high, reach.eta_max, np.pi, *every])
        )

    def _scaled(self, name: str, features: Floats, given: Floats) -> tuple[Any, ...]:
        scaled = self.ranges[name].scaled(np.concatenate([features, given], axis=1))
        return np.ascontiguousarray(scaled[:, : features.shape[1]]), np.ascontiguousarray(
            scaled[:, features.shape[1] :]
        )

    def _draw(self, asked: Asked) -> EventArrays:
        blocks = [asked[start : start + BLOCK] for start in range(0, len(asked), BLOCK)]
        with one_thread_each(), torch.inference_mode():
            drawn = [self._block(block) for block in blocks]
        met, objects = (np.concatenate([getattr(part, name) for part in drawn]) for name in ("met", "objects"))
        return EventArrays(met, asked.counts, objects, self.slots)

    def _block(self, asked: Asked) -> EventArrays:
        n, n_slots = len(asked), sum(self.slots.values())
        arrays = EventArrays(np.zeros((n, 2)), asked.counts, np.zeros((n, n_slots, 4)), self.slots)
        there, every = arrays.present, np.arange(n)
        met = self._made(MET, np.concatenate([there, asked.context], axis=1), asked, every, 0)
        arrays.met[:, 0], arrays.met[:, 1] = 10 ** met[:, 0], stored_angle(met[:, 1])
        raw, before = np.zeros((n, n_slots, 4)), np.zeros((n, 4))
        for kind in KINDS:
            span = arrays.span(kind)
            for slot in range(span.start, span.stop):
                rows, first = np.flatnonzero(there[:, slot]), slot == span.start
                previous = np.zeros((len(rows), 4)) if first else raw[rows, slot - 1]
                given = _given(met[rows], before[rows], previous, asked.context[rows])
                features = self._made(kind if first else kind + _NEXT, given, asked, rows, slot + 1)
                raw[rows, slot] = np.concatenate([10 ** features[:, :2], features[:, 2:]], axis=1)
                before[rows] += raw[rows, slot]
            arrays.objects[:, span] = self._in_order(raw[:, span], arrays.count(kind), kind)
        return arrays

    def _made(self, name: str, given: Floats, asked: Asked, rows: Ints, place: int) -> Floats:
        """Features (event, feature) of some events, drawn by one GAN; ``place`` counts MET and the slots."""
        settings, scale = self._settings(name), self.ranges[name]
        n_features, half = len(scale.low) - given.shape[1], settings.noise // 2
        first = 0 if place == 0 else self.settings.met.noise + (place - 1) * settings.noise
        uniform = 2 * uniform_noise(asked.keys[rows], half, first) - 1
        normal = normal_noise(asked.keys[rows], settings.noise - half, first + half)
        conditions = Range(scale.low[n_features:], scale.high[n_features:]).scaled(given)
        made = self.exact[name](torch.from_numpy(np.concatenate([uniform, normal, conditions], axis=1))).numpy()
        return Range(scale.low[:n_features], scale.high[:n_features]).values(made)

    def _in_order(self, raw: Floats, count: Ints, kind: str) -> Floats:
        """Objects (event, slot, 4) of a kind by decreasing pT, from E, pT, eta, phi; the first ``count`` are real."""
        there = np.arange(raw.shape[1]) < count[:, None]
        order = np.argsort(np.where(there, -raw[..., 1], np.inf), axis=1, kind="stable")
        found = np.take_along_axis(raw, order[..., None], axis=1)
        objects = np.zeros_like(raw)
        objects[..., PT], objects[..., ETA] = within(found[..., 1], found[..., 2], self._accepting().reach[kind[0]])
        objects[..., PHI] = stored_angle(found[..., 3])
        squared = found[..., 0] ** 2 - momentum(objects[..., PT], objects[..., ETA]) ** 2
        objects[..., MASS] = self._mass(squared, MASS_OF[CLASS_OF[kind]])
        objects[~there] = 0.0
        return objects

    def _mass(self, squared: Floats, known: float | None) -> Floats:
        if not self.settings.mass_shell:
            return np.asarray(np.sign(squared) * np.sqrt(np.abs(squared)))
        return np.asarray(np.sqrt(np.maximum(squared, 0.0))) if known is None else np.full(squared.shape, known)

    def _save(self, folder: Path) -> dict[str, Any]:
        from safetensors.numpy import save_file  # noqa: PLC0415 - as in models.storage

        save_network(self.networks, folder / _WEIGHTS)
        ranges = {name: np.stack([scale.low, scale.high]) for name, scale in self.ranges.items()}
        save_file(ranges, folder / _RANGES)
        return {"record": None if self.record is None else self.record.to_dict()}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        from safetensors.numpy import load_file  # noqa: PLC0415

        try:
            ranges = load_file(folder / _RANGES)
            self.ranges = {name: Range(*ranges[name]) for name in self._names()}
        except (SafetensorError, KeyError) as error:
            raise ModelFileError(f"{folder / _RANGES}: not the ranges of these GANs ({error})") from None
        self.networks = nn.ModuleDict(
            {name: generator_network(self._sizes(name), self._settings(name)) for name in self._names()}
        )
        load_network(self.networks, folder / _WEIGHTS)
        self.networks.eval()
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])
        self._ready()


def _raw(objects: Floats) -> Floats:
    """E, pT, eta, phi of objects (..., 4)."""
    return np.stack([energy(objects), objects[..., PT], objects[..., ETA], objects[..., PHI]], axis=-1)


def _features(raw: Floats) -> Floats:
    """log10 E, log10 pT, eta, phi of E, pT, eta, phi (object, 4)."""
    return np.concatenate([np.log10(np.maximum(raw[:, :2], 1e-3)), raw[:, 2:]], axis=1)


def _given(met: Floats, before: Floats, previous: Floats, context: npt.NDArray[np.float32]) -> Floats:
    """Conditions of an object; of the sum of E and of pT log10(1 + sum), for there may be nothing before."""
    sums, one = (np.concatenate([np.log10(1 + raw[:, :2]), raw[:, 2:]], axis=1) for raw in (before, previous))
    return np.concatenate([met, sums, one, context], axis=1)


def within(pt: Floats, eta: Floats, reach: Reach) -> tuple[Floats, Floats]:
    """PT and eta moved into the acceptance where they are outside, so that float32 stays inside, too."""
    edge = float(np.nextafter(np.float32(reach.eta_max), np.float32(0)))
    return np.maximum(pt, np.nextafter(np.float32(reach.pt_min), np.float32(np.inf))), np.clip(eta, -edge, edge)


class ClipSettings(GANSettings):
    """Settings of the WGANs.

    Attributes:
        clip: weights of the critics stay within +- this.
    """

    clip: float = Field(default=0.01, gt=0)

    @property
    def bound(self) -> Lipschitz:
        """Weights within +- ``clip``."""
        return Lipschitz(clip=self.clip)


class PenaltySettings(GANSettings):
    """Settings of the WGAN-GPs.

    Attributes:
        penalty: lambda of the gradient penalty.
    """

    penalty: float = Field(default=10.0, gt=0)

    @property
    def bound(self) -> Lipschitz:
        """Gradients near one."""
        return Lipschitz(penalty=self.penalty)


class SmallClipSettings(ClipSettings):
    """Settings of the small WGANs: see :class:`ClipSettings`."""

    met: SmallSettings = SmallSettings()
    particles: SmallSettings = SmallSettings()
    clip: float = Field(default=0.03, gt=0)


class SmallPenaltySettings(PenaltySettings):
    """Settings of the small WGAN-GPs: see :class:`PenaltySettings`."""

    met: SmallSettings = SmallSettings()
    particles: SmallSettings = SmallSettings()


class WGAN(Sequence):
    """Full width, clipped weights."""

    Settings: ClassVar[type[GeneratorSettings]] = ClipSettings
    kind = "garcia2024-wgan"


class WGANGP(Sequence):
    """Full width, gradient penalty."""

    Settings: ClassVar[type[GeneratorSettings]] = PenaltySettings
    kind = "garcia2024-wgan-gp"


class SmallWGAN(Sequence):
    """Small networks, clipped weights."""

    Settings: ClassVar[type[GeneratorSettings]] = SmallClipSettings
    kind = "garcia2024-wgan-small"


class SmallWGANGP(Sequence):
    """Small networks, gradient penalty."""

    Settings: ClassVar[type[GeneratorSettings]] = SmallPenaltySettings
    kind = "garcia2024-wgan-gp-small"
