"""The ledger: every event read is accounted for, file by file.

``read = written + cut + duplicated + sum(skipped)``; a ledger that does not balance is an error, not a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from anomalon.errors import LedgerError, suggest


@dataclass(frozen=True)
class LedgerEntry:
    """What became of the events of one input.

    Attributes:
        file: path of the input, or a description such as ``pythia:wz seed 1``.
        read: events read.
        written: events that went on.
        cut: events removed by a selection.
        duplicated: events removed because (dataset, run, lumi, event) had been seen.
        skipped: events left out for another reason: reason -> number.
        sha256: hash of the input; empty where there is no file.
        size: bytes of the input.
        error: why the whole input was left out; empty where it was read.

    >>> LedgerEntry("a.root", read=10, written=7, cut=2, skipped={"NaN in pt": 1}).balances()
    True
    """

    file: str
    read: int = 0
    written: int = 0
    cut: int = 0
    duplicated: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""
    size: int = 0
    error: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "skipped", MappingProxyType(dict(self.skipped)))

    @property
    def accounted(self) -> int:
        """Events whose fate is known."""
        return self.written + self.cut + self.duplicated + sum(self.skipped.values())

    def balances(self) -> bool:
        """Whether every event read is accounted for."""
        return self.read == self.accounted

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"skipped": dict(self.skipped)}


@dataclass(frozen=True)
class LedgerTotals:
    """Sums over the inputs of a ledger."""

    files: int
    read: int
    written: int
    cut: int
    duplicated: int
    skipped: int
    failed: int


@dataclass(frozen=True)
class Ledger:
    """One entry per input file, in the order of reading.

    >>> ledger = Ledger((LedgerEntry("a.root", read=3, written=3),)).add(LedgerEntry("b.root", read=2, cut=2))
    >>> ledger.check().totals
    LedgerTotals(files=2, read=5, written=3, cut=2, duplicated=0, skipped=0, failed=0)
    """

    entries: tuple[LedgerEntry, ...] = ()

    def __iter__(self) -> Any:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, *entries: LedgerEntry) -> Ledger:
        """Return a ledger with more entries."""
        return Ledger((*self.entries, *entries))

    @property
    def totals(self) -> LedgerTotals:
        """Sums over all inputs."""
        counts = {
            name: sum(getattr(e, name) for e in self.entries) for name in ("read", "written", "cut", "duplicated")
        }
        skipped = sum(self.skipped_by_reason.values())
        return LedgerTotals(len(self), **counts, skipped=skipped, failed=sum(bool(e.error) for e in self.entries))

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """Number of skipped events per reason, over all inputs."""
        return dict(sum((Counter(dict(e.skipped)) for e in self.entries), Counter()))

    def check(self) -> Self:
        """Return the ledger itself if it balances.

        Raises:
            LedgerError: an input whose events are not all accounted for, or a negative count.
        """
        for e in self.entries:
            if not e.balances():
                raise LedgerError(
                    f"{e.file}: {e.read} events read but {e.accounted} accounted for (written {e.written}, "
                    f"cut {e.cut}, duplicated {e.duplicated}, skipped {sum(e.skipped.values())}): please report this"
                )
            if min(e.read, e.written, e.cut, e.duplicated, *e.skipped.values()) < 0:
                raise LedgerError(f"{e.file}: a negative number of events in the ledger: {e.to_dict()}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the entries and, for readers, the totals."""
        return {"entries": [e.to_dict() for e in self.entries], "totals": asdict(self.totals)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote; the totals are computed anew.

        Raises:
            LedgerError: an entry has an unknown key or lacks its file.
        """
        return cls(tuple(_entry(item) for item in values.get("entries", ())))

    @classmethod
    def join(cls, ledgers: Iterable[Ledger]) -> Self:
        """Ledger of several ledgers, in order."""
        return cls(tuple(entry for ledger in ledgers for entry in ledger.entries))


def _entry(values: Mapping[str, Any]) -> LedgerEntry:
    known = [f.name for f in fields(LedgerEntry)]
    for key in values:
        if key not in known:
            raise LedgerError(f"ledger: unknown key '{key}'; {suggest(key, known)}")
    if "file" not in values:
        raise LedgerError(f"ledger: an entry lacks 'file': {dict(values)}")
    return LedgerEntry(**values)
