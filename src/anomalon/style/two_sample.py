"""Can a classifier tell two samples of events? And would it, at this size, have seen the untreated difference?"""

from __future__ import annotations

from anomalon.events import Events
from anomalon.metrics.two_sample import TwoSampleTest, two_sample_test
from anomalon.style.objects import Values
from anomalon.style.variables import normalised_weights, table


def tell_apart(first: Events, second: Events, *, most: int | None = None, seed: int = 0) -> TwoSampleTest:
    """Cross-validated test of two samples on :func:`anomalon.style.variables.table`.

    Args:
        first: events of one sample.
        second: of the other; different events, or the test sees pairs.
        most: so many events of each are used at most, the first ones.
        seed: of folds and trees.

    Raises:
        EmptySelectionError: a sample has too few events.
    """
    samples = [events[:most] if most else events for events in (first, second)]
    a, b = _common([table(events) for events in samples])
    return two_sample_test(a, b, weights=(normalised_weights(samples[0]), normalised_weights(samples[1])), seed=seed)


def _common(tables: list[tuple[tuple[str, ...], Values]]) -> tuple[Values, Values]:
    """The columns that both tables have."""
    common = [name for name in tables[0][0] if name in tables[1][0]]
    first, second = (values[:, [names.index(name) for name in common]] for names, values in tables)
    return first, second
