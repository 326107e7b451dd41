"""Features: events in, named numbers out; a registry of feature sets by name.

>>> "MET_pt" in get("trilepton").names
True
"""

from __future__ import annotations

from typing import Any

from anomalon.config import Settings
from anomalon.errors import UnknownNameError, suggest
from anomalon.features.cloud import ParticleCloud
from anomalon.features.contract import Features, FeatureSet
from anomalon.features.eta_phi import EtaPhiImages
from anomalon.features.leptons import LeptonFeatures
from anomalon.features.objects import ObjectFeatures
from anomalon.features.rmm import RapidityMassMatrix
from anomalon.features.top_pairs import Senas2018Features, TopPairFeatures
from anomalon.features.trilepton import TrileptonFeatures

__all__ = [
    "EtaPhiImages",
    "FeatureSet",
    "Features",
    "LeptonFeatures",
    "ObjectFeatures",
    "ParticleCloud",
    "RapidityMassMatrix",
    "Senas2018Features",
    "TopPairFeatures",
    "TrileptonFeatures",
    "available",
    "follows_selection",
    "get",
]

_REGISTRY: dict[str, type[Settings]] = {
    "cloud": ParticleCloud,
    "eta-phi-images": EtaPhiImages,
    "leptons": LeptonFeatures,
    "objects": ObjectFeatures,
    "rmm": RapidityMassMatrix,
    "trilepton": TrileptonFeatures,
    "top-pairs": TopPairFeatures,
    "senas2018": Senas2018Features,
}


def available() -> tuple[str, ...]:
    """Names of the feature sets."""
    return tuple(_REGISTRY)


def get(name: str, **settings: Any) -> FeatureSet:
    """Return a feature set by name, with its settings.

    Raises:
        UnknownNameError: there is no such set.
        ConfigError: a setting is unknown or out of range.
    """
    if name not in _REGISTRY:
        raise UnknownNameError(f"no feature set '{name}'; {suggest(name, _REGISTRY)}")
    made = _REGISTRY[name].parse(settings, where=f"feature set '{name}'")
    if not isinstance(made, FeatureSet):
        raise TypeError(f"feature set '{name}' does not follow the FeatureSet contract")
    return made


def follows_selection(name: str) -> bool:
    """Whether a feature set looks at the objects that a selection chose, as its setting ``selection``."""
    return name in _REGISTRY and "selection" in _REGISTRY[name].model_fields
