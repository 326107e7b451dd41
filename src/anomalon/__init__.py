"""anomalon learns what LHC collisions look like and finds the events that do not fit."""

__version__ = "0.1.0.dev0"
