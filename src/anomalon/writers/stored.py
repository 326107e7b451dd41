"""Events as a store: Parquet shards and a manifest."""

from __future__ import annotations

from pathlib import Path

from anomalon.events import Events
from anomalon.ledger import Ledger
from anomalon.store import Store, StoreWriter
from anomalon.writers.contract import EventWriter, WriterSettings


class ParquetWriter(EventWriter):
    """A store, which writes itself atomically; ``ledger`` is written into its manifest."""

    format = "store"
    description = "Parquet shards and a manifest: lossless, read by every command of anomalon"

    def __init__(self, path: str | Path, settings: WriterSettings | None = None, *, overwrite: bool = False) -> None:
        self.ledger: Ledger | None = None
        self._writer = StoreWriter(path, overwrite=overwrite)
        super().__init__(path, settings, overwrite=overwrite)

    def _check_free(self, overwrite: bool) -> None:
        """Done by the store's own writer, which may replace a directory when it is a store."""

    def __exit__(self, *error: object) -> None:
        """Finish the store, or remove what there is of it."""
        if error[0] is None:
            self._close(complete=True)
        self._writer.__exit__(*error)  # type: ignore[arg-type]

    def _append(self, events: Events) -> None:
        self._writer.append(events)

    def _close(self, *, complete: bool) -> None:
        if complete:
            self.store: Store = self._writer.finish(self.samples, self.ledger)
