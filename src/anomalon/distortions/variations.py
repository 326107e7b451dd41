"""Distortions in pairs: how much an object may be off by one standard deviation, up and down.

The sizes are typical of the detectors of the LHC and stand for no experiment: an analysis of real data takes those of
its own objects. Where only one end can be made, the other one is its mirror image in the final template.

- ``jet-scale``: 2.5 %. ATLAS has 1 % for 250 to 2000 GeV and 5 % at 20 GeV, arXiv:2007.02645 (abstract).
- ``jet-resolution``: 8 % worse than that of our detector, taken as independent. ATLAS knows its (24 +- 1.5) % at 20 GeV
  and (6 +- 0.5) % at 300 GeV, that is to 6 and 8 %; the same abstract.
- ``electron-scale``: 0.1 % in the barrel, 0.3 % in the endcaps. CMS, arXiv:2012.06888 (abstract).
- ``muon-scale``: 0.1 %, ``muon-resolution``: 0.4 %, which makes 2 % worse by 2 % of itself. ATLAS has 0.05 to 0.1 % and
  1.5 to 2 %, arXiv:2212.07338 (abstract).
- ``electron-resolution``: 0.5 %, typical.
- ``b-tag-efficiency``: 5 %. ATLAS has 1 to 8 %, arXiv:1907.05120 (abstract). Events hold no true flavour: of all tagged
  jets, few of which are no b-jets, this share loses its tag.
- ``b-tag-mistag``: 20 % of a rate of 1 %, typical. Of all untagged jets, some of which are b-jets, this share gets a
  tag.
- ``soft-met``: 10 % of the soft momentum, typical.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from anomalon.config import Settings
from anomalon.distortions.distort import required_fields
from anomalon.distortions.momenta import Scale
from anomalon.distortions.presets import Distortions, Steps, jet_scale
from anomalon.distortions.soft import Soft
from anomalon.distortions.swap import Swap
from anomalon.distortions.which import Which
from anomalon.errors import UnknownNameError, suggest

End = Literal["down", "up"]

ALL = "standard"
"""Stands for every pair of :data:`STANDARD`."""
BARREL = 1.479
"""|eta| at which the barrel of the electromagnetic calorimeter of CMS ends."""
TAGGED = 2.5
"""|eta| up to which tracks, and so b-tags, exist."""


class Variation(Settings):
    """What events look like one standard deviation up and down.

    Attributes:
        up: distortions; None where only down can be made.
        down: the same.
    """

    up: Distortions | None = None
    down: Distortions | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.up or self.down):
            raise ValueError("give distortions under up, under down, or both")
        return self

    @property
    def ends(self) -> dict[End, Steps]:
        """The ends that can be made, ``down`` before ``up``."""
        both: dict[End, Steps | None] = {"down": self.down, "up": self.up}
        return {end: steps for end, steps in both.items() if steps}

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return required_fields(step for steps in self.ends.values() for step in steps)


def _electron_scale(sign: int) -> Steps:
    barrel, endcap = Which(collection="electrons", eta_max=BARREL), Which(collection="electrons", eta_min=BARREL)
    return Scale(which=barrel, factor=1 + sign * 0.001), Scale(which=endcap, factor=1 + sign * 0.003)


def _muon_scale(sign: int) -> Steps:
    return (Scale(which=Which(collection="muons"), factor=1 + sign * 0.001),)


def _smeared(collection: str, **widths: float) -> Variation:
    return Variation.parse({"up": [{"kind": "smear", "which": {"collection": collection}, **widths}]})


def _tag_moved(btag: bool, probability: float) -> Steps:
    which = Which(collection="jets", btag=btag, eta_max=TAGGED)
    return (Swap(which=which, to="jets" if btag else "bjets", probability=probability),)


STANDARD: Mapping[str, Variation] = {
    "jet-scale": Variation(up=jet_scale(1.025), down=jet_scale(0.975)),
    # sqrt(1.08^2 - 1) = 0.408 times 2 GeV, 0.8 sqrt(GeV) and 0.05, the resolution of simulated jets
    "jet-resolution": _smeared("jets", noise=0.82, stochastic=0.33, constant=0.020),
    "electron-scale": Variation(up=_electron_scale(1), down=_electron_scale(-1)),
    "electron-resolution": _smeared("electrons", constant=0.005),
    "muon-scale": Variation(up=_muon_scale(1), down=_muon_scale(-1)),
    "muon-resolution": _smeared("muons", constant=0.004),
    "b-tag-efficiency": Variation(down=_tag_moved(True, 0.05)),
    "b-tag-mistag": Variation(up=_tag_moved(False, 0.002)),
    "soft-met": Variation(up=(Soft(factor=1.1),), down=(Soft(factor=0.9),)),
}
"""Pairs by name; see the top of this module for their sizes."""


def standard(name: str) -> Variation:
    """The pair of a name.

    Raises:
        UnknownNameError: there is none of that name.

    >>> [step.factor for step in standard("jet-scale").up]
    [1.025]
    """
    if name not in STANDARD:
        raise UnknownNameError(f"no variation called '{name}'; {suggest(name, [*STANDARD, ALL])}")
    return STANDARD[name]


def _named(value: Any) -> Any:
    """Put pairs in the place of their names: alone, in a list, or as the values of a mapping."""
    if isinstance(value, Mapping):
        return {name: standard(pair) if isinstance(pair, str) else pair for name, pair in value.items()}
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        return value
    names = [name for item in items for name in (STANDARD if item == ALL else (item,))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"'{twice[0]}' is named twice; name it once")
    return {name: standard(name) for name in names}


Variations = Annotated[dict[str, Variation], BeforeValidator(_named)]
"""Type of a setting that holds pairs: ``standard``, names of :data:`STANDARD`, or name -> {up, down} or such a name."""
