"""What the smooth neural generators share: encoding, training, sampling in float64, saving.

Objects in sequence are those of :mod:`anomalon.generation.encoding`, soft momentum last, with the places of pT, mass
and eta turned into normal numbers; what nobody has to draw, the mass of a lepton and eta of soft momentum, is 0. Events
are sampled in float64: float32 sums depend on the size of a batch in the last digits, and events must not.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from scipy.special import ndtri
from torch import Tensor, nn

from anomalon.errors import ModelFileError
from anomalon.generation.contract import Generator
from anomalon.generation.decoding import Decoder
from anomalon.generation.encoding import HAS_MASS, HEAD, PER_SLOT, SOFT, SOFT_TABLE, Encoder, Shape
from anomalon.generation.flatten import EventArrays, Floats
from anomalon.generation.quantiles import PROBABILITIES
from anomalon.generation.records import Asked, GeneratorSettings, Learned
from anomalon.models.storage import load_network, save_network
from anomalon.networks.computing import one_thread_each
from anomalon.training import TrainingRecord, TrainingRun, TrainingSettings, train

BLOCK = 1024
"""Events drawn at once."""
SLOT_PT, SLOT_ETA, SLOT_PHI, SLOT_MASS, NORMAL = 0, 1, 2, 3, 4
"""Numbers of a slot: those of the object, then pT, mass and eta as normal numbers."""
_CLOSEST = 1e-7
"""Places nearer to an end of a distribution are taken to be there."""
_WEIGHTS, _TABLES = "network.safetensors", "tables.safetensors"


class NeuralSettings(GeneratorSettings):
    """Settings that the neural generators share.

    Attributes:
        separate: draw events anew whose jets are closer to other objects than the acceptance has it.
        training: the training loop.
    """

    separate: bool = True
    training: TrainingSettings = TrainingSettings()


class NeuralGenerator(Generator):
    """A generator whose network learns encoded events; subclasses build the network, its loss, and draw with it."""

    Settings: ClassVar[type[GeneratorSettings]] = NeuralSettings
    settings: NeuralSettings

    @abstractmethod
    def _build(self) -> nn.Module:
        """The network, untrained."""

    @abstractmethod
    def _loss(self, network: nn.Module, x: Tensor) -> Tensor:
        """Loss per event of encoded events."""

    @abstractmethod
    def _block(self, asked: Asked) -> EventArrays:
        """Draw a block of events with ``self.exact``, the network in float64."""

    def _fit(self, learned: Learned, validation: Learned | None, run: TrainingRun | None) -> None:
        self.encoder = Encoder.of(learned, self._shape(), self._accepting())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.network = self._build()
        seed = self.settings.seed
        self.record = train(
            self.network,
            self._loss,
            batches=self._encoded(learned, seed),
            validation=None if validation is None else self._encoded(validation, seed + 1),
            settings=self.settings.training.model_copy(update={"seed": seed}),
            run=run,
        )
        self._ready()

    def _shape(self) -> Shape:
        return Shape(self.slots, self._require_fit().n_context)

    def _encoded(self, learned: Learned, seed: int) -> npt.NDArray[np.float32]:
        """Rows of the encoder with normal numbers in place of uniform ones, 0 where there is nothing to draw."""
        rows, shape = self.encoder.encode(learned, seed), self.encoder.shape
        slots = rows[:, HEAD + shape.n_context :].reshape(len(rows), shape.n_slots + 1, PER_SLOT)
        exists = decided(shape) & filled(torch.from_numpy(rows[:, :HEAD]), shape).numpy()[..., None]
        places = np.where(exists, slots[..., NORMAL:], 0.5).astype(np.float64)
        slots[..., NORMAL:] = ndtri(places.clip(_CLOSEST, 1 - _CLOSEST))
        return rows

    def _ready(self) -> None:
        self.network.eval()
        self.exact: Any = copy.deepcopy(self.network).double()
        self.decoder = Decoder(self.encoder)

    def _draw(self, asked: Asked) -> EventArrays:
        order = np.argsort(asked.counts.sum(axis=1), kind="stable")  # events of a block are about as long
        made = EventArrays(
            np.zeros((len(asked), 2)), asked.counts, np.zeros((len(asked), sum(self.slots.values()), 4)), self.slots
        )
        with one_thread_each(), torch.inference_mode():
            for start in range(0, len(asked), BLOCK):
                rows = order[start : start + BLOCK]
                drawn = self._block(asked[rows])
                made.met[rows], made.objects[rows] = drawn.met, drawn.objects
        return made

    def _works(self, drawn: EventArrays) -> npt.NDArray[np.bool_]:
        """Whether jets keep their distance, where that is asked for."""
        acceptance = self._accepting()
        if not (self.settings.separate and acceptance.separation):
            return super()._works(drawn)
        return acceptance.separates(drawn)

    def _save(self, folder: Path) -> dict[str, Any]:
        from safetensors.numpy import save_file  # noqa: PLC0415 - as in models.storage

        save_network(self.network, folder / _WEIGHTS)
        save_file({"tables": self.encoder.tables.astype(np.float32)}, folder / _TABLES)
        return {"record": None if self.record is None else self.record.to_dict(), "muons": self.encoder.muons}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        tables = _read_tables(folder / _TABLES)
        self.encoder = Encoder(self._shape(), self._accepting(), tables, muons=bool(state["muons"]))
        self.network = self._build()
        load_network(self.network, folder / _WEIGHTS)
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])
        self._ready()


def _read_tables(path: Path) -> Floats:
    from safetensors.numpy import load_file  # noqa: PLC0415

    try:
        tables: Floats = load_file(path)["tables"].astype(np.float64)
    except (SafetensorError, KeyError) as error:
        raise ModelFileError(f"{path}: not the tables of a generator ({error})") from None
    if tables.shape != (SOFT_TABLE + 1, len(PROBABILITIES)):
        raise ModelFileError(f"{path}: tables of shape {tables.shape} are not those of this version")
    return tables


class Rows:
    """Encoded events as tensors.

    Args:
        x: as the encoder writes them, shape (event, number).
        shape: of the encoder.

    Attributes:
        counts: numbers of objects by kind, shape (event, kind).
        context: inputs that tell processes and parameters apart, shape (event, input).
        slots: numbers of each slot, soft momentum last, shape (event, slot + 1, :data:`PER_SLOT`).
        there: whether a slot is filled, shape (event, slot + 1).
    """

    def __init__(self, x: Tensor, shape: Shape) -> None:
        n = HEAD + shape.n_context
        self.counts, self.context = x[:, :HEAD], x[:, HEAD:n]
        self.slots = x[:, n:].view(len(x), shape.n_slots + 1, PER_SLOT)
        self.there = filled(self.counts, shape)

    @classmethod
    def of(cls, counts: Tensor, context: Tensor, shape: Shape) -> Rows:
        """Events whose numbers are still to be drawn."""
        nothing = counts.new_zeros(len(counts), (shape.n_slots + 1) * PER_SLOT)
        return cls(torch.cat([counts, context, nothing], 1), shape)

    def mirrored(self) -> None:
        """Mirror half of the events in eta, and half in phi: collisions of equal beams know neither side."""
        slots = self.slots = self.slots.clone()
        eta, phi = (torch.rand(len(slots), 1, device=slots.device) < 0.5 for _ in range(2))
        for column in (SLOT_ETA, NORMAL + 2):
            slots[..., column] = torch.where(eta, -slots[..., column], slots[..., column])
        slots[..., SLOT_PHI] = torch.where(phi, -slots[..., SLOT_PHI], slots[..., SLOT_PHI])


def filled(counts: Tensor, shape: Shape) -> Tensor:
    """Whether slots are filled, soft momentum included, shape (event, slot + 1)."""
    kind, place = (torch.from_numpy(part).to(counts.device) for part in (shape.kind, shape.place))
    every = torch.cat([counts, torch.ones_like(counts[:, :1])], 1)
    return place < every[:, kind]


def first_filled(counts: npt.NDArray[np.int64], shape: Shape) -> npt.NDArray[np.int64]:
    """First slot of each event that is filled, shape (event,): its azimuth is that of the frame."""
    there = shape.place < np.concatenate([counts, np.ones_like(counts[:, :1])], 1)[:, shape.kind]
    return np.asarray(there.argmax(axis=1))


def decided(shape: Shape) -> npt.NDArray[np.bool_]:
    """Whether pT, mass and eta of a slot have to be drawn, shape (slot + 1, 3)."""
    return np.stack([np.ones(shape.n_slots + 1, dtype=bool), HAS_MASS[shape.kind], shape.kind != SOFT], axis=1)
