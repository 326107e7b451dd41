"""Finding files and their format."""

from __future__ import annotations

import os

import pytest

from anomalon.errors import InputFileError
from anomalon.events import Events
from anomalon.sources import Source, StoreSource, expand, formats, open_source
from anomalon.store import StoreWriter
from tests.sources.nano_files import nano_branches, write_nano


@pytest.fixture
def store(tmp_path):
    with StoreWriter(tmp_path / "store") as writer:
        writer.append(Events.from_dicts([{}, {}, {}]))
    return tmp_path / "store"


def test_the_format_is_found_by_what_a_file_holds(tmp_path, store):
    nano = write_nano(tmp_path / "no_extension", nano_branches(3))
    assert open_source(nano).format == "cms-nanoaod"
    assert isinstance(open_source(store), StoreSource)
    assert all(isinstance(open_source(path), Source) for path in (nano, store))
    assert {f.name for f in formats()} >= {"cms-nanoaod", "anomalon-store"}


def test_a_store_is_read_like_a_file(store):
    source = open_source(store)
    assert source.n_events == sum(map(len, source.iterate(chunk=2))) == 3
    info = source.info()
    assert (info.format, info.events, info.samples[0].name) == ("anomalon-store", 3, "by-hand")
    assert "muons.pt" in info.fields


def test_a_store_without_events_gives_one_empty_part(tmp_path):
    with StoreWriter(tmp_path / "s") as writer:
        writer.append(Events.from_dicts([]))
    assert [len(part) for part in open_source(tmp_path / "s").iterate(["muons"])] == [0]


def test_an_unknown_format_is_named_with_what_is_supported(tmp_path):
    (tmp_path / "a.csv").write_text("pt and eta\n1 2\n")
    with pytest.raises(InputFileError, match=r"starts with b'pt and eta.*supported: .*cms-nanoaod"):
        open_source(tmp_path / "a.csv")
    with pytest.raises(InputFileError, match="a directory that is no store"):
        open_source(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "a.root"
    path.write_bytes(b"root")
    path.chmod(0)
    with pytest.raises(InputFileError, match="cannot be read"):
        open_source(path)


def test_patterns_and_directories_become_files(tmp_path, store):
    for name in ("b.root", "a.root", "note.txt"):
        (tmp_path / name).write_text("x")
    a, b = tmp_path / "a.root", tmp_path / "b.root"
    assert expand([str(tmp_path / "*.root")]) == (a, b)
    assert expand([tmp_path]) == (a, b, store)
    assert expand([b, tmp_path / "a.root", b]) == (b, a)
    assert expand([store]) == (store,)


def test_a_file_with_the_signs_of_a_pattern_in_its_name_is_found(tmp_path):
    odd = tmp_path / "a[1].root"
    odd.write_text("x")
    assert expand([str(odd)]) == (odd,)


@pytest.mark.parametrize(
    ("name", "message"),
    [("*.rot", "the pattern matches no file"), ("a.root", "no such file"), (".", "a directory without ROOT files")],
)
def test_a_path_with_nothing_behind_is_refused(tmp_path, name, message):
    with pytest.raises(InputFileError, match=message):
        expand([str(tmp_path / name)])
