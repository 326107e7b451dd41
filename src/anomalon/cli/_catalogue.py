"""What ``anomalon simulate --list`` shows: processes, what PYTHIA cannot do, detectors and mixtures."""

from __future__ import annotations

from typing import Any

from anomalon.cli._tables import console, print_json, print_table


def catalogue() -> dict[str, Any]:
    """Everything as plain values."""
    from anomalon.simulation import ELSEWHERE, PRESETS, PROCESSES
    from anomalon.simulation.measured import measured
    from anomalon.simulation.mixtures import MIXTURES

    table = measured()
    return {
        "generator": table.generator,
        "processes": [
            p.model_dump(mode="json") | {"measured": table.processes[p.name].model_dump(mode="json")}
            for p in PROCESSES.values()
        ],
        "not_in_pythia": [item.model_dump(mode="json") | {"message": item.message} for item in ELSEWHERE.values()],
        "detectors": [detector.model_dump(mode="json") for detector in PRESETS.values()],
        "mixtures": [
            m.model_dump(mode="json")
            | {
                "cuts": m.resolved_region.words,
                "shares": m.shares(),
                "effective_events_per_hour": m.effective_per_hour(),
                "effective_events_per_hour_without_mpi": m.effective_per_hour(mpi=False),
            }
            for m in MIXTURES.values()
        ],
    }


def print_catalogue(json: bool) -> None:
    """Print the catalogue as JSON or as tables."""
    if json:
        print_json(catalogue())
        return
    _print_processes()
    _print_elsewhere()
    _print_mixtures()


def _print_processes() -> None:
    from anomalon.simulation import PROCESSES
    from anomalon.simulation.measured import measured

    table = measured()
    rows = []
    for p in PROCESSES.values():
        m = table.processes[p.name]
        parameters = ", ".join(f"{k} = {v.default:g} {v.unit}".strip() for k, v in p.parameters.items())
        speed = f"{m.rate_mpi_on:.0f} / {m.rate_mpi_off:.0f}"
        rows.append((p.name, p.title, f"{m.cross_section_pb:.3g}", speed, parameters, p.source))
    header = ("name", "process", "pb", "events/s", "parameters", "used in")
    print_table(f"Processes ({table.generator}, leading order, 13 TeV)", header, rows)
    _say("events/s: per core, with / without multi-parton interactions")
    for p in PROCESSES.values():
        _say(f"{p.name}: {'; '.join(p.caveats)}")


def _print_elsewhere() -> None:
    from anomalon.simulation import ELSEWHERE

    rows = [(item.name, item.title, item.nearest or "-", item.source) for item in ELSEWHERE.values()]
    print_table("Not in PYTHIA: bring an LHE file", ("name", "process", "part of it", "used in"), rows)


def _print_mixtures() -> None:
    from anomalon.simulation.mixtures import MIXTURES

    rows = []
    for m in MIXTURES.values():
        speed = f"{m.effective_per_hour():,.0f} / {m.effective_per_hour(mpi=False):,.0f}"
        rows.append((m.name, m.resolved_region.words, f"{len(m.ingredients)}", m.detector, speed, m.source))
    header = ("name", "region", "processes", "detector", "effective events/h", "after")
    print_table("Mixtures: anomalon simulate --mixture NAME", header, rows)
    _say("effective events/h: background in the region, per core, with / without multi-parton interactions")
    for m in MIXTURES.values():
        _say(f"{m.name}: {'; '.join(m.caveats)}")


def _say(line: str) -> None:
    console().print(line, markup=False, highlight=False)
