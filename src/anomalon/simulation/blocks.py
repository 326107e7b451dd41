"""A simulation as a list of blocks: fixed numbers of events, each with its own seeds.

Blocks, not workers, own the random streams: any number of workers, in any order, makes the same events.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from pydantic import Field

from anomalon.config import Settings
from anomalon.events import Sample, make_events
from anomalon.simulation.detector import reconstruct
from anomalon.simulation.fakes import RANDOM_NUMBERS, FakeSettings, Versions, with_fakes, without_fakes
from anomalon.simulation.particles import Floats, Ints, Mask, Record
from anomalon.simulation.presets import get_detector
from anomalon.simulation.processes import Process, get_process
from anomalon.simulation.pythia import MAX_SEED, Counts, cached_generator, pythia_version
from anomalon.simulation.response import DetectorSettings, StoredIf

BLOCK_SIZE = 500
"""Events per block."""


class SimulationSettings(Settings):
    """What to simulate; equal settings give equal events.

    Attributes:
        process: a name such as ``wz`` or ``c1n2(m_c1n2=800,m_lsp=50)``, or a process of one's own.
        n_events: events to generate, before the detector and the skim.
        seed: of the whole sample.
        mpi: multi-parton interactions; without them events come eight times faster and jets are slightly fewer.
        detector: name of a preset, or settings.
        skim_leptons: store only events with at least this many reconstructed electrons and muons. Sums of weights are
            taken before.
        fakes: how jets turn into leptons, for processes that ask for it.
        sqrt_s_gev: energy of the collisions.
    """

    process: str | Process
    n_events: int = Field(gt=0)
    seed: int = Field(default=0, ge=0)
    mpi: bool = True
    detector: str | DetectorSettings = "cms"
    skim_leptons: int = Field(default=0, ge=0)
    fakes: FakeSettings = FakeSettings()
    sqrt_s_gev: float = Field(default=13000.0, gt=0)

    @property
    def resolved_process(self) -> Process:
        """The process itself.

        Raises:
            UnknownNameError: it is not in the catalogue.
            ConfigError: its parameters are out of range.
        """
        return get_process(self.process) if isinstance(self.process, str) else self.process

    @property
    def resolved_detector(self) -> DetectorSettings:
        """The detector's settings; raises UnknownNameError for an unknown preset."""
        return get_detector(self.detector)

    @property
    def n_blocks(self) -> int:
        """Number of blocks; the last may be smaller."""
        return -(-self.n_events // BLOCK_SIZE)

    def commands(self) -> tuple[str, ...]:
        """Every PYTHIA string of the run, seeds left out."""
        beams = f"Beams:eCM={self.sqrt_s_gev:g}"
        return (beams, f"PartonLevel:MPI={'on' if self.mpi else 'off'}", *self.resolved_process.commands())

    @property
    def title(self) -> str:
        """The sample in a ledger."""
        return f"PYTHIA {self.resolved_process.label}, seed {self.seed}"

    def generator_name(self) -> str:
        """What makes the particles, with its version."""
        return f"PYTHIA {pythia_version()}"

    def generate(self, block: int) -> tuple[Record, Counts]:
        """Particles of block number ``block``, before the detector."""
        n_events = min(BLOCK_SIZE, self.n_events - block * BLOCK_SIZE)
        generator = cached_generator(self.commands(), self.resolved_process.slha_text())
        return generator.block(generator_seed(self, block), n_events)

    def merge_counts(self, counts: Iterable[Counts]) -> Counts:
        """Counts and cross section of the whole sample from those of its blocks."""
        return Counts.merge(counts)


@dataclass(frozen=True)
class Block:
    """One simulated block.

    Attributes:
        events: record array in the conventions of :mod:`anomalon.events`.
        counts: what PYTHIA counted.
        n_generated: events before the skim.
        n_stored: events after the skim, versions with fake leptons included.
        sum_gen_weights: sum of the generated events' weights.
    """

    events: ak.Array
    counts: Counts
    n_generated: int
    n_stored: int
    sum_gen_weights: float


def simulate_block(settings: SimulationSettings, block: int) -> Block:
    """Generate and reconstruct block number ``block``: the unit of work.

    Raises:
        MissingExtraError: PYTHIA or FastJet is not installed.
        SimulationError: PYTHIA refuses the settings or keeps failing.
    """
    process = settings.resolved_process
    record, counts = settings.generate(block)
    n_events = len(record.gen_weight)
    response_rng, fake_rng = _streams(settings, block)
    # An event one lepton short is kept where a jet may be taken for the missing one.
    reconstructed = reconstruct(
        record.particles,
        record.hadrons,
        settings.resolved_detector,
        rng=response_rng,
        skim_leptons=max(settings.skim_leptons - int(process.fakes), 0),
    )
    uniform = fake_rng.random((n_events, RANDOM_NUMBERS))[reconstructed.kept]
    versions = _versions(settings, process, reconstructed.objects, uniform)
    rows = reconstructed.kept[versions.source]
    columns = _identity(versions, rows + block * BLOCK_SIZE, block) | versions.objects
    columns |= {"gen_weight": record.gen_weight[rows], "factors": ak.zip(versions.factors)}
    table = make_events(columns)[_is_stored(versions, settings, process)]
    return Block(ak.to_packed(table), counts, n_events, len(table), float(record.gen_weight.sum()))


def make_sample(settings: SimulationSettings, blocks: list[Block] | None = None) -> Sample:
    """Describe the sample: without the numbers that only finished blocks give, or with them."""
    process = settings.resolved_process
    provenance: dict[str, Any] = {
        "generator": settings.generator_name(),
        "commands": list(settings.commands()),
        "settings": settings.model_dump(mode="json"),
        "detector": settings.resolved_detector.model_dump(mode="json"),
        "parameters": process.chosen,
        "block_size": BLOCK_SIZE,
        "caveats": list(process.caveats),
        "source": process.source,
    }
    sample = Sample(
        name=f"{process.label}-seed{settings.seed}",
        process=process.label,
        k_factor=process.k_factor,
        sqrt_s_gev=settings.sqrt_s_gev,
        provenance=provenance,
    )
    if blocks is None:
        return sample
    return _normalised(sample, process, blocks, settings.merge_counts(block.counts for block in blocks))


def generator_seed(settings: SimulationSettings, block: int) -> int:
    """PYTHIA's seed of a block: consecutive within a sample, so that no two of its blocks are ever the same."""
    first = int(np.random.SeedSequence(_entropy(settings)).generate_state(1)[0])
    return (first + block) % MAX_SEED + 1


def _streams(settings: SimulationSettings, block: int) -> tuple[np.random.Generator, np.random.Generator]:
    response, fakes = np.random.SeedSequence([*_entropy(settings), block]).spawn(2)
    return np.random.default_rng(response), np.random.default_rng(fakes)


def _entropy(settings: SimulationSettings) -> list[int]:
    """The seed and the process: two processes with the same seed must not share their random numbers."""
    return [settings.seed, zlib.crc32(settings.resolved_process.label.encode())]


def _versions(
    settings: SimulationSettings, process: Process, objects: dict[str, ak.Array], uniform: Floats
) -> Versions:
    if not process.fakes:
        return without_fakes(objects)
    return with_fakes(objects, uniform, settings=settings.fakes, detector=settings.resolved_detector)


def _identity(versions: Versions, event: Ints, block: int) -> dict[str, Any]:
    return {
        "run": np.where(versions.is_fake, 2, 1).astype(np.int64),
        "lumi": np.full(len(event), block, dtype=np.int64),
        "event": event.astype(np.int64),
        "dataset": np.zeros(len(event), dtype=np.int32),
    }


def _is_stored(versions: Versions, settings: SimulationSettings, process: Process) -> Mask:
    leptons = ak.num(versions.objects["electrons"]) + ak.num(versions.objects["muons"])
    enough = np.asarray(ak.to_numpy(leptons)) >= settings.skim_leptons
    if settings.resolved_detector.stored_if:
        enough &= np.any([_holds(rule, versions.objects) for rule in settings.resolved_detector.stored_if], axis=0)
    return enough & versions.is_fake if process.fakes and not settings.fakes.keep_real else enough


def _holds(rule: StoredIf, objects: dict[str, ak.Array]) -> Mask:
    found = objects[rule.collection]
    eta = np.abs(found.eta)
    good = (found.pt > rule.pt_min) & (eta < rule.eta_max)
    if rule.gap:
        good = good & ~((eta > rule.gap[0]) & (eta < rule.gap[1]))
    return np.asarray(ak.to_numpy(ak.any(good, axis=1)), dtype=np.bool_)


def _normalised(sample: Sample, process: Process, blocks: list[Block], counts: Counts) -> Sample:
    factor = process.cross_section_factor
    filters = {"tried": counts.tried, "selected": counts.selected, "accepted": counts.accepted}
    filters |= {"stored": sum(block.n_stored for block in blocks)}
    correction = {"cross_section_factor": factor, "generator_cross_section_pb": counts.cross_section_pb}
    return sample.model_copy(
        update={
            "cross_section_pb": counts.cross_section_pb * factor or None,  # a file may not know it
            "cross_section_error_pb": counts.cross_section_error_pb * factor,
            "n_generated": sum(block.n_generated for block in blocks),
            "sum_gen_weights": sum(block.sum_gen_weights for block in blocks),
            "provenance": sample.provenance | correction | {"filter_counts": filters},
        }
    )
