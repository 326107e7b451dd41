"""The default generator: a binned autoregressive network, trained in minutes and sampled by compiled loops.

Thresholds, acceptance in eta, the order in pT, masses and the distance of jets hold by construction, the storing rule
by exact rejection. See :mod:`anomalon.generation.network` for the density.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from safetensors import SafetensorError
from torch import Tensor, nn

from anomalon.config import Settings
from anomalon.errors import ModelFileError
from anomalon.generation import sampler
from anomalon.generation.contract import Generator
from anomalon.generation.encoding import (
    CLASS_OF_KIND,
    ETA_TABLE,
    FIRST,
    HAS_MASS,
    IS_MUON,
    JET_OF_KIND,
    LATER,
    MASS_TABLE,
    MASSES,
    SOFT_TABLE,
    Encoder,
    Shape,
)  # fmt: skip
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.generation.network import AutoregressiveNetwork, Widths
from anomalon.generation.quantiles import PROBABILITIES
from anomalon.generation.records import Asked, GeneratorSettings, Learned
from anomalon.hashing import Hashes, splitmix64, uniforms
from anomalon.kinematics import wrap_phi
from anomalon.models.storage import load_network, save_network
from anomalon.networks.computing import one_thread_each
from anomalon.training import TrainingRecord, TrainingRun, TrainingSettings, train

_WEIGHTS, _TABLES = "network.safetensors", "tables.safetensors"
_MARGIN = 1e-4
"""Added to the separation of jets: rounding to float32 must not undo it."""


class NetworkSettings(Settings):
    """Widths of the network's layers, multiples of four, and dropout.

    Attributes:
        element: of the sum over objects.
        trunk: of the two layers that all heads share.
        head: of the hidden layer of each head.
        pair: channels of the potentials of pairs.
        triple: channels of the potentials of a jet with a b-jet and a jet.
        gate: of the hidden layer that weights the potentials of a pair.
        dropout: share of the hidden units that is left out in each step of the training.
    """

    element: int = Field(default=64, ge=4)
    trunk: int = Field(default=128, ge=4)
    head: int = Field(default=64, ge=4)
    pair: int = Field(default=12, ge=4)
    triple: int = Field(default=8, ge=4)
    gate: int = Field(default=16, ge=4)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @field_validator("element", "trunk", "head", "pair", "triple", "gate")
    @classmethod
    def _in_fours(cls, width: int) -> int:
        if width % 4:
            raise ValueError("must be a multiple of four: the compiled sampler takes four numbers at once")
        return width


class AutoregressiveSettings(GeneratorSettings):
    """Shape and training of the binned autoregressive network.

    Attributes:
        network: widths.
        training: the training loop.
    """

    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=40, batch_size=512, learning_rate=2e-3, weight_decay=1e-3, schedule="cosine", patience=40,
        gradient_clip=5.0,
    )  # fmt: skip


class Autoregressive(Generator):
    """Draws events object by object, number by number, each given all before it."""

    Settings: ClassVar[type[GeneratorSettings]] = AutoregressiveSettings
    kind = "autoregressive"
    minimum_events: ClassVar[int] = 50
    settings: AutoregressiveSettings
    start: Autoregressive | None = None
    """A fitted generator that a fit starts from: see :mod:`anomalon.generation.tuning`."""
    encoder: Encoder
    network: AutoregressiveNetwork

    def _fit(self, learned: Learned, validation: Learned | None, run: TrainingRun | None) -> None:
        shape = Shape(self.slots, self._require_fit().n_context)
        start = self.start
        if start is None:
            self.encoder = Encoder.of(learned, shape, self._accepting())
        else:
            self.encoder = start.encoder.tuned(learned, shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.network = self._build()
        if start is not None:
            self.network.load_state_dict(start.weights(shape.n_context))
        settings = self.settings.training.model_copy(update={"seed": self.settings.seed})
        self.record = train(
            self.network,
            _negative_log_density,
            batches=self.encoder.encode(learned, self.settings.seed),
            validation=None if validation is None else self.encoder.encode(validation, self.settings.seed + 1),
            settings=settings,
            run=replace(run or TrainingRun(), device="cpu"),  # the loss is computed by compiled loops of the processor
        )
        self._compile()

    def weights(self, n_context: int) -> dict[str, Tensor]:
        """Weights for another context: that of the fit becomes its mean, the other one has no effect yet."""
        known, state = self._require_fit(), dict(self.network.state_dict())
        mean = np.average(known.contexts(), axis=0, weights=[sample.events for sample in known.samples])
        first = state["trunk.0.weight"]
        kept, context = first.split([first.shape[1] - known.n_context, known.n_context], 1)
        state["trunk.0.bias"] = state["trunk.0.bias"] + context @ torch.from_numpy(mean).to(context)
        state["trunk.0.weight"] = torch.cat([kept, kept.new_zeros(len(kept), n_context)], 1)
        return state

    def _build(self) -> AutoregressiveNetwork:
        widths = Widths(**self.settings.network.model_dump())
        separation = self._accepting().separation
        return AutoregressiveNetwork(
            self.encoder.shape,
            self.encoder.tables,
            separation=separation + _MARGIN if separation else 0.0,
            muons=self.encoder.muons,
            widths=widths,
        )

    def _compile(self) -> None:
        """Hand weights and tables to the compiled sampler."""
        self.layers = compiled_layers(self.network)
        self.world = compiled_world(self.encoder, self.network)

    def _draw(self, asked: Asked) -> EventArrays:
        n, n_slots = len(asked), self.encoder.shape.n_slots
        met, objects = np.zeros((n, 2), np.float32), np.zeros((n, n_slots, 4), np.float32)
        worked = np.ones(n, np.bool_)
        parts = [slice(start, min(start + sampler.BLOCK, n)) for start in range(0, n, sampler.BLOCK)]

        def draw(block: slice) -> None:
            space = sampler.space_for(self.layers, n_slots, block.stop - block.start)
            inputs = asked.counts[block], asked.context[block], asked.keys[block]
            made = met[block], objects[block], worked[block]
            sampler.draw_block(inputs, self.layers, self.world, space, made)

        _on_all_threads(draw, parts)
        return self._turned(met.astype(np.float64), objects.astype(np.float64), asked, worked)

    def _turned(self, met: Floats, objects: Floats, asked: Asked, worked: npt.NDArray[np.bool_]) -> EventArrays:
        """Events turned by a uniform angle; those that found no open place are marked by a MET below zero."""
        turn = 2 * np.pi * _turn(asked.keys)
        objects[..., 2] = _float32_angle(wrap_phi(objects[..., 2] + turn[:, None]))
        phi = _float32_angle(wrap_phi(np.arctan2(met[:, 1], met[:, 0]) + turn))
        size = np.where(worked, np.hypot(met[:, 0], met[:, 1]), -1.0)
        arrays = EventArrays(np.stack([size, phi], axis=1), asked.counts, objects, self.slots)
        objects[~arrays.present] = 0.0
        return arrays

    def _works(self, drawn: EventArrays) -> npt.NDArray[np.bool_]:
        return np.asarray(drawn.met[:, 0] >= 0)

    def _save(self, folder: Path) -> dict[str, Any]:
        from safetensors.numpy import save_file  # noqa: PLC0415 - as in models.storage

        save_network(self.network, folder / _WEIGHTS)
        save_file({"tables": self.encoder.tables.astype(np.float32)}, folder / _TABLES)
        return {"record": None if self.record is None else self.record.to_dict(), "muons": self.encoder.muons}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        from safetensors.numpy import load_file  # noqa: PLC0415

        try:
            tables: Floats = load_file(folder / _TABLES)["tables"].astype(np.float64)
        except (SafetensorError, KeyError) as error:
            raise ModelFileError(f"{folder / _TABLES}: not the tables of a generator ({error})") from None
        if tables.shape != (SOFT_TABLE + 1, len(PROBABILITIES)):
            raise ModelFileError(f"{folder / _TABLES}: tables of shape {tables.shape} are not those of this version")
        shape = Shape(self.slots, self._require_fit().n_context)
        self.encoder = Encoder(shape, self._accepting(), tables, muons=bool(state["muons"]))
        self.network = self._build()
        load_network(self.network, folder / _WEIGHTS)
        self.network.eval()
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])
        self._compile()


def _negative_log_density(module: nn.Module, x: Tensor) -> Tensor:
    density: Tensor = module(x)
    return -density


def _on_all_threads(draw: Any, parts: list[slice]) -> None:
    with one_thread_each() as threads:
        if min(threads, len(parts)) < 2:
            for part in parts:
                draw(part)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, parts))


def _turn(keys: Hashes) -> Floats:
    return uniforms(splitmix64(keys ^ np.uint64(0xA5A5A5A5A5A5A5A5)))


def _float32_angle(phi: Floats) -> Floats:
    """Round to float32 without leaving (-pi, pi]: the float32 nearest to pi is above it."""
    largest = np.nextafter(np.float32(np.pi), np.float32(0))
    return np.clip(phi.astype(np.float32), -largest, largest).astype(np.float64)


def compiled_layers(network: AutoregressiveNetwork) -> sampler.Layers:
    """Weights of a network for the compiled sampler."""
    return sampler.Layers(
        element=_stack(network.element), trunk=_stack(network.trunk), shared=_layer(network.shared),
        more=tuple(np.ascontiguousarray(_numbers(layer.weight).T) for layer in network.more),
        bins=tuple(_layer(layer) for layer in network.bins),
        strengths=(
            *_layer(network.strength_eta), *_layer(network.strength_phi), *_layer(network.strength_triple)
        ),
        partner=_layer(network.partner), balance=_layer(network.balance),
        pair_eta=_numbers(network.pair_eta), pair_phi=_numbers(network.pair_phi),
        pair_missing=_numbers(network.pair_missing), triple=_numbers(network.triple),
        gate=_stack(network.gate),
    )  # fmt: skip


def _stack(layers: Any) -> tuple[Any, ...]:
    return tuple(part for layer in layers if isinstance(layer, nn.Linear) for part in _layer(layer))


def _layer(layer: Any) -> tuple[Any, Any]:
    """Weights (input, output), with inputs of zero up to a multiple of four, and biases."""
    weights = _numbers(layer.weight).T
    padded = np.zeros((-(-len(weights) // 4) * 4, weights.shape[1]), np.float32)
    padded[: len(weights)] = weights
    return padded, _numbers(layer.bias)


def _numbers(tensor: Any) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


def compiled_world(encoder: Encoder, network: AutoregressiveNetwork) -> sampler.World:
    """Tables and thresholds for the compiled sampler."""
    which = CLASS_OF_KIND
    places = np.stack([FIRST + which, LATER + which, ETA_TABLE + which, MASS_TABLE + which], axis=1)
    places[-1] = SOFT_TABLE
    sizes = list(encoder.shape.slots.values())
    return sampler.World(
        tables=encoder.tables, probabilities=PROBABILITIES, places=places,
        pt_min=encoder.pt_min, masses=MASSES.astype(np.float32), has_mass=HAS_MASS,
        is_jet=JET_OF_KIND.astype(np.float32), seen=_seen(encoder.muons), which=which,
        centres=network.centres, separation=network.separation, starts=np.cumsum([0, *sizes[:-1]]),
    )  # fmt: skip


def _seen(muons: bool) -> npt.NDArray[np.float32]:
    """Whether MET sees each kind, and the same with muons taken the other way, shape (kind, 2)."""
    every, without = np.ones(len(IS_MUON)), 1.0 - IS_MUON
    return np.stack([every, without] if muons else [without, every], axis=1).astype(np.float32)
