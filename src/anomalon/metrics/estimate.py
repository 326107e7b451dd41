"""A number with its interval, and the roles that samples play: what all records of a search share."""

from __future__ import annotations

from typing import Literal

from anomalon.config import Settings

Role = Literal["background", "signal", "data"]


class Estimate(Settings):
    """A number with its 68 % interval; the ends are None where the sample is too small for one."""

    value: float
    low: float | None = None
    high: float | None = None
