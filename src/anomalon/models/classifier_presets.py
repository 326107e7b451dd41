"""Classifiers by name: a registered classifier with inputs and settings that make sense together.

A preset is what a user could write in the configuration; every key of it can be overridden there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anomalon.features.top_pairs import SENAS2018

# Garcia Senas 2018 (Cantabria), sections 3.2 and 3.3. The widths are those of the text: a new layer comes before the
# others, so that two layers are 8 and 4. Repairs: one output with the binary cross entropy in place of two sigmoids
# with the categorical one, and Adam, without weight decay, also where the source names RMSprop.
_GAUSSIANS = {
    f"senas2018-gaussians-{layers}": {
        "kind": "perceptron",
        "hidden": [16, 12, 8, 4][-layers:],
        "activation": "relu",
        "dropout": 0.4,
        "validation": 0.0,
        "preprocessing": {"mode": "raw", "fill": 0.0},
        "training": {"epochs": 2, "patience": 2, "batch_size": 1, "learning_rate": 1e-3, "weight_decay": 0.0},
    }
    for layers in (1, 2, 3, 4)
}
_TOP_PAIRS: dict[str, Any] = {
    "kind": "perceptron",
    "activation": "relu",
    "validation": 0.0,
    "training": {"epochs": 3, "patience": 3, "batch_size": 32, "learning_rate": 1e-3, "weight_decay": 0.0},
}
# With inputs in GeV, as printed, every neuron of a layer may be dead after a few steps: they often fail to train.
_STANDARD = {"inputs": list(SENAS2018), "log": [], "absolute": []}
_RAW = {"mode": "raw", "fill": 0.0, "inputs": list(SENAS2018)}

CLASSIFIER_PRESETS: dict[str, dict[str, Any]] = {
    "perceptron": {"preprocessing": {"mode": "standard", "fill": 0.0}},
    **_GAUSSIANS,
    "senas2018-2-layers": {**_TOP_PAIRS, "hidden": [4, 4], "preprocessing": _STANDARD},
    "senas2018-3-layers": {**_TOP_PAIRS, "hidden": [7, 4, 4], "preprocessing": _STANDARD},
    "senas2018-2-layers-raw": {**_TOP_PAIRS, "hidden": [4, 4], "preprocessing": _RAW},
    "senas2018-3-layers-raw": {**_TOP_PAIRS, "hidden": [7, 4, 4], "preprocessing": _RAW},
}


def with_classifier_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a user wrote, on top of the preset of its ``kind``; nested mappings are merged.

    >>> with_classifier_preset({"kind": "senas2018-2-layers", "dropout": 0.1})["kind"]
    'perceptron'
    """
    preset = CLASSIFIER_PRESETS.get(str(values.get("kind")), {})
    merged = {**preset, **values, "kind": preset.get("kind", values.get("kind"))}
    for key, own in preset.items():
        if isinstance(own, Mapping) and isinstance(values.get(key), Mapping):
            merged[key] = {**own, **values[key]}
    return merged
