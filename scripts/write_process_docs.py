"""Write docs/processes.md from the catalogue and its measurements: python scripts/write_process_docs.py [--check]."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from anomalon.simulation import ELSEWHERE, PRESETS, PROCESSES
from anomalon.simulation.measured import measured
from anomalon.simulation.mixtures import MIXTURES, Mixture
from anomalon.simulation.process import Process

PAGE = Path(__file__).resolve().parents[1] / "docs" / "processes.md"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def page() -> str:
    """The whole page."""
    intro = (
        "# Processes and mixtures\n\n"
        "Written by `scripts/write_process_docs.py` from the catalogue; the numbers are measured by "
        "`scripts/measure_processes.py`.\n"
        f"{measured().generator}, leading order, 13 TeV. Events/s are for one core, with / without multi-parton "
        "interactions, detector included.\n"
    )
    return "\n".join((intro, _processes(), _acceptances(), _elsewhere(), _mixtures(), *map(_shares, MIXTURES.values())))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _processes() -> str:
    header = ("name", "process", "pb", "events/s", "parameters", "caveats", "used in")
    return "## What PYTHIA makes\n\n" + table(header, map(_process, PROCESSES.values()))


def _process(p: Process) -> tuple[str, ...]:
    m = measured().processes[p.name]
    parameters = ", ".join(f"`{name}` = {v.default:g} {v.unit}".strip() for name, v in p.parameters.items())
    sigma = f"{m.cross_section_pb:.3g} ± {m.cross_section_error_pb:.1g}"
    speed = f"{m.rate_mpi_on:.0f} / {m.rate_mpi_off:.0f}"
    return f"`{p.name}`", p.title, sigma, speed, parameters, "; ".join(p.caveats), p.source


def _acceptances() -> str:
    regions = list(next(iter(measured().processes.values())).acceptance)
    n = {m.n for m in measured().processes.values()}
    rows = (
        (f"`{name}`", *(f"{m.acceptance[region]:.2g}" if m.acceptance[region] else "" for region in regions))
        for name, m in measured().processes.items()
    )
    words = (
        f"Part of the weight in each region: detector `cms`, no multi-parton interactions, {min(n)} events, so that "
        "empty means fewer than about one in a hundred.\n\n"
    )
    return "## Acceptances\n\n" + words + table(("process", *regions), rows)


def _elsewhere() -> str:
    rows = ((f"`{e.name}`", e.title, f"`{e.nearest}`" if e.nearest else "", e.source) for e in ELSEWHERE.values())
    words = "PYTHIA has no matrix element for these: they come in as LHE files of another generator.\n\n"
    return "## What it does not\n\n" + words + table(("name", "process", "a part of it", "used in"), rows)


def _mixtures() -> str:
    rows = (
        (
            f"`{m.name}`",
            m.title,
            m.resolved_region.words,
            f"`{m.detector}`",
            f"{m.effective_per_hour():,.0f} / {m.effective_per_hour(mpi=False):,.0f}",
            "; ".join(m.caveats),
            m.source,
        )
        for m in MIXTURES.values()
    )
    words = (
        "Effective events per hour: background events of equal weight in the region that one core is worth, with / "
        f"without multi-parton interactions. Detectors: {', '.join(f'`{name}`' for name in PRESETS)}.\n\n"
    )
    header = ("name", "search", "region", "detector", "effective events/h", "caveats", "after")
    return "## Mixtures\n\n" + words + table(header, rows)


def _shares(mixture: Mixture) -> str:
    shares = mixture.shares()
    rows = []
    for item in mixture.ingredients:
        m = mixture.measured[item.process]
        share = f"{100 * shares[item.process]:.1f} %"
        region = f"{m.acceptance:.2g}" if m.effective else f"below {1 / m.n:.1g}"
        rows.append((f"`{item.process}`", item.role, f"{m.cross_section_pb:.3g}", region, f"{m.effective:.2g}", share))
    header = ("process", "role", "pb", "in region", "effective per event", "share of events")
    return f"### `{mixture.name}`\n\n" + table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
