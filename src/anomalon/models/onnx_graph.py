"""A detector as one torch module, from features to scores: what is exported as ONNX.

The input is float32 (event, feature), the detector's inputs in their own units and order, NaN where missing; the output
float64 (event,). Arithmetic is that of the detector: preprocessing in float64, the network in float32, sums of errors
in float64. An event with an infinite value scores NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomalon.errors import ModelFileError
from anomalon.models.contract import Scorer
from anomalon.models.detector import Detector
from anomalon.models.reconstruction import ERRORS, SMALLEST_SUM, ReconstructingScorer
from anomalon.networks.vae import kl_divergence
from anomalon.preprocessing import Preprocessing


class DetectorGraph(nn.Module):
    """Preprocessing, network and score.

    Args:
        detector: fitted, of a kind that :func:`exportable` takes.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.prepare = PreprocessingGraph(detector.preprocessing)
        self.score: nn.Module = (
            EnergyGraph(detector) if _compares_energies(detector) else _GRAPHS[detector.scorer.kind](detector.scorer)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scores (event,) of features (event, feature)."""
        inputs = self.prepare(features)
        score: Tensor = self.score(inputs)
        finite = torch.isfinite(features) | torch.isnan(features)
        return torch.where(finite.all(dim=1), score, math.nan)


class PreprocessingGraph(nn.Module):
    """What :class:`anomalon.preprocessing.Preprocessing` does, in torch.

    Args:
        preprocessing: fitted, with a number for missing values.
    """

    logged: Tensor
    unsigned: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        fitted, settings = preprocessing.to_dict()["fitted"], preprocessing.settings
        treatments = [settings.treatment(name) for name in preprocessing.names]
        for name, treatment in (("logged", "log"), ("unsigned", "absolute")):
            self.register_buffer(name, torch.tensor([t == treatment for t in treatments]))
        for name in ("centre", "scale"):
            self.register_buffer(name, torch.tensor(fitted[name], dtype=torch.float64))
        self.clip, self.fill = settings.clip, float(settings.fill or 0.0)

    def forward(self, features: Tensor) -> Tensor:
        """Inputs (event, input), float32, of features (event, feature)."""
        missing = torch.isnan(features)
        x = torch.where(missing, 0.0, features.double())
        x = torch.where(self.logged, torch.log1p(x.clamp(min=0.0)), torch.where(self.unsigned, x.abs(), x))
        x = ((x - self.centre) / self.scale).clamp(-self.clip, self.clip)
        return torch.where(missing, self.fill, x).float()


class ReconstructionGraph(nn.Module):
    """Error of a reconstruction, on the scale of the scorer.

    Args:
        scorer: with a network of ``encode`` and ``decode``.
    """

    def __init__(self, scorer: ReconstructingScorer) -> None:
        super().__init__()
        self.network: Any = scorer.network
        self.error = ERRORS[scorer.error]
        self.divide = scorer.n_inputs
        self.logarithm = scorer.settings.scale == "log10-sum"

    def forward(self, x: Tensor) -> Tensor:
        """Scores (event,) of inputs (event, input)."""
        sums = self.sums(x)
        return _log10(sums) if self.logarithm else sums / self.divide

    def sums(self, x: Tensor) -> Tensor:
        """Errors (event,) summed over the inputs."""
        given = self.network.decode(self.network.encode(x))
        return self.error(given.double(), x.double()).sum(dim=1)


class VAEGraph(ReconstructionGraph):
    """Any of the scores of a variational autoencoder.

    Args:
        scorer: the VAE.
    """

    def __init__(self, scorer: Any) -> None:
        super().__init__(scorer)
        self.which, self.beta = scorer.settings.score, scorer.settings.beta
        if self.which != "reconstruction":
            self.divide = 1

    def sums(self, x: Tensor) -> Tensor:
        """Scores (event,) before their logarithm."""
        if self.which == "reconstruction":
            return super().sums(x)
        parts: tuple[Tensor, Tensor] = self.network.posterior(x)
        mean, log_variance = (part.double() for part in parts)
        if self.which == "radius":
            return mean.square().sum(dim=1)
        divergence = kl_divergence(mean, log_variance)
        return divergence if self.which == "kl" else 0.5 * super().sums(x) + self.beta * divergence


class EnergyGraph(nn.Module):
    """Squared differences with logarithms undone, as ``compare: energies`` asks for.

    Args:
        detector: with a scorer that reconstructs.
    """

    logged: Tensor
    centre: Tensor
    scale: Tensor
    spread: Tensor
    highest: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        scorer: Any = detector.scorer
        self.network: Any = scorer.network
        names, largest = detector.preprocessing.names, _largest_logarithm(detector.preprocessing)
        fitted = detector.preprocessing.to_dict()["fitted"]
        for name in ("centre", "scale", "spread", "highest"):
            self.register_buffer(name, torch.tensor(fitted[name], dtype=torch.float64))
        logged = [detector.preprocessing.settings.treatment(name) == "log" for name in names]
        self.register_buffer("logged", torch.tensor(logged))
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        """Scores (event,) of inputs (event, input)."""
        given = torch.minimum(self.network.decode(self.network.encode(x)).double(), self.highest)
        return (self._undone(x.double()) - self._undone(given)).square().mean(dim=1)

    def _undone(self, x: Tensor) -> Tensor:
        exponent = (x * self.scale + self.centre).clamp(0.0, self.largest)
        return torch.where(self.logged, torch.expm1(exponent) / self.spread, x)


class SpheresGraph(nn.Module):
    """Mean distance of an ensemble of deep SVDD.

    Args:
        scorer: the ensemble.
    """

    usual: Tensor

    def __init__(self, scorer: Any) -> None:
        super().__init__()
        self.network: Any = scorer.network
        self.register_buffer("usual", torch.tensor(np.asarray(scorer.usual), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (event,) of inputs (event, input)."""
        distances: Tensor = self.network.distances(x)
        return (distances.double() / self.usual).mean(dim=1)


class MaskedGraph(nn.Module):
    """Pseudo-likelihood of the inputs, each hidden in turn.

    Args:
        scorer: with a network that predicts what it is not shown.
    """

    def __init__(self, scorer: Any) -> None:
        super().__init__()
        self.network: Any = scorer.network
        self.n_inputs = scorer.n_inputs

    def forward(self, x: Tensor) -> Tensor:
        """Scores (event,) of inputs (event, input)."""
        shown = 1.0 - torch.eye(self.n_inputs, dtype=x.dtype)
        terms = [self.network(x, shown[k].expand_as(x))[:, k].double() for k in range(self.n_inputs)]
        return torch.stack(terms, dim=1).sum(dim=1)


class VariableGraph(nn.Module):
    """One variable, or minus it.

    Args:
        scorer: the variable.
    """

    def __init__(self, scorer: Any) -> None:
        super().__init__()
        self.sign = 1.0 if scorer.settings.direction == "high" else -1.0

    def forward(self, x: Tensor) -> Tensor:
        """Scores (event,) of inputs (event, 1)."""
        return self.sign * x[:, 0].double()


_GRAPHS: dict[str, Callable[[Any], nn.Module]] = {
    "autoencoder": ReconstructionGraph,
    "vae": VAEGraph,
    "deep-svdd": SpheresGraph,
    "masked-prediction": MaskedGraph,
    "single-variable": VariableGraph,
}


def why_not(detector: Detector) -> str | None:
    """Why a detector cannot be exported; None where it can.

    >>> from anomalon.models.detector import DetectorSettings
    >>> why_not(Detector(DetectorSettings.parse({"kind": "kmeans"})))
    "a 'kmeans' is no network; exported are: autoencoder, deep-svdd, masked-prediction, single-variable, vae"
    """
    if detector.scorer.kind not in _GRAPHS:
        what = "no graph is written for it" if _is_network(detector.scorer) else "is no network"
        words = f"a '{detector.scorer.kind}' {what}" if what.startswith("is") else f"'{detector.scorer.kind}': {what}"
        return f"{words}; exported are: {', '.join(sorted(_GRAPHS))}"
    if detector.preprocessing.settings.fill is None:
        return "missing values stay missing (preprocessing.fill: null), which a network cannot take"
    return None


def graph_of(detector: Detector) -> DetectorGraph:
    """The module of a fitted detector, ready to be exported.

    Raises:
        ModelFileError: this kind of detector cannot be exported; the message says which can.
    """
    reason = why_not(detector)
    if reason is not None:
        raise ModelFileError(f"detector '{detector.name}' cannot be exported as ONNX: {reason}")
    return DetectorGraph(detector).eval()


def _is_network(scorer: Scorer) -> bool:
    return isinstance(getattr(scorer, "network", None), nn.Module)


def _compares_energies(detector: Detector) -> bool:
    return detector.settings.compare == "energies" and isinstance(detector.scorer, ReconstructingScorer)


def _largest_logarithm(preprocessing: Preprocessing) -> float:
    """Upper end of the exponents that the preprocessing undoes, found from what it gives for a huge input."""
    undone = preprocessing.without_logarithms(np.full((1, len(preprocessing.names)), 1e30))[0]
    fitted = preprocessing.to_dict()["fitted"]
    logged = [preprocessing.settings.treatment(name) == "log" for name in preprocessing.names]
    found = [math.log1p(x * s) for x, s, is_log in zip(undone, fitted["spread"], logged, strict=True) if is_log]
    return max(found, default=1.0)


def _log10(sums: Tensor) -> Tensor:
    return torch.log10(sums.clamp(min=SMALLEST_SUM))
