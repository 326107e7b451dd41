"""Simulation: PYTHIA 8 and a parametrised detector, from the name of a process to events.

>>> get_process("wz").title
'WZ -> 3 leptons + neutrino'
"""

from __future__ import annotations

from anomalon.simulation.blocks import SimulationSettings, simulate_block
from anomalon.simulation.fakes import FakeSettings
from anomalon.simulation.mixtures import MIXTURES, Mixture, get_mixture
from anomalon.simulation.presets import PRESETS, get_detector
from anomalon.simulation.processes import ELSEWHERE, PROCESSES, Parameter, Process, get_process
from anomalon.simulation.response import DetectorSettings
from anomalon.simulation.run import Progress, Simulation, simulate
from anomalon.simulation.shower import file_settings, simulate_hepmc, simulate_lhe

__all__ = [
    "ELSEWHERE",
    "MIXTURES",
    "PRESETS",
    "PROCESSES",
    "DetectorSettings",
    "FakeSettings",
    "Mixture",
    "Parameter",
    "Process",
    "Progress",
    "Simulation",
    "SimulationSettings",
    "file_settings",
    "get_detector",
    "get_mixture",
    "get_process",
    "simulate",
    "simulate_block",
    "simulate_hepmc",
    "simulate_lhe",
]
