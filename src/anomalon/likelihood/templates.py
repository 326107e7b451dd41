"""What a likelihood is built from: expected events per bin and process, with their errors and variations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Template:
    """Expected events of one process in the bins of a channel.

    Attributes:
        process: name of the sample.
        role: background or signal.
        values: expected events, shape (bin,).
        errors: statistical errors, sqrt(sum of w^2), shape (bin,).
        shapes: systematic -> expected events one standard deviation down and up, both of shape (bin,).
        norms: systematic -> factors on the whole template one standard deviation down and up, such as (0.9, 1.1).
    """

    process: str
    role: Literal["background", "signal"]
    values: Floats
    errors: Floats
    shapes: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    norms: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Channel:
    """Disjoint bins of one variable in one region, with every process that falls into them.

    Attributes:
        name: of the region, unique in a likelihood.
        variable: name of the variable; its label comes from the features.
        edges: of the bins, shape (bin + 1,); the last bin holds everything above its lower edge.
        templates: one per process.
        observed: counted events, shape (bin,); None while they are blinded, or where there is no data.
    """

    name: str
    variable: str
    edges: Floats
    templates: tuple[Template, ...]
    observed: Floats | None = None

    @property
    def backgrounds(self) -> tuple[Template, ...]:
        """The templates of the background."""
        return tuple(t for t in self.templates if t.role == "background")

    @property
    def background(self) -> Floats:
        """Expected background events, shape (bin,)."""
        return sum((t.values for t in self.backgrounds), start=np.zeros(len(self.edges) - 1))

    @property
    def background_error(self) -> Floats:
        """Statistical error of the background, shape (bin,)."""
        variance = sum((t.errors**2 for t in self.backgrounds), start=np.zeros(len(self.edges) - 1))
        return np.asarray(np.sqrt(variance))
