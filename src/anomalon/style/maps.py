"""Invertible maps from a variable's range to [0, 1], the whole range and nothing else.

A value outside of the fitted range is refused, never clipped and never wrapped around: a variable whose most frequent
value becomes the step 256 of 8 bits would be read back as 0.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import InvalidEventsError

Values = npt.NDArray[np.float64]
MapKind = Literal["linear", "log", "rank"]

KNOTS = 128
"""Quantiles of a rank map, so many and one."""


class VariableMap(Settings):
    """A monotone map of one variable, linear between knots.

    Attributes:
        name: of the variable.
        kind: ``linear``; ``log``, linear in ln(x - lowest + offset); ``rank``, the empirical distribution, which makes
        the
            variable uniform.
        knots: in the variable's unit, ascending: the range, or the quantiles of a rank map.
        levels: the map at the knots, ascending from 0 to 1.
        offset: of the logarithm, in the variable's unit.
    """

    name: str
    kind: MapKind
    knots: tuple[float, ...] = Field(min_length=2)
    levels: tuple[float, ...] = Field(min_length=2)
    offset: float = Field(default=1.0, gt=0)

    @field_validator("knots", "levels")
    @classmethod
    def _ascending(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if (np.diff(values) <= 0).any():
            raise ValueError("must ascend")
        return values

    @classmethod
    def fit(cls, name: str, values: Values, kind: MapKind, offset: float = 1.0) -> Self:
        """Take the range, and the quantiles of a rank map, from all values that are to be mapped.

        Raises:
            InvalidEventsError: there is no value, or one is not finite.
        """
        if not len(values) or not np.isfinite(values).all():
            bad = len(values) - int(np.isfinite(values).sum())
            raise InvalidEventsError(f"{name}: {bad} of {len(values)} values are not finite; images need finite ones")
        low, high = float(values.min()), float(values.max())
        if high <= low:  # one value only: any range around it will do
            high = low + max(abs(low), 1.0)
        if kind != "rank":
            return cls(name=name, kind=kind, knots=(low, high), levels=(0.0, 1.0), offset=offset)
        probabilities = np.linspace(0.0, 1.0, KNOTS + 1)
        knots, first = np.unique(np.quantile(values, probabilities), return_index=True)
        levels = probabilities[first]
        if len(knots) < 2:
            knots, levels = np.array([low, high]), np.array([0.0, 1.0])
        levels[0], levels[-1] = 0.0, 1.0
        return cls(name=name, kind=kind, knots=tuple(knots.tolist()), levels=tuple(levels.tolist()))

    def forward(self, values: Values) -> Values:
        """Levels in [0, 1].

        Raises:
            InvalidEventsError: a value lies outside of the fitted range.

        >>> VariableMap.fit("met", np.array([0.0, 10.0, 100.0]), "log").forward(np.array([0.0, 100.0])).tolist()
        [0.0, 1.0]
        """
        outside = ~((values >= self.knots[0]) & (values <= self.knots[-1]))
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            raise InvalidEventsError(
                f"{self.name}: {np.count_nonzero(outside)} values outside of the fitted range {self.knots[0]:.6g} to "
                f"{self.knots[-1]:.6g}, the first is {values[first]:.6g} of event {first}; fit the maps on all events "
                "that are to be drawn"
            )
        if self.kind == "log":
            return np.asarray(np.log1p((values - self.knots[0]) / self.offset) / self._span)
        return np.interp(values, self.knots, self.levels)

    def inverse(self, levels: Values) -> Values:
        """Values of levels in [0, 1]."""
        if self.kind == "log":
            values = self.knots[0] + self.offset * np.expm1(levels * self._span)
            return np.clip(values, self.knots[0], self.knots[-1])  # rounding at the ends
        return np.interp(levels, self.levels, self.knots)

    @property
    def _span(self) -> float:
        return float(np.log1p((self.knots[-1] - self.knots[0]) / self.offset))
