"""A content-addressed cache of stages: the name of an entry is the digest of everything that it depends on.

An entry is made in a folder with the suffix ``.partial`` and renamed when it is complete, so a killed run leaves
nothing that could be mistaken for a result; a stage that keeps checkpoints finds them there when it starts again.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anomalon

KEY = "key.json"


class StageCache:
    """Finished stages under one folder.

    Args:
        folder: made when the first stage is.
        resume: whether a stage finds what an interrupted one left in its ``.partial`` folder.
    """

    def __init__(self, folder: Path, *, resume: bool = True) -> None:
        self.folder = folder
        self.resume = resume

    def make(self, stage: str, key: Mapping[str, Any], produce: Callable[[Path], None]) -> Path:
        """Return the folder of a finished stage; make it with ``produce(folder)`` where it does not exist.

        Two runs that want the same stage at once wait for each other.
        """
        final = self.folder / f"{stage}-{digest({'stage': stage, **key})[:16]}"
        if (final / KEY).is_file():
            return final
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(final.with_name(f".{final.name}.lock")):
            if (final / KEY).is_file():
                return final
            partial = final.with_name(f"{final.name}.partial")
            if not self.resume:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(exist_ok=True)
            produce(partial)
            (partial / KEY).write_text(json.dumps(key, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        return final


def digest(value: Any) -> str:
    """SHA-256 of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache
def code_digest(*parts: str) -> str:
    """Digest of the named modules and packages of anomalon, so that a changed formula never meets an old result."""
    root = Path(anomalon.__file__).parent
    files = sorted(f for part in parts for f in [*root.glob(f"{part}.py"), *root.glob(f"{part}/**/*")] if f.is_file())
    code = hashlib.sha256(anomalon.__version__.encode())
    for file in files:
        if "__pycache__" not in file.parts:
            code.update(file.read_bytes())
    return code.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel releases even when the process is killed; the empty file stays."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
