"""How much of a distance a calibration closes, where the truth is known: a distortion that was put on by hand.

Twins are the source's events, truly distorted. Closed fraction = 1 - W1(calibrated, twins) / W1(source, twins), W1 the
Wasserstein-1 distance, all behind the target's cuts. A sample that was truly distorted and is independent of the
source, the target itself, reaches the ceiling, below 1; its distance to the twins is the floor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import wasserstein_distance

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.style.objects import Values
from anomalon.style.variables import Variable, normalised_weights, variables


class Closure(Settings):
    """Closure of one variable; distances in its own unit.

    Attributes:
        variable: its name.
        before, after: distance of the source and of the calibrated events to the twins.
        floor: distance of the target to the twins.
    """

    variable: str
    before: float
    after: float
    floor: float

    @property
    def closed(self) -> float | None:
        """Closed fraction; None where there was nothing to close."""
        return None if self.before <= 0 else 1.0 - self.after / self.before

    @property
    def ceiling(self) -> float | None:
        """Closed fraction of the target itself."""
        return None if self.before <= 0 else 1.0 - self.floor / self.before


def closures(
    source: Events, calibrated: Events, twins: Events, target: Events, *, also: Sequence[str] = ()
) -> dict[str, Closure]:
    """Closure of every variable, by name; all events behind the same cuts.

    Args:
        source: the events that were calibrated.
        calibrated: what became of them.
        twins: the same events, truly distorted.
        target: other events, truly distorted.
        also: object types beside those that have no overlap, such as ``jets``.
    """
    samples = {"before": source, "after": calibrated, "twins": twins, "floor": target}
    values = {name: variables(events, also) for name, events in samples.items()}
    weights = {name: normalised_weights(events) for name, events in samples.items()}
    found = {}
    for variable, truth in values["twins"].items():
        distances = {
            name: _distance(values[name][variable], weights[name], truth, weights["twins"])
            for name in ("before", "after", "floor")
            if variable in values[name]
        }
        if len(distances) == 3:
            found[variable] = Closure(variable=variable, **distances)
    return found


def combined(parts: Sequence[Closure], name: str) -> Closure:
    """Closure of several variables of one unit together: their distances summed.

    A scale that is up here and down there leaves the spectrum of all objects nearly as it is: regions are to be judged.
    """
    sums = {kind: sum(getattr(part, kind) for part in parts) for kind in ("before", "after", "floor")}
    return Closure(variable=name, **sums)


def _distance(a: Variable, wa: Values, b: Variable, wb: Values) -> float:
    if not (len(a.values) and len(b.values)):
        return 0.0
    return float(wasserstein_distance(a.values, b.values, np.maximum(wa[a.owner], 0), np.maximum(wb[b.owner], 0)))
