"""Conditional flow matching of ln pT under |eta|, with optimal-transport coupling of the batches.

A network learns the velocity of straight paths from source to target objects that are paired by the least squared
distance (Tong et al., arXiv:2302.00482; Lipman et al., arXiv:2210.02747); objects follow it from time 0 to 1. A flow
is a deterministic map: it cannot add a resolution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from anomalon.errors import TrainingError
from anomalon.models.storage import load_network, save_network
from anomalon.style.contract import CalibratorSettings
from anomalon.style.objects import Sample, Values
from anomalon.style.residual import Residual, ResidualSettings

_WEIGHTS = "velocity.safetensors"


class FlowSettings(ResidualSettings):
    """Settings of flow matching.

    Attributes:
        hidden: nodes of each hidden layer.
        steps: of the training.
        batch_size: objects of source and target that are paired.
        learning_rate: of Adam at the start; it falls to 0 as a cosine.
        condition: how much farther |eta| counts than ln pT when objects are paired, in standard deviations.
        integration: steps from time 0 to 1.
    """

    hidden: tuple[int, ...] = (64, 64)
    steps: int = Field(default=2500, ge=1)
    batch_size: int = Field(default=256, ge=8)
    learning_rate: float = Field(default=3e-3, gt=0)
    condition: float = Field(default=3.0, gt=0)
    integration: int = Field(default=12, ge=1)


class FlowMatching(Residual):
    """A velocity of ln pT that turns the source's objects into the target's."""

    Settings: ClassVar[type[CalibratorSettings]] = FlowSettings
    kind = "flow-matching"
    settings: FlowSettings

    def _learn(self, before: Sample, after: Sample) -> None:
        import torch  # noqa: PLC0415 - slow to import

        s, rng = self.settings, np.random.default_rng([self.settings.seed, 7])
        points = np.stack([np.log(after.pt), after.abs_eta], axis=1)
        self.centre, self.width = points.mean(axis=0), np.maximum(points.std(axis=0), 1e-6)
        samples = [(self._points(f), np.cumsum(f.weight) / f.weight.sum()) for f in (before, after)]
        self.velocity = self._network()
        optimiser = torch.optim.Adam(self.velocity.parameters(), lr=s.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, s.steps)
        for _ in range(s.steps):
            source, target = (_drawn(*sample, s.batch_size, rng) for sample in samples)
            inputs, wanted = self._paired(source, target, rng)
            loss = torch.nn.functional.mse_loss(self.velocity(torch.from_numpy(inputs))[:, 0], torch.from_numpy(wanted))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if not np.isfinite(float(loss.detach())):
            raise TrainingError(f"{self.kind}: the loss became {float(loss.detach())}; lower learning_rate")

    def _paired(self, source: Values, target: Values, rng: np.random.Generator) -> tuple[Any, Any]:
        """Inputs (object, 3) of the network, ln pT on the way, |eta| and time, and the velocity wanted, float32."""
        cost = (source[:, None, 0] - target[None, :, 0]) ** 2
        cost += (self.settings.condition * (source[:, None, 1] - target[None, :, 1])) ** 2
        rows, columns = linear_sum_assignment(cost)
        start, end, time = source[rows, 0], target[columns, 0], rng.uniform(size=len(rows))
        # a pair differs in |eta|, too: the condition is mixed like the path, so that both ends see their own
        condition = (1 - time) * source[rows, 1] + time * target[columns, 1]
        inputs = np.stack([(1 - time) * start + time * end, condition, time], axis=1)
        return inputs.astype(np.float32), (end - start).astype(np.float32)

    def _displaced(self, found: Sample) -> Values:
        import torch  # noqa: PLC0415

        points, step = self._points(found).astype(np.float32), 1.0 / self.settings.integration
        place, condition = torch.from_numpy(points[:, 0].copy()), torch.from_numpy(points[:, 1].copy())
        start = place.clone()
        with torch.no_grad():
            for number in range(self.settings.integration):
                time = torch.full_like(place, (number + 0.5) * step)
                half = place + 0.5 * step * self._at(place, condition, torch.full_like(place, number * step))
                place = place + step * self._at(half, condition, time)  # the midpoint rule
        return np.asarray((place - start).numpy().astype(np.float64) * self.width[0])

    def _at(self, place: Any, condition: Any, time: Any) -> Any:
        import torch  # noqa: PLC0415

        return self.velocity(torch.stack([place, condition, time], dim=1))[:, 0]

    def _network(self) -> Any:
        import torch  # noqa: PLC0415

        sizes = (3, *self.settings.hidden)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            layers: list[torch.nn.Module] = []
            for i, size in enumerate(sizes[1:]):
                layers += [torch.nn.Linear(sizes[i], size), torch.nn.SiLU()]
            return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))

    def _points(self, found: Sample) -> Values:
        return np.asarray((np.stack([np.log(found.pt), found.abs_eta], axis=1) - self.centre) / self.width)

    def _save_residual(self, folder: Path) -> dict[str, Any]:
        save_network(self.velocity, folder / _WEIGHTS)
        return {"centre": self.centre.tolist(), "width": self.width.tolist()}

    def _load_residual(self, folder: Path, state: dict[str, Any]) -> None:
        self.centre, self.width = (np.asarray(state[name], dtype=np.float64) for name in ("centre", "width"))
        self.velocity = self._network()
        load_network(self.velocity, folder / _WEIGHTS)


def _drawn(points: Values, cumulative: Values, n: int, rng: np.random.Generator) -> Values:
    """Objects drawn by their weight."""
    at = np.searchsorted(cumulative, rng.uniform(size=n) * cumulative[-1], side="right")
    return np.asarray(points[np.minimum(at, len(points) - 1)])
