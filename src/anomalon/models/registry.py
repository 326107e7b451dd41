"""Scorers and classifiers by name.

Third parties join through the entry points ``anomalon.scorers`` and ``anomalon.classifiers``, or by
:func:`register_scorer`. Classes are imported when they are asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from anomalon.errors import UnknownNameError, suggest
from anomalon.models.contract import Classifier, Scorer
from anomalon.models.storage import read_manifest

_BUILT_IN = {
    "autoencoder": "anomalon.models.autoencoder:Autoencoder",
    "vae": "anomalon.models.vae:VAE",
    "convolutional-autoencoder": "anomalon.models.convolutional:ConvolutionalScorer",
    "kmeans": "anomalon.models.clustering:KMeansDistance",
    "gaussian-mixture": "anomalon.models.clustering:GaussianMixtureLikelihood",
    "isolation-forest": "anomalon.models.isolation_forest:IsolationForestScore",
    "single-variable": "anomalon.models.single_variable:SingleVariable",
    "input-sum": "anomalon.models.input_sum:InputSum",
    "nearest-neighbours": "anomalon.models.neighbours:NearestNeighbours",
    "kernel-density": "anomalon.models.neighbours:KernelDensity",
    "histograms": "anomalon.models.marginals:Histograms",
    "empirical-tails": "anomalon.models.marginals:EmpiricalTails",
    "principal-components": "anomalon.models.principal_components:PrincipalComponents",
    "flow": "anomalon.models.flow:Flow",
    "deep-svdd": "anomalon.models.deep_svdd:DeepSVDD",
    "masked-prediction": "anomalon.models.masked_prediction:MaskedPrediction",
    "set-vae": "anomalon.models.set_vae:SetVAE",
    "upper-tails": "anomalon.models.upper_tails:UpperTails",
    "outlier-exposure": "anomalon.models.outlier_exposure:OutlierExposure",
    "combination": "anomalon.models.combination:Combination",
}
_BUILT_IN_CLASSIFIERS = {
    "gradient-boosting": "anomalon.models.classifier:GradientBoosting",
    "perceptron": "anomalon.models.perceptron:PerceptronClassifier",
}
_SCORERS: dict[str, Any] = dict(_BUILT_IN)
_CLASSIFIERS: dict[str, Any] = dict(_BUILT_IN_CLASSIFIERS)


def scorer_names() -> tuple[str, ...]:
    """Names of the registered scorers."""
    return tuple(_all("anomalon.scorers", _SCORERS))


def classifier_names() -> tuple[str, ...]:
    """Names of the registered classifiers."""
    return tuple(_all("anomalon.classifiers", _CLASSIFIERS))


def get_scorer(name: str) -> type[Scorer]:
    """Class of a scorer.

    Raises:
        UnknownNameError: there is no such scorer; the message suggests near ones.

    >>> get_scorer("kmeans").__name__
    'KMeansDistance'
    """
    found: Any = _get(name, "scorer", _all("anomalon.scorers", _SCORERS))
    if not issubclass(found, Scorer):
        raise UnknownNameError(f"'{name}' is registered as a scorer and is none: {found!r}")
    scorer: type[Scorer] = found
    return scorer


def get_classifier(name: str) -> type[Classifier]:
    """Class of a classifier.

    Raises:
        UnknownNameError: there is no such classifier; the message suggests near ones.
    """
    found = _get(name, "classifier", _all("anomalon.classifiers", _CLASSIFIERS))
    if not issubclass(found, Classifier):
        raise UnknownNameError(f"'{name}' is registered as a classifier and is none: {found!r}")
    classifier: type[Classifier] = found
    return classifier


def register_scorer(name: str, scorer: type[Scorer]) -> None:
    """Add a scorer, or replace the one of that name."""
    _SCORERS[name] = scorer


def register_classifier(name: str, classifier: type[Classifier]) -> None:
    """Add a classifier, or replace the one of that name."""
    _CLASSIFIERS[name] = classifier


def load_scorer(folder: Path) -> Scorer:
    """Read a saved scorer of any registered kind.

    Raises:
        ModelFileError: the files are damaged.
        UnknownNameError: the kind is not registered here.
    """
    return get_scorer(str(read_manifest(folder, Scorer._manifest, ("kind",))["kind"])).load(folder)


def load_classifier(folder: Path) -> Classifier:
    """Read a saved classifier of any registered kind."""
    return get_classifier(str(read_manifest(folder, Classifier._manifest, ("kind",))["kind"])).load(folder)


def _all(group: str, known: dict[str, Any]) -> dict[str, Any]:
    return {**_installed(group), **known}


@cache
def _installed(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group)}


def _get(name: str, what: str, known: dict[str, Any]) -> Any:
    if name not in known:
        raise UnknownNameError(f"no {what} '{name}'; {suggest(name, known)}")
    found = known[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        return getattr(import_module(module), attribute)
    return found.load() if hasattr(found, "load") and not isinstance(found, type) else found
