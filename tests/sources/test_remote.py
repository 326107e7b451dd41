from __future__ import annotations

import gzip
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest

from anomalon.errors import InputFileError, MissingExtraError
from anomalon.mapreduce import Part, map_reduce
from anomalon.sources import ReadSettings, expand, ingest, open_source
from anomalon.sources.remote import fetch, is_url, matching, origin, shown
from tests.sources.nano_files import nano_branches, write_nano

DARK_MACHINES = "1;ttbar;1;2.5e+04;0.5;j,1.2e+05,9e+04,0.3,0.2;e-,5e+04,4e+04,0.1,1.2\n2;ttbar;1;5e+04;0.5\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for; under /short/ it closes before the end."""

    asked: list[str] = []  # noqa: RUF012 shared on purpose: one handler is made per request

    def log_message(self, *arguments: object) -> None:
        self.asked.append(f"{self.command} {self.path}")

    def send_header(self, keyword: str, value: str) -> None:
        longer = keyword == "Content-Length" and self.path.startswith("/short/")
        super().send_header(keyword, str(int(value) + 1000) if longer else value)


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANOMALON_DOWNLOADS", str(tmp_path / "downloads"))
    return tmp_path / "downloads"


@pytest.fixture
def served(tmp_path: Path, downloads: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address of the server that serves it."""
    pytest.importorskip("aiohttp")
    folder = tmp_path / "served"
    folder.mkdir()
    Quiet.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def times_sent(name: str) -> int:
    return sum(line.startswith(f"GET /{name}") for line in Quiet.asked)


def count(part: Part) -> int:
    return sum(len(events) for events in part.iterate(["met.pt"]))


def test_a_file_behind_a_url_reads_like_the_file_and_is_named_by_its_url(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = served
    file = write_nano(folder / "nano.root", nano_branches(30))
    url = f"{address}/nano.root"
    store, local = ingest([url], tmp_path / "a"), ingest([file], tmp_path / "b")
    assert str(store.load().array.tolist()) == str(local.load().array.tolist())  # as text: NaN equals NaN
    assert store.ledger is not None
    entry = store.ledger.check().entries[0]
    assert (entry.file, entry.sha256) == (url, hashlib.sha256(file.read_bytes()).hexdigest())
    assert store.samples[0].provenance["files"] == [url]
    assert ingest([url], tmp_path / "c", ReadSettings(process="DY")).samples[0].provenance["files"] == [url]
    assert times_sent("nano.root") == 1


def test_a_file_that_changed_on_the_server_is_fetched_again(served: tuple[Path, str]) -> None:
    folder, address = served
    for n in (10, 20):
        write_nano(folder / "nano.root", nano_branches(n))
        assert open_source(f"{address}/nano.root").n_events == n
    assert open_source(f"{address}/nano.root").n_events == 20
    assert times_sent("nano.root") == 2


def test_every_protocol_and_format_goes_the_same_way(downloads: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/remote/events.csv.gz", gzip.compress(DARK_MACHINES.encode()))
    write_nano(tmp_path / "nano.root", nano_branches(12))
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as archive:
        archive.write(tmp_path / "nano.root", "inside/nano.root")
    assert open_source("memory://remote/events.csv.gz").n_events == 2
    assert open_source(f"zip://inside/nano.root::file://{tmp_path}/files.zip").n_events == 12
    assert expand([f"file://{tmp_path}/nano.root"]) == (tmp_path / "nano.root",)
    assert not list(downloads.rglob("nano.root.*"))


def test_patterns_are_expanded_where_the_protocol_can_list(downloads: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("b", "a"):
        memory.pipe(f"/listed/{name}.csv", DARK_MACHINES.encode())
    found = matching("memory://listed/*.csv")
    assert found == ["memory:///listed/a.csv", "memory:///listed/b.csv"]
    assert [origin(path) for path in expand(["memory://listed/*.csv"])] == found
    with pytest.raises(InputFileError, match="matches no file"):
        expand(["memory://listed/*.root"])


def test_parts_of_a_file_behind_a_url_are_mapped(served: tuple[Path, str]) -> None:
    folder, address = served
    write_nano(folder / "nano.root", nano_branches(40), step=10)
    assert map_reduce(count, [f"{address}/nano.root"], chunk=10, workers=1) == 40


def test_names_passwords_and_queries_are_neither_shown_nor_written(served: tuple[Path, str], downloads: Path) -> None:
    folder, address = served
    write_nano(folder / "nano.root", nano_branches(5))
    secret = address.replace("http://", "http://me:hunter2@") + "/nano.root?token=hunter2"
    copy = fetch(secret)
    written = " ".join([*map(str, downloads.rglob("*")), *(p.read_text() for p in downloads.rglob("*.json"))])
    assert "hunter2" not in written
    assert "me:" not in written
    assert copy.name == "nano.root"
    with pytest.raises(InputFileError) as refused:
        fetch(secret.replace("nano", "none"))
    assert "hunter2" not in str(refused.value)
    assert shown(secret) != shown(secret + "x")


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("nosuch://host/a.root", InputFileError, "nosuch://host/a.root: cannot be read .*nosuch"),
        ("memory://not/there.root", InputFileError, "not there, or the server cannot be reached"),
        ("http://127.0.0.1:1/a.root", InputFileError, "not there, or the server cannot be reached"),
        ("root://host//store/a.root", MissingExtraError, r'pip install "uproot\[xrootd\]"'),
        ("sftp://host/a.root", MissingExtraError, "paramiko"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_with_the_remedy(
    downloads: Path, url: str, error: type[Exception], message: str
) -> None:
    if url.startswith("root"):
        try:
            import fsspec_xrootd  # noqa: F401, PLC0415
        except ImportError:
            pass
        else:
            pytest.skip("fsspec-xrootd is installed")
    with pytest.raises(error, match=message):
        open_source(url)
    assert not downloads.exists()


def test_a_file_cut_short_on_the_way_leaves_nothing(served: tuple[Path, str], downloads: Path) -> None:
    folder, address = served
    (folder / "short").mkdir()
    write_nano(folder / "short" / "nano.root", nano_branches(5))
    with pytest.raises(InputFileError, match=r"short/nano.root: cannot be read"):
        fetch(f"{address}/short/nano.root")
    assert not [path for path in downloads.rglob("*") if path.is_file()]


def test_a_url_cannot_put_its_copy_outside_the_folder(downloads: Path) -> None:
    fsspec.filesystem("memory").pipe("/../../x/events.csv", DARK_MACHINES.encode())
    copy = fetch("memory://../../x/events.csv")
    assert copy.resolve().is_relative_to(downloads.resolve())


def test_paths_are_not_urls() -> None:
    assert not any(map(is_url, ("a.root", "/data/a:b.root", "data/*.root", "x::y", Path("https://host/a.root"))))
    assert np.all([is_url(url) for url in ("https://host/a", "simplecache::https://host/a", "zip://a::file:///b")])
