"""A list of distortions, applied in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from anomalon.distortions.flat import Draws
from anomalon.distortions.momenta import Lose, Scale, Smear
from anomalon.distortions.soft import Soft
from anomalon.distortions.swap import Swap
from anomalon.events import Events, Sample


def _kind(value: Any) -> Any:
    return value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)


Distortion = Annotated[
    Annotated[Scale, Tag("scale")]
    | Annotated[Smear, Tag("smear")]
    | Annotated[Lose, Tag("lose")]
    | Annotated[Swap, Tag("swap")]
    | Annotated[Soft, Tag("soft")],
    Discriminator(
        _kind,
        custom_error_type="kind_of_distortion",
        custom_error_message="'kind' must be scale, smear, lose, swap or soft",
    ),
]
"""Any distortion; in YAML its ``kind`` says which."""

RECORD = "distortions"
"""Key of the samples' provenance: what was done, in order, with its seed."""


def distort(events: Events, distortions: Sequence[Distortion], *, seed: int = 0) -> Events:
    """Apply distortions one after the other; the events that are given stay as they are.

    Args:
        events: any events.
        distortions: what to do; nothing at all gives back the same events.
        seed: of what is left to chance.

    Returns:
        Events of the same number and order, with the same weights.

    Raises:
        MissingFieldError: the events lack a collection or column that a distortion needs.

    >>> from anomalon.distortions import Scale, Which
    >>> jets = [{"pt": 60, "eta": 0, "phi": 0, "btag": True}, {"pt": 50, "eta": 1, "phi": 0}]
    >>> events = Events.from_dicts([{"jets": jets, "met": {"pt": 10, "phi": 0}}])
    >>> halved = distort(events, [Scale(which=Which(collection="jets", btag=True), factor=0.5)])
    >>> halved.array.jets.pt.to_list(), halved.array.met.pt.to_list()
    ([[50.0, 30.0]], [40.0])
    """
    if not distortions:
        return events
    for number, distortion in enumerate(distortions, 1):
        events.require(sorted(distortion.requires), f"distortion {number} ({distortion.kind})")
    distorted = events
    for number, distortion in enumerate(distortions, 1):
        distorted = distortion.apply(distorted, Draws(distorted, f"{RECORD}/{seed}/{number}"))
    return Events(distorted.array, [_recorded(sample, distortions, seed) for sample in events.samples])


def required_fields(distortions: Iterable[Distortion]) -> frozenset[str]:
    """Dotted names of the event fields that distortions read or change, so that readers can load them."""
    return frozenset(name for distortion in distortions for name in distortion.requires)


def _recorded(sample: Sample, distortions: Sequence[Distortion], seed: int) -> Sample:
    steps = [distortion.model_dump(mode="json", exclude_none=True) for distortion in distortions]
    done = [*sample.provenance.get(RECORD, ()), {"seed": seed, "steps": steps}]
    return sample.model_copy(update={"provenance": {**sample.provenance, RECORD: done}})
