"""Every exception that anomalon raises on purpose.

One base class, :class:`AnomalonError`; each exception also inherits the builtin that a Python user would expect.
A message says, in one line: what was wrong, the value received, where, what is allowed, what to do.
The command line prints that line and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnomalonError(Exception):
    """Base class of every error that a user can cause or cure."""


class ConfigError(AnomalonError, ValueError):
    """The configuration has an unknown key, a wrong type or an impossible value."""


class UnknownNameError(AnomalonError, KeyError):
    """A name is not in a registry, a store or a table; the message suggests the nearest ones."""

    def __str__(self) -> str:
        """Return the message itself: ``KeyError`` would print it in quotes."""
        return str(self.args[0]) if self.args else ""


class InputFileError(AnomalonError, ValueError):
    """A file is missing, cut short, empty, or not what its name says."""


class MissingFieldError(InputFileError):
    """A file lacks a branch or column that the task at hand needs."""


class InvalidEventsError(AnomalonError, ValueError):
    """Events break a convention of :mod:`anomalon.events`: units, ranges, lengths or missing samples."""


class StoreError(AnomalonError, ValueError):
    """A store is unreadable, tampered with, or would be overwritten."""


class LedgerError(AnomalonError, ValueError):
    """The events read are not the events accounted for."""


class EmptySelectionError(AnomalonError, ValueError):
    """A selection passed no event (or too few to train on)."""


class TrainingError(AnomalonError, ValueError):
    """A training cannot start or has diverged."""


class FitError(AnomalonError, RuntimeError):
    """A likelihood fit does not converge; the message names the parameter."""


class NotFittedError(AnomalonError, RuntimeError):
    """A detector, classifier or preprocessing was used before it was fitted."""


class ModelFileError(AnomalonError, ValueError):
    """A saved model is damaged, from another version, or holds something that would run code."""


class SimulationError(AnomalonError, RuntimeError):
    """The event generator refused its settings or stopped early."""


class WorkerError(AnomalonError, RuntimeError):
    """Worker processes died again and again, or a cluster cannot be reached."""


class MissingExtraError(AnomalonError, ImportError):
    """An optional dependency is needed and not installed; the message names the extra."""


class BlindedError(AnomalonError, PermissionError):
    """Blinded collision data was asked for without ``--unblind REASON``."""


class OutputExistsError(AnomalonError, FileExistsError):
    """The output is already there and would be overwritten."""


class RunError(AnomalonError, ValueError):
    """A run directory is unfinished, damaged, or belongs to another configuration."""


def suggest(name: str, allowed: Iterable[str], limit: int = 3) -> str:
    """Return a phrase that helps with a mistyped name.

    >>> suggest("Z_masss", ["Z_mass", "MET_pt"])
    "did you mean 'Z_mass'?"
    >>> suggest("q", ["MET_pt", "nMuon"])
    'allowed: MET_pt, nMuon'
    """
    names = sorted(set(allowed))
    near = difflib.get_close_matches(name, names, n=limit, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    return "allowed: " + ", ".join(names)
