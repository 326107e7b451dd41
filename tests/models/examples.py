"""Small samples and settings for the tests of models."""

from __future__ import annotations

from typing import Any

import numpy as np

from anomalon.features import Features
from anomalon.features import get as feature_set
from anomalon.models.contract import Scorer
from anomalon.models.registry import get_scorer

FAST = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2}

QUICK: dict[str, dict[str, Any]] = {
    "autoencoder": {"hidden": [16], "code": 1, "training": {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2}},
    "vae": {
        "hidden": [16],
        "code": 1,
        "beta": 0.1,
        "training": {"epochs": 40, "batch_size": 64, "learning_rate": 1e-2},
    },
    "kmeans": {"clusters": 3, "starts": 1},
    "gaussian-mixture": {"components": 2},
    "convolutional-autoencoder": {"image": [1, 1, 3], "hidden": [8], "code": 1, "training": FAST},
    "isolation-forest": {"trees": 30},
    "principal-components": {"score": "mahalanobis"},
    "single-variable": {},
    "set-vae": {"width": 16, "code": 1, "training": FAST},
    "flow": {"transforms": 1, "hidden": [16], "training": FAST},
    "deep-svdd": {"dimensions": [2, 3], "hidden": [16], "training": FAST},
    "masked-prediction": {"hidden": [16], "training": FAST},
    "outlier-exposure": {"against": "uniform", "trees": 20},
    "combination": {"members": [{"kind": "kmeans", "inputs": ["*"]}, {"kind": "upper-tails", "inputs": ["*"]}]},
}
"""Settings that fit in a moment; a scorer without an entry uses its defaults."""


def quick(name: str, seed: int = 1) -> Scorer:
    scorer = get_scorer(name)
    return scorer(scorer.Settings.parse({"seed": seed, **QUICK.get(name, {})}))


def n_inputs(name: str) -> int:
    return 1 if name == "single-variable" else 3


def background(name: str, n: int = 300, seed: int = 0) -> np.ndarray:
    """Correlated normal inputs."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, n_inputs(name)))).astype(np.float32)


def trilepton(n: int = 300, scale: float = 1.0, seed: int = 0) -> Features:
    """Features with the names of the trilepton set; energies grow with ``scale``."""
    names = feature_set("trilepton").names
    rng = np.random.default_rng(seed)
    values = rng.exponential(50 * scale, size=(n, len(names))).astype(np.float32)
    mask = rng.random(values.shape) < 0.9
    values[~mask] = np.nan
    return Features(values, mask, names)
