"""What a comparison of calibrations found, as records and as a page of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from anomalon.config import Settings
from anomalon.metrics.two_sample import TwoSampleTest
from anomalon.style.closure import Closure
from anomalon.style.diagnosis import Difference
from anomalon.style.objects import Freedom

_SHOWN = 8
_LEFT = 3


class Judged(Settings):
    """What a calibration does to one process.

    Attributes:
        untreated: two-sample test of source and target.
        test: of calibrated events and target.
        closures: by variable; empty where the truth is not known.
        left: the diagnosis of calibrated events against the target.
    """

    untreated: TwoSampleTest
    test: TwoSampleTest
    closures: dict[str, Closure]
    left: tuple[Difference, ...]

    def worst_other(self, objects: str) -> tuple[str, float] | None:
        """The variable beside the pT of these objects that ends farthest from the twins, in units of the floor."""
        others = {
            n: c.after / c.floor for n, c in self.closures.items() if c.floor > 0 and not n.startswith(_own(objects))
        }
        return max(others.items(), key=lambda item: item[1], default=None)


class CalibrationResult(Settings):
    """One method.

    Attributes:
        label: its name with what was set.
        kind: its name.
        seconds: of the fit.
        summary: what it has learned.
        judged: on the process that it was fitted on.
        transfer: on others, by name.
    """

    label: str
    kind: str
    seconds: float
    summary: dict[str, Any]
    judged: Judged
    transfer: dict[str, Judged]


class Comparison(Settings):
    """Everything that ``anomalon style calibrate`` finds.

    Attributes:
        config: as it was given.
        events: of source and target behind the cuts.
        freedom: what was moved.
        diagnosis: of source against target.
        untreated: their two-sample test: its significance is the power.
        floor: the test of two samples like the target; None where there is no third sample.
        calibrations: one per method.
    """

    config: dict[str, Any]
    events: tuple[int, int]
    freedom: Freedom
    diagnosis: tuple[Difference, ...]
    untreated: TwoSampleTest
    floor: TwoSampleTest | None
    calibrations: tuple[CalibrationResult, ...]


def as_markdown(found: Comparison) -> str:
    """Tables of diagnosis, closure and two-sample tests, as Markdown."""
    power = f"Untreated AUC {_test(found.untreated)}: {found.untreated.significance:.0f} standard deviations."
    floor = [] if found.floor is None else [f"Two samples like the target: {_test(found.floor)}."]
    cut = f"{found.freedom.objects}, pT > {found.freedom.pt_min:g} GeV"
    lines = [
        f"{found.events[0]:,} and {found.events[1]:,} events behind the cuts. Calibrated: {cut}.",
        "",
        *_table(("differs", "distance", "floor", "significance"), map(_difference_row, found.diagnosis[:_SHOWN])),
        "",
        " ".join([power, *floor]),
        "",
        *_table(
            ("method", "process", "closed", "ceiling", "by region", "farthest other", "AUC", "untreated", "s", "left"),
            _rows(found),
        ),
        "",
        *(line for one in found.calibrations for line in learned(one)),
    ]
    return "\n".join(lines) + "\n"


def learned(found: CalibrationResult) -> list[str]:
    """What a method has learned, a line each; none where there is no short form."""
    lines = []
    for step in found.summary.get("steps", [{"kind": found.kind, **found.summary}]):
        lines += [f"- {found.label}: {text}" for text in (*_response(step), *_regions(step))]
    return lines


def _response(step: dict[str, Any]) -> Iterator[str]:
    if "response" not in step:
        return
    response, errors = step["response"], step["errors"]
    pairs = zip(response["log_scale"], errors["log_scale"], strict=True)
    cells = ", ".join(dict.fromkeys(f"{100 * value:+.1f} ± {100 * error:.1f}" for value, error in pairs))
    slope = f"slope {response['slope']:+.3f} ± {errors['slope']:.3f}"
    smearing = f"smearing {100 * response['smearing']:.1f} ± {100 * errors['smearing']:.1f} %"
    yield f"ln r in cells of |eta|, in %: {cells}; {slope}; {smearing}; from {step['fitted_from']:.1f} GeV"


def _regions(step: dict[str, Any]) -> Iterator[str]:
    for region in step.get("regions", ()):
        high = "" if region["high"] is None else f" < {region['high']:g}"
        yield f"efficiency {region['efficiency']:.3f} ± {region['error']:.3f} at {region['low']:g} ≤ |eta|{high}"


def _own(objects: str) -> tuple[str, str]:
    """How the names of what was moved begin: the pT of the objects, all and by region, and both regions together."""
    return f"{objects}.pt", "pt by region"


def _rows(found: Comparison) -> Iterator[Sequence[str]]:
    objects = found.freedom.objects
    for one in found.calibrations:
        for name, judged in {"own": one.judged, **one.transfer}.items():
            pt, regions = judged.closures.get(f"{objects}.pt"), judged.closures.get("pt by region")
            left = [f"{d.variable} {d.significance:.0f}" for d in judged.left[:_LEFT] if d.significance > 4]
            closed = ("-", "-") if pt is None else (_share(pt.closed), _share(pt.ceiling))
            worst = judged.worst_other(objects)
            yield (
                one.label, name, *closed, "-" if regions is None else _share(regions.closed),
                "-" if worst is None else f"{worst[0]}, {worst[1]:.1f} x floor", _test(judged.test),
                f"{judged.untreated.auc:.3f}", f"{one.seconds:.0f}", ", ".join(left) or "nothing",
            )  # fmt: skip


def _difference_row(found: Difference) -> Sequence[str]:
    name = f"{found.variable} (follows)" if found.derived else found.variable
    floor = f"{found.floor:.4f} ± {found.floor_error:.4f}"
    return name, f"{found.distance:.4f}", floor, f"{found.significance:.0f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _test(found: TwoSampleTest) -> str:
    return f"{found.auc:.4f} ± {found.error:.4f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
