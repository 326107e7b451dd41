"""Map a function over the events of many files and add up what it returns: in processes, or on a dask cluster.

The function sees one :class:`Part` at a time: a range of one file's events that ends where the file's clusters do, so
that nothing is decompressed twice. What it returns must add up (numbers, NumPy arrays, ``Counter``, cutflows); results
are combined in the order of the parts, so any number of workers gives the same answer, to the last bit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from anomalon.errors import ConfigError, MissingExtraError, WorkerError
from anomalon.events import Events
from anomalon.processes import available_cores, ordered_map
from anomalon.sources import Source, expand, open_source
from anomalon.sources.contract import CHUNK, Ranged

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the number of parts that are done and the number there are."""

_PATIENCE = 10.0
"""Seconds to wait for a scheduler, or for a worker where there is none."""


@dataclass(frozen=True)
class Part:
    """Events ``start`` to ``stop`` (exclusive) of a file."""

    path: str
    start: int
    stop: int

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events of the part; arguments and errors as :meth:`anomalon.sources.Source.iterate`."""
        source = _opened(self.path, *_identity(self.path))
        if isinstance(source, Ranged):
            return source.iterate_range(self.start, self.stop, fields, chunk)
        return source.iterate(fields, chunk)  # other formats are mapped file by file


def map_reduce(  # noqa: PLR0913 all but two are options
    function: Callable[[Part], T],
    files: Sequence[str | Path],
    *,
    reduce: Callable[[T, T], T] = operator.add,
    chunk: int = CHUNK,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> T:
    """Apply a function to every part of the files and combine the results in the order of the parts.

    Args:
        function: takes a :class:`Part`. It and its results must be picklable: define it at the top of a module. It sees
            a part twice where a worker was killed.
        files: files, glob patterns, directories or stores.
        reduce: combines two results; associative.
        chunk: largest number of events per part; NanoAOD and stores are cut, other formats mapped file by file.
        workers: processes on this machine; None takes one per core, 1 stays in this process.
        scheduler: address of a running dask.distributed scheduler, such as ``tcp://10.0.0.1:8786``, in place of
            processes here; its workers need anomalon and the files under the same paths.
        progress: told after each part.

    Raises:
        ConfigError: ``workers`` or ``chunk`` is below 1.
        InputFileError: a file is missing or cannot be read.
        WorkerError: workers died again and again, or the scheduler cannot be reached.
        MissingExtraError: a scheduler is named and dask.distributed is not installed.
    """
    for name, value in (("workers", workers), ("chunk", chunk)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} = {value}, must be at least 1")
    work = parts(files, chunk)
    if not work:
        raise ConfigError("no files to map: the list is empty")
    if scheduler is None:
        results = ordered_map(function, work, workers or available_cores())
    else:
        results = _on_cluster(function, work, scheduler)
    return _combined(results, reduce, progress, len(work))


def parts(files: Sequence[str | Path], chunk: int = CHUNK) -> list[Part]:
    """Cut files into parts of at most ``chunk`` events along their clusters.

    Raises:
        InputFileError: a file is missing or cannot be read, or there is none.
    """
    return [Part(str(path), *range_) for path in expand(files) for range_ in _ranges(open_source(path), chunk)]


def _ranges(source: Source, chunk: int) -> list[tuple[int, int]]:
    return source.ranges(chunk) if isinstance(source, Ranged) else [(0, source.n_events)]


def _combined(results: Iterator[T], reduce: Callable[[T, T], T], progress: Progress | None, n: int) -> T:
    total = next(results)
    for done in range(1, n + 1):
        if progress is not None:
            progress(done, n)
        if done < n:
            total = reduce(total, next(results))
    return total


def _on_cluster(function: Callable[[Part], T], work: Sequence[Part], scheduler: str) -> Iterator[T]:
    with _connected(scheduler) as client:
        futures = client.map(function, work, pure=False)
        for future, part in zip(futures, work, strict=True):
            yield _result(client, future, part)


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415 of the extra scale
    except ImportError:
        raise MissingExtraError('a scheduler needs dask.distributed: pip install "anomalon[scale]"') from None
    try:
        return Client(scheduler, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"scheduler {scheduler}: cannot be reached ({error}); start it, or use workers here"
        ) from None


def _result(client: Any, future: Any, part: Part) -> Any:
    """Wait for a result; the scheduler gives the part of a dead worker to another, as long as there is one."""
    from distributed import KilledWorker  # noqa: PLC0415 of the extra scale

    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except KilledWorker:
            where = f"events {part.start} to {part.stop} of {part.path}"
            raise WorkerError(
                f"{where}: every worker that took them died; often memory ran out: smaller parts"
            ) from None
        except TimeoutError:
            if future.done():
                raise
            if not client.scheduler_info(n_workers=-1)["workers"]:
                raise WorkerError(
                    f"the cluster has had no worker for {_PATIENCE:g} s; start some and try again"
                ) from None


@lru_cache(maxsize=2)
def _opened(path: str, _changed: int, _size: int) -> Source:
    """An open file, kept for its next part: opening takes as long as reading some ten thousand events."""
    return open_source(path)


def _identity(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size
