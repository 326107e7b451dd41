"""What was measured for the catalogue: cross sections, speeds and acceptances (``scripts/measure_processes.py``)."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from anomalon.config import Settings

MEASURED_FILE = "measured.json"


class MeasuredProcess(Settings):
    """One process at its default parameters, detector ``cms``.

    Attributes:
        cross_section_pb, cross_section_error_pb: PYTHIA's at leading order, 13 TeV, with our corrections.
        rate_mpi_on, rate_mpi_off: events per CPU second and core, generator and detector together.
        n: events behind the acceptances.
        acceptance: part of the weight in each region of :mod:`anomalon.simulation.regions`.
    """

    cross_section_pb: float
    cross_section_error_pb: float
    rate_mpi_on: float
    rate_mpi_off: float
    n: int
    acceptance: dict[str, float]


class MeasuredIngredient(Settings):
    """One process of a mixture, in the mixture's region and detector.

    Attributes:
        acceptance: part of the weight that lies in the region.
        effective: effective events (sum w)^2 / sum w^2 in the region per generated event; the acceptance where all
            weights are equal, less where they are not.
    """

    cross_section_pb: float
    cross_section_error_pb: float
    rate_mpi_on: float
    rate_mpi_off: float
    n: int
    acceptance: float
    effective: float

    @property
    def is_empty(self) -> bool:
        """Whether no event of the measurement lay in the region."""
        return self.effective == 0.0


class Measured(Settings):
    """The whole table.

    Attributes:
        generator: what made the events.
        processes: by name.
        mixtures: by name of the mixture and label of the process.
    """

    generator: str
    processes: dict[str, MeasuredProcess]
    mixtures: dict[str, dict[str, MeasuredIngredient]]


@cache
def measured() -> Measured:
    """The table that comes with the package."""
    text = resources.files("anomalon.simulation").joinpath(MEASURED_FILE).read_text(encoding="utf-8")
    return Measured.parse(json.loads(text), where=MEASURED_FILE)
