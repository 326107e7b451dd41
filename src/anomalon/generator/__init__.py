"""Files of event generators: LHE and HepMC3 as flat tables of particles, for the readers and for the simulation."""

from __future__ import annotations

from anomalon.generator.hepmc import HepmcFile, is_hepmc
from anomalon.generator.lhe import LheFile, is_lhe
from anomalon.generator.particles import INVISIBLE, GeneratedEvents, GeneratedParticles

__all__ = ["INVISIBLE", "GeneratedEvents", "GeneratedParticles", "HepmcFile", "LheFile", "is_hepmc", "is_lhe"]
