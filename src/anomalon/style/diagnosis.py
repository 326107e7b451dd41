"""What differs between two samples: every degree of freedom ranked by its distance, beside the floor of chance.

The distance is Wasserstein-1 in units of the pooled standard deviation. Its floor is what samples of this size show
when they do not differ: the same distance with the events dealt to the two samples at random. Objects come first, for
they can be calibrated; missing transverse momentum and sums follow from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from anomalon.config import Settings
from anomalon.errors import EmptySelectionError
from anomalon.events import Events
from anomalon.style.objects import Ints, ObjectType, Values
from anomalon.style.variables import Variable, normalised_weights, variables

DERIVED = ("met", "ht")
"""Variables that follow from the objects."""
SIGNIFICANT = 5.0
"""Standard deviations of the floor from which a difference is taken for one."""
DEALS = 40


class Difference(Settings):
    """How far one variable differs.

    Attributes:
        variable: its name, such as ``bjets.pt``.
        distance: Wasserstein-1 over the pooled standard deviation.
        floor, floor_error: mean and standard deviation of what chance shows.
        derived: whether it follows from others.
    """

    variable: str
    distance: float
    floor: float
    floor_error: float
    derived: bool

    @property
    def significance(self) -> float:
        """Distance above the floor in its standard deviations."""
        return (self.distance - self.floor) / max(self.floor_error, 1e-12)


def diagnose(source: Events, target: Events, *, seed: int = 0) -> tuple[Difference, ...]:
    """Differences, the most significant first.

    Args:
        source: events of one detector, behind the same cuts as the target's.
        target: events of the other.
        seed: of the deals.

    Raises:
        EmptySelectionError: a sample has no events.
    """
    for name, events in (("source", source), ("target", target)):
        if not len(events):
            raise EmptySelectionError(f"diagnosis: the {name} has no events; loosen the cuts or read more")
    weight = np.concatenate([normalised_weights(events) for events in (source, target)])
    label = np.repeat([False, True], [len(source), len(target)])
    rng = np.random.default_rng([seed, 11])
    deals = np.stack([label, *(rng.permutation(label) for _ in range(DEALS))])
    a, b = variables(source), variables(target)
    found = [_difference(name, a[name], b[name], weight=weight, deals=deals) for name in a if name in b]
    return tuple(sorted(found, key=lambda item: -item.significance))


def suspects(differences: Sequence[Difference], significance: float = SIGNIFICANT) -> tuple[ObjectType, ...]:
    """Object types whose pT differs, the most significant first."""
    seen: dict[ObjectType, None] = {}
    for item in differences:
        name, _, quantity = item.variable.partition(".")
        if quantity.startswith("pt") and item.significance > significance:
            seen.setdefault(cast(ObjectType, name))
    return tuple(seen)


def _difference(name: str, a: Variable, b: Variable, *, weight: Values, deals: Values) -> Difference:
    values = np.concatenate([a.values, b.values])
    n_source = len(deals[0]) - np.count_nonzero(deals[0])
    owner = np.concatenate([a.owner, b.owner + n_source])
    if len(values) < 2 or not values.std() > 0 or not (len(a.values) and len(b.values)):
        return Difference(variable=name, distance=0.0, floor=0.0, floor_error=0.0, derived=name in DERIVED)
    order = np.argsort(values)
    gaps, owner = np.diff(values[order]) / values.std(), owner[order]
    distances = np.asarray([_distance(gaps, weight[owner], deal[owner]) for deal in deals])
    floor = distances[1:]
    return Difference(
        variable=name,
        distance=float(distances[0]),
        floor=float(floor.mean()),
        floor_error=float(floor.std(ddof=1)),
        derived=name in DERIVED,
    )


def _distance(gaps: Values, weight: Values, target: Ints) -> float:
    """Wasserstein-1: the area between two cumulative distributions."""
    sides = []
    for side in (target, ~target):
        total = np.cumsum(weight * side)
        sides.append(total[:-1] / max(float(total[-1]), 1e-300))
    return float(np.abs(sides[0] - sides[1]) @ gaps)
