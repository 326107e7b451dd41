"""The contract between events and models: features with names, and the sets that compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from anomalon.errors import UnknownNameError, suggest
from anomalon.events import Events


@dataclass(frozen=True)
class Features:
    """Event-level features.

    Attributes:
        values: float32, shape (event, feature); NaN where missing.
        mask: bool, shape (event, feature); True where the value is present (it may still be NaN in a broken file).
        names: one name per column.
    """

    values: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, where: slice | npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Features:
        """Return the features of the events at a slice, a boolean mask or an index array."""
        return Features(self.values[where], self.mask[where], self.names)

    @property
    def complete(self) -> bool:
        """Whether no value is missing; a mask that is one True for all costs no look."""
        spread = self.mask.strides == (0, 0) and self.mask.size > 0
        return bool(self.mask[0, 0]) if spread else bool(self.mask.all())

    def index(self, name: str) -> int:
        """Column number of a feature.

        Raises:
            UnknownNameError: there is no such feature; the message suggests near ones.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError(f"no feature '{name}'; {suggest(name, self.names)}") from None

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """Values of one feature, shape (event,)."""
        return self.values[:, self.index(name)]

    def select(self, names: Sequence[str]) -> Features:
        """Keep the named columns, in the order given; all of them in their own order are not copied."""
        if tuple(names) == self.names:
            return self
        columns = [self.index(name) for name in names]
        return Features(self.values[:, columns], self.mask[:, columns], tuple(names))

    def not_finite(self) -> dict[str, int]:
        """Number of values per feature that claim to be present and are NaN or infinite; only non-zero counts."""
        bad = (self.mask & ~np.isfinite(self.values)).sum(axis=0)
        return {name: int(n) for name, n in zip(self.names, bad, strict=True) if n}

    def usable(self) -> npt.NDArray[np.bool_]:
        """Whether every present value of an event is finite, shape (event,)."""
        finite = np.isfinite(self.values)
        if finite.all():
            return np.ones(len(self), dtype=np.bool_)
        return np.asarray((finite | ~self.mask).all(axis=1), dtype=np.bool_)

    @staticmethod
    def concatenate(parts: Sequence[Features]) -> Features:
        """Join features with the same columns."""
        names = parts[0].names
        return Features(
            np.concatenate([part.select(names).values for part in parts]),
            np.concatenate([part.select(names).mask for part in parts]),
            names,
        )


@runtime_checkable
class FeatureSet(Protocol):
    """Events -> Features. ``requires`` lists the event fields it reads, such as ``electrons.pt`` or ``met``."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        ...

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        ...

    def transform(self, events: Events) -> Features:
        """Compute the features of every event."""
        ...
