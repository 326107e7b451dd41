"""Files named by URLs: a local copy of each, made once, since every input is hashed and so read as a whole.

Any protocol that fsspec knows will do: ``https://``, ``root://`` (XRootD), ``s3://``, members of an archive as
``zip://nano.root::https://...``. Copies lie in ``$ANOMALON_DOWNLOADS``, by default ``~/.cache/anomalon/downloads``, and
are fetched again when the server tells another size, date or checksum. User names, passwords and queries of URLs are
never written or shown.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from anomalon.errors import InputFileError, MissingExtraError

ORIGIN = "origin.json"
"""Beside every copy: the URL as it may be shown, and what version of the file the server had."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*(://|::.*://)")
_EXTRAS = {"http": "anomalon[remote]", "https": "anomalon[remote]", "s3": "uproot[s3]", "root": "uproot[xrootd]"}
"""Protocol -> what installs it; of the others fsspec says it."""
_VOLATILE = ("name", "url", "atime", "filename")
"""What a server says of a file that is not about its content, or may hold a signature."""
_SILENCE = 60
"""Seconds without a byte after which an HTTP server is given up; whole files may take as long as they need."""


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL.

    >>> is_url("root://host//store/nano.root"), is_url("zip::file:///a.zip"), is_url("nano.root"), is_url("C:/a.root")
    (True, True, False, False)
    """
    return isinstance(path, str) and _URL.match(path) is not None


def shown(url: str) -> str:
    """A URL without what may be secret; different queries stay different.

    >>> shown("https://me:password@host/nano.root")
    'https://host/nano.root'
    >>> shown("https://host/get?token=123")
    'https://host/get?59411998'
    """
    return "::".join(_without_secrets(part) for part in url.split("::"))


def _without_secrets(part: str) -> str:
    address, mark, query = part.partition("?")
    address = re.sub(r"://[^/]*@", "://", address)
    return address + (mark + hashlib.sha256(query.encode()).hexdigest()[:8] if mark else "")


def matching(url: str) -> list[str]:
    """The URLs that a URL with ``*`` stands for, sorted; the protocol must be able to list files.

    Raises:
        InputFileError: nothing matches, or nothing can be listed.
        MissingExtraError: the protocol's package is not installed.
    """
    if "*" not in url.partition("?")[0]:
        return [url]
    _, chained, archive = url.partition("::")
    files, path = _file_system(url)
    with _reaching(url):
        matches = [files.unstrip_protocol(match) + chained + archive for match in sorted(files.glob(path))]
    if not matches:
        raise InputFileError(f"{shown(url)}: the pattern matches no file")
    return matches


def fetch(url: str) -> Path:
    """The local copy of a file; for ``file://`` the file itself.

    Raises:
        InputFileError: not there, not reachable, or cut short on the way.
        MissingExtraError: the protocol's package is not installed.
    """
    files, path = _file_system(url)
    if isinstance(files, LocalFileSystem):
        return Path(path)
    with _reaching(url):
        told = files.info(path)
    copy = _place(url)
    version = _version(told)
    if not copy.is_file() or _origin(copy).get("version") != version:
        with _reaching(url):
            _download(files, path, copy, told.get("size"))
            _write_origin(copy, url, version)
    return copy


def origin(path: Path) -> str:
    """How a user knows a file: its URL where it is a copy, otherwise its path."""
    return str(_origin(path).get("url", path)) if path.is_relative_to(_folder()) else str(path)


def _file_system(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        files, path = fsspec.core.url_to_fs(url, **_options(url))
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f'pip install "{extra}"' if extra else str(error)
        raise MissingExtraError(
            f"{shown(url)}: {protocol}:// needs a package that is not installed: {remedy}"
        ) from None
    except Exception as error:  # noqa: BLE001 whatever the protocol's package raises
        raise _unreachable(url, error) from None
    return files, str(path)


def _options(url: str) -> dict[str, Any]:
    """Files of gigabytes take longer than the five minutes that aiohttp allows for a whole transfer."""
    protocols = {"http", "https"} & {part.partition("://")[0] for part in url.split("::")}
    if not protocols:
        return {}
    try:
        from aiohttp import ClientTimeout  # noqa: PLC0415 of the extra remote
    except ImportError:
        return {}
    timeout = ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
    return {protocol: {"client_kwargs": {"timeout": timeout}} for protocol in protocols}


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn whatever a protocol raises into an error that names the URL, without its secrets."""
    try:
        yield
    except (InputFileError, MissingExtraError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 packages of protocols raise errors of their own
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> InputFileError:
    if isinstance(error, FileNotFoundError):
        return InputFileError(f"{shown(url)}: not there, or the server cannot be reached")
    reason = re.sub(r"\S+://\S+", "URL", " ".join(str(error).split()))[:160]
    return InputFileError(f"{shown(url)}: cannot be read ({type(error).__name__}: {reason})")


def _download(files: Any, path: str, copy: Path, size: int | None) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=copy.parent) as folder:
        partial = Path(folder) / copy.name
        files.get_file(path, str(partial))
        got = partial.stat().st_size
        if size is not None and got != size:
            raise InputFileError(f"{copy.name}: {got} of {size} bytes arrived; try again")
        partial.replace(copy)


def _folder() -> Path:
    given = os.environ.get("ANOMALON_DOWNLOADS")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given).absolute() if given else Path(caches) / "anomalon" / "downloads"


def _place(url: str) -> Path:
    """Where the copy of a URL lies: readable, and different for different URLs."""
    address = shown(url)
    links = [re.split("/+", link.partition("?")[0]) for link in address.split("::") if "://" in link]
    *folders, name = (part for part in (_plain(part) for part in links[0]) if part.strip("."))
    return _folder().joinpath(*folders, hashlib.sha256(address.encode()).hexdigest()[:12], name)


def _plain(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", part)


def _version(told: Mapping[str, Any]) -> str:
    kept = {key: str(value) for key, value in told.items() if key not in _VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _origin(copy: Path) -> dict[str, Any]:
    try:
        values = json.loads(copy.with_name(ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _write_origin(copy: Path, url: str, version: str) -> None:
    text = json.dumps({"url": shown(url), "version": version})
    copy.with_name(ORIGIN).write_text(text + "\n", encoding="utf-8")
