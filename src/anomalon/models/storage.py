"""Saved models: JSON, safetensors, and scikit-learn estimators with a fixed list of allowed types. Never a pickle.

Every folder has a JSON file that names its other files with their SHA-256, so that a damaged or exchanged file is
refused before it is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anomalon import __version__
from anomalon.errors import ModelFileError, OutputExistsError

FORMAT = 1
MAX_UNPACKED = 2 << 30
"""Bytes that an estimator's archive may unpack to: more is a bomb, not a model."""


def write_manifest(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Write ``folder/name``: ``content``, the format, and the hash of every other file of the folder."""
    files = {file.name: _sha256(file) for file in sorted(folder.iterdir()) if file.is_file() and file.name != name}
    manifest = {"format": FORMAT, "anomalon": __version__, "files": files, **content}
    (folder / name).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path, name: str, required: Sequence[str] = ()) -> dict[str, Any]:
    """Read ``folder/name`` and check the files that it lists.

    Raises:
        ModelFileError: the file is missing or damaged, of another format, lacks a key, or a listed file has changed.
    """
    path = folder / name
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: not a saved model ({error})") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ModelFileError(f"{path}: not a saved model: it lists no files")
    if manifest.get("format") != FORMAT:
        raise ModelFileError(f"{path}: format {manifest.get('format')!r}, this version reads {FORMAT}; fit it anew")
    missing = [key for key in required if key not in manifest]
    if missing:
        raise ModelFileError(f"{path}: damaged, it lacks {', '.join(missing)}")
    for file, digest in manifest["files"].items():
        _check_file(folder, file, digest)
    return manifest


def save_network(module: Any, path: Path) -> None:
    """Write the weights of a torch module as safetensors."""
    from safetensors.torch import save_file  # noqa: PLC0415 - torch is not needed for other models

    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, path)


def load_network(module: Any, path: Path) -> None:
    """Read the weights of a torch module in place.

    Raises:
        ModelFileError: the file is damaged, or belongs to another network.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        module.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelFileError(f"{path}: not the weights of this network ({' '.join(str(error).split())})") from None


def save_estimator(estimator: Any, path: Path) -> None:
    """Write a scikit-learn estimator without pickle."""
    import skops.io  # noqa: PLC0415

    skops.io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED)  # trees are mostly zeros: a third of the size


def load_estimator(path: Path, kind: type[Any], allowed: Sequence[str] = ()) -> Any:
    """Read a scikit-learn estimator of a given class; only types on a fixed list are ever built.

    Args:
        path: archive written by :func:`save_estimator`.
        kind: class of the estimator.
        allowed: dotted names of the types beyond those that skops trusts by itself.

    Raises:
        ModelFileError: the file is no such archive, holds another type, or would unpack to more than 2 GiB.
    """
    import skops.io  # noqa: PLC0415
    from skops.io.exceptions import UntrustedTypesFoundException  # noqa: PLC0415

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_UNPACKED:
            raise ModelFileError(f"{path}: unpacks to {size} bytes, at most {MAX_UNPACKED} are allowed")
        estimator = skops.io.load(path, trusted=list(allowed))
    except UntrustedTypesFoundException as error:
        raise ModelFileError(f"{path}: holds types that are not allowed, nothing was loaded: {error}") from None
    except (zipfile.BadZipFile, OSError, KeyError, TypeError, ValueError, AttributeError, ImportError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path}: not a saved {kind.__name__} ({error})") from None
    if type(estimator) is not kind:
        raise ModelFileError(f"{path}: holds {type(estimator).__name__}, expected {kind.__name__}")
    return estimator


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, and rename it to ``folder`` when all went well; otherwise leave nothing.

    Raises:
        OutputExistsError: ``folder`` is already there.
    """
    if folder.exists():
        raise OutputExistsError(f"{folder}: already there; remove it, or choose another name")
    making = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    making.mkdir(parents=True)
    try:
        yield making
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _check_file(folder: Path, name: str, digest: str) -> None:
    if Path(name).name != name:
        raise ModelFileError(f"{folder}: the model lists the file {name!r} outside its folder")
    path = folder / name
    if not path.is_file():
        raise ModelFileError(f"{path}: missing from the saved model")
    if _sha256(path) != digest:
        raise ModelFileError(f"{path}: changed since it was saved (SHA-256 differs); fit the model anew")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
