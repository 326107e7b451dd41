"""The catalogue of processes that PYTHIA simulates, and how one is looked up.

Matrix elements are at leading order, 13 TeV unless the run says otherwise.
"""

from __future__ import annotations

import re

from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.simulation.beyond_standard_model import BEYOND
from anomalon.simulation.elsewhere import ELSEWHERE
from anomalon.simulation.process import BRANCHING_RATIOS, Gap, Parameter, Process
from anomalon.simulation.standard_model import STANDARD_MODEL

__all__ = ["BRANCHING_RATIOS", "ELSEWHERE", "PROCESSES", "Gap", "Parameter", "Process", "get_process"]

PROCESSES: dict[str, Process] = {process.name: process for process in (*STANDARD_MODEL, *BEYOND)}
"""Every process by name."""


def get_process(name: str, **parameters: float) -> Process:
    """Look a process up; parameters come as keywords or inside the name.

    Raises:
        UnknownNameError: the process or a parameter does not exist; the message suggests near ones, or says how to
            bring in what PYTHIA cannot do.
        ConfigError: the name cannot be read, a value is not a number or out of range.

    >>> get_process("wprime-wz(mass=3000)").chosen["mass"]
    3000.0
    >>> get_process("c1n2", m_c1n2=800, m_lsp=50).label
    'c1n2(m_c1n2=800,m_lsp=50)'
    >>> round(get_process("c1n2").cross_section_factor, 5)
    0.01454
    >>> get_process("drell-yann")
    Traceback (most recent call last):
    ...
    anomalon.errors.UnknownNameError: no process 'drell-yann'; did you mean 'drell-yan'?
    """
    base, inside = _parse(name)
    if base.lower() in ELSEWHERE:
        raise UnknownNameError(ELSEWHERE[base.lower()].message)
    if base not in PROCESSES:
        raise UnknownNameError(f"no process '{base}'; {suggest(base, PROCESSES)}")
    return PROCESSES[base].with_values(**(inside | parameters))


def _parse(name: str) -> tuple[str, dict[str, float]]:
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", name)
    if match is None:
        raise ConfigError(f"process '{name}' cannot be read; write it as name or name(parameter=number,...)")
    pairs = [pair.partition("=") for pair in (match[2] or "").split(",") if pair.strip()]
    try:
        return match[1], {key.strip(): float(value) for key, _, value in pairs}
    except ValueError:
        raise ConfigError(f"process '{name}': a parameter is not a number; write {match[1]}(name=number,...)") from None
