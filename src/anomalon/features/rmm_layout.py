"""Rows, columns and names of the rapidity-mass matrix.

Row and column 0 are the missing transverse momentum; then come blocks of rows, one per type of object. Of two objects
the upper triangle has the mass and the lower one the rapidity difference.

| cell           | name                     | what                                          |
| -------------- | ------------------------ | --------------------------------------------- |
| [0, 0]         | ``MET``                  | missing transverse momentum                   |
| [0, r]         | ``mT(jet1)``             | transverse mass of an object and it           |
| [r, 0]         | ``h(jet1)``              | C (cosh y - 1)                                |
| [r, r], first  | ``eT(jet1)``             | transverse energy                             |
| [r, r], others | ``deT(jet2)``            | imbalance with the object before, of its type |
| [r, c], r < c  | ``m(jet1,electron2)``    | invariant mass                                |
| [r, c], r > c  | ``h(jet1,electron2)``    | C (cosh(dy / 2) - 1)                          |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from anomalon.errors import UnknownNameError, suggest

MET = "MET"
IN_GEV = "_GeV"
"""Ending of the names of energies that are in GeV, not in units of sqrt(s): no model can take one for the other."""


@dataclass(frozen=True)
class Block:
    """Rows ``first`` to ``stop`` (exclusive) hold the objects of one type, by decreasing pT."""

    kind: str
    first: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """What the rows and cells of a rapidity-mass matrix are.

    Attributes:
        counts: types of objects and how many rows each has, in order.
        in_gev: whether energies are in GeV, not in units of sqrt(s).

    >>> layout = Layout((("jet", 2), ("muon", 1)))
    >>> layout.rows, layout.name(1, 3), layout.place("h(jet1,muon1)")
    (('MET', 'jet1', 'jet2', 'muon1'), 'm(jet1,muon1)', (3, 1))
    """

    counts: tuple[tuple[str, int], ...]
    in_gev: bool = False

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The types and their rows."""
        ends = np.cumsum([1, *(n for _, n in self.counts)]).tolist()
        return tuple(Block(kind, a, b) for (kind, _), a, b in zip(self.counts, ends[:-1], ends[1:], strict=True))

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """What each row and column is, such as ``jet1``."""
        return (MET, *(f"{kind}{place + 1}" for kind, n in self.counts for place in range(n)))

    @property
    def size(self) -> int:
        """Number of rows, equal to that of columns."""
        return len(self.rows)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all cells, row by row; each is unique."""
        return tuple(self.name(row, column) for row in range(self.size) for column in range(self.size))

    def name(self, row: int, column: int) -> str:
        """Name of a cell."""
        name, is_energy = self._name(row, column)
        return name + IN_GEV if is_energy and self.in_gev else name

    def place(self, name: str) -> tuple[int, int]:
        """Row and column of a cell.

        Raises:
            UnknownNameError: no cell has that name; the message suggests near ones.
        """
        if name not in self._places:
            raise UnknownNameError(f"no cell '{name}' in the rapidity-mass matrix; {suggest(name, self.names)}")
        return divmod(self._places[name], self.size)

    def matrix(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Rows of features, (event, cell), as matrices, (event, row, column); nothing is copied."""
        return values.reshape(-1, self.size, self.size)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _leading(self) -> frozenset[int]:
        return frozenset(block.first for block in self.blocks)

    def _name(self, row: int, column: int) -> tuple[str, bool]:
        """Name without unit, and whether it is an energy."""
        low, high = (self.rows[i] for i in sorted((row, column)))
        if row == column:
            kind = "eT" if row in self._leading else "deT"
            return (MET, True) if row == 0 else (f"{kind}({low})", kind == "eT")
        if row < column:
            return (f"mT({high})" if row == 0 else f"m({low},{high})"), True
        return (f"h({high})" if column == 0 else f"h({low},{high})"), False


@cache
def layout_of(counts: tuple[tuple[str, int], ...], in_gev: bool) -> Layout:
    """The layout, made once: names are asked for often."""
    return Layout(counts, in_gev)
