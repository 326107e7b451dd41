"""Les Houches event files, plain or gzipped: events of partons.

Leptons and photons are the final ones; jets are the final quarks and gluons, b-tagged where they are b quarks; missing
momentum is that of the invisible particles. Taus, and tops, W and Z that the generator leaves undecayed, are in no
collection: shower the file (:func:`anomalon.simulation.simulate_lhe`) to have them decay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.generator.lhe import LheFile, is_lhe
from anomalon.generator.particles import GeneratedEvents, GeneratedParticles, Mask, factor_names
from anomalon.sources.contract import Format, register
from anomalon.sources.generated import GeneratedSource, objects

FORMAT = "lhe"
_GLUON, _BOTTOM = 21, 5


class LheSource(GeneratedSource):
    """Events of one LHE file, at parton level.

    Raises:
        InputFileError: cut short or broken; names the line.
        MissingExtraError: pylhe is not installed.
    """

    format = FORMAT
    title = "an LHE file"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._file = LheFile(self.path)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self._file)

    def _normalisation(self) -> dict[str, Any]:
        file = self._file
        cross_section, error = file.cross_section_pb or (None, None)
        names = factor_names(list(file.variations))
        provenance = {
            "level": "partons: no shower, no hadrons, no detector",
            "generators": list(file.generators),
            "beams": list(file.beams),
            "weighting_strategy": file.strategy,
            "generator_processes": list(file.processes),
            "weight_variations": {f"{names[name]}Up": said for name, said in file.variations.items()},
        }
        return {
            "cross_section_pb": cross_section,
            "cross_section_error_pb": error,
            "sum_gen_weights": file.sum_of_weights,
            "sqrt_s_gev": file.sqrt_s_gev,
            "provenance": provenance,
        }

    def _read(self, chunk: int) -> Iterator[GeneratedEvents]:
        return self._file.iterate(chunk)

    def _variations(self) -> Collection[str]:
        return self._file.variations

    def _is_object(self, particles: GeneratedParticles) -> Mask:
        return particles.final

    def _jets(self, particles: GeneratedParticles, n: int) -> ak.Array:
        code = np.abs(particles.pdg_id)
        rows = np.flatnonzero(particles.final & ((code <= _BOTTOM) | (code == _GLUON)))
        return objects(particles, rows, n, {"btag": code[rows] == _BOTTOM})


register(Format(FORMAT, "Les Houches events: .lhe or .lhe.gz", is_lhe, LheSource))
