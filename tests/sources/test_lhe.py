"""LHE files: every real file with an independent count, weights and variations, broken and truncated input."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from anomalon.errors import InputFileError, MissingExtraError, MissingFieldError
from anomalon.events import Events
from anomalon.sources import ReadSettings, Source, ingest, open_source

pytest.importorskip("pylhe", reason="LHE files need the extra 'generator'")

WBJ = "pylhe-testfile-madgraph-2.0.0-wbj.lhe"
MLM = "pylhe-testfile-madgraph-2.2.1-Z-mlm.lhe.gz"
SUSY = "pylhe-testfile-pr180.lhe"
TTBAR = "pylhe-testfile-pythia-6.413-ttbar.lhe"
WEAK = "pylhe-testfile-pythia-8.3.14-weakbosons.lhe"
READ = [
    # file, events, sqrt(s) in GeV, cross section in pb: the numbers of <init>
    (WBJ, 59, 8000, 50.109086),
    (MLM, 10_000, 7000, 607.33273992 + 1078.5969890 + 2064.9062749),
    (SUSY, 10, 13000, 2.894732e-19),
    (TTBAR, 100, 1960, 5.220106 + 0.2602564),
    (WEAK, 100, 8000, 48.76776),
]
OTHERS = {"example.hepmc3"}  # in test_hepmc.py


def load(source: Source, fields: Any = None, chunk: int = 50_000) -> Events:
    return Events.concatenate(source.iterate(fields, chunk))


def text_of(path: Path) -> str:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def particles_of(path: Path) -> list[list[list[str]]]:
    """Particle lines of every event by hand: words of the lines with 13 columns."""
    blocks = re.findall(r"<event[ >].*?\n(.*?)</event>", text_of(path), re.DOTALL)
    return [[line.split() for line in block.splitlines() if len(line.split()) == 13] for block in blocks]


def test_every_file_of_the_folder_is_in_a_table(shared: Path) -> None:
    assert {path.name for path in (shared / "data" / "generator").iterdir()} == {row[0] for row in READ} | OTHERS


@pytest.mark.parametrize(("name", "n", "sqrt_s", "sigma"), READ)
def test_real_files_are_read(shared: Path, name: str, n: int, sqrt_s: float, sigma: float) -> None:
    path = shared / "data" / "generator" / name
    source = open_source(path)
    events = load(source, ["electrons", "muons", "jets", "met"])
    assert (source.format, source.n_events, len(events)) == ("lhe", n, n)
    (sample,) = events.samples
    assert (sample.origin, sample.process, sample.sqrt_s_gev) == ("generated", "unknown", sqrt_s)
    assert sample.cross_section_pb == pytest.approx(sigma)
    assert sample.provenance["level"].startswith("partons")
    assert events.weights(1.0).sum() == pytest.approx(1000 * sigma)
    by_hand = [[p for p in event if p[1] == "1"] for event in particles_of(path)]
    for collection, codes in (("electrons", {11}), ("muons", {13}), ("jets", {1, 2, 3, 4, 5, 21})):
        expected = [
            sorted((float(np.hypot(float(p[6]), float(p[7]))) for p in event if abs(int(p[0])) in codes), reverse=True)
            for event in by_hand
        ]
        assert ak.to_list(ak.num(events.array[collection])) == [len(row) for row in expected]
        assert np.allclose(
            ak.to_numpy(ak.flatten(events.array[collection].pt)), np.concatenate(expected), rtol=1e-5, atol=1e-5
        )


def test_missing_momentum_is_that_of_neutrinos(shared: Path) -> None:
    path = shared / "data" / "generator" / TTBAR
    met = load(open_source(path), ["met"]).array.met.pt
    for event, value in zip(particles_of(path), met, strict=True):
        unseen = [p for p in event if p[1] == "1" and abs(int(p[0])) in {12, 14, 16}]
        assert value == pytest.approx(np.hypot(*(sum(float(p[k]) for p in unseen) for k in (6, 7))), rel=1e-5, abs=1e-5)


def test_neutralinos_of_the_susy_file_are_invisible(shared: Path) -> None:
    array = load(open_source(shared / "data" / "generator" / SUSY)).array
    assert ak.all(array.met.pt > 0)
    assert ak.all(ak.num(array.electrons) == 2)


def test_a_quarter_of_the_weak_bosons_is_wz(shared: Path) -> None:
    path = shared / "data" / "generator" / WEAK
    pairs = [sorted(abs(int(p[0])) for p in event if p[1] == "2") for event in particles_of(path)]
    assert sum(pair == [23, 24] for pair in pairs) == 26
    array = load(open_source(path)).array
    charged = ak.to_numpy(ak.num(array.electrons) + ak.num(array.muons))
    is_wz = np.array([pair == [23, 24] for pair in pairs])
    # three leptons come from WZ alone, except where ZZ loses one: leptonic decays are not forced here
    assert is_wz[charged == 3].all()


def test_weight_variations_are_factors_that_give_the_weights_of_the_file(shared: Path) -> None:
    path = shared / "data" / "generator" / WBJ
    events = load(open_source(path))
    nominal = events.weights(None)
    assert nominal == pytest.approx(50.109093)
    by_hand = [float(x) for x in re.findall(r'<wgt id="1002">(.*?)</wgt>', text_of(path))]
    assert len(by_hand) == 59
    assert events.weights(None, "weight_1002Up") == pytest.approx(by_hand)
    named = events.samples[0].provenance["weight_variations"]
    assert named["weight_1002Up"] == "muR=0.10000E+01 muF=0.20000E+01"


def test_only_what_is_asked_for_is_there(shared: Path) -> None:
    events = load(open_source(shared / "data" / "generator" / WBJ), ["jets.btag", "factors.weight_1002"])
    assert events.array.jets.fields == ["pt", "btag"]
    assert events.array.factors.fields == ["weight_1002"]
    assert ak.all(ak.sum(events.array.jets.btag, axis=1) == 1)


def test_the_chunk_size_does_not_change_events(shared: Path) -> None:
    source = open_source(shared / "data" / "generator" / TTBAR)
    assert load(source, chunk=7).array.to_list() == load(source).array.to_list()


def test_the_name_of_a_file_does_not_matter(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "generator" / TTBAR
    (tmp_path / "a.txt").write_bytes(gzip.compress(path.read_bytes()))
    assert load(open_source(tmp_path / "a.txt")).array.to_list() == load(open_source(path)).array.to_list()


def test_the_cross_section_of_the_file_reaches_the_store_under_the_name_given(shared: Path, tmp_path: Path) -> None:
    (sample,) = ingest([shared / "data" / "generator" / WEAK], tmp_path / "s", ReadSettings(process="VV")).samples
    assert (sample.process, sample.cross_section_pb, sample.sqrt_s_gev) == ("VV", 48.76776, 8000)


def test_a_field_that_partons_lack_is_named(shared: Path) -> None:
    with pytest.raises(MissingFieldError, match=r"wbj.lhe: no field 'muons.isolation' in an LHE file"):
        open_source(shared / "data" / "generator" / WBJ).iterate(["muons.isolation"])


def replaced(lines: list[str], row: int, old: str, new: str) -> list[str]:
    assert old in lines[row]
    return [*lines[:row], lines[row].replace(old, new, 1), *lines[row + 1 :]]


BROKEN: list[tuple[str, Callable[[list[str]], list[str]], str]] = [
    (
        "cut",
        lambda x: x[:300],
        "cut short: it ends in line 300 in event 24, which starts in line 297, without </Les",
    ),
    ("tag", lambda x: replaced(x, 19, "</event>", "</evnt>"), r"line 20: broken XML \(mismatched tag\)"),
    ("number", lambda x: replaced(x, 14, "-1.80", "-x.80"), r"line 9: event 0 is broken \(could not convert"),
    ("line", lambda x: [*x[:14], *x[15:]], r"line 9: event 0 is broken \(7 particles, 8 announced\)"),
    ("short", lambda x: [*x[:14], " 3 1", *x[15:]], "line 9: event 0 is broken"),
    ("first", lambda x: [*x[:9], "garbage", *x[10:]], "line 10: b'garbage', expected the 6 numbers"),
    ("nan", lambda x: replaced(x, 9, "1.000000e+00", "nan"), "line 10: .*expected the 6 numbers"),
    (
        "momentum",
        lambda x: replaced(x, 14, "-1.8091830127e+01", "inf"),
        "line 9: event 0 has a momentum that is no number",
    ),
    ("init", lambda x: [*x[:4], *x[8:]], "<init> is broken"),
]


@pytest.mark.parametrize(("kind", "change", "message"), BROKEN, ids=[row[0] for row in BROKEN])
def test_broken_files_are_refused_by_line(
    shared: Path, tmp_path: Path, kind: str, change: Callable[[list[str]], list[str]], message: str
) -> None:
    lines = text_of(shared / "data" / "generator" / WEAK).split("\n")
    file = tmp_path / f"{kind}.lhe"
    file.write_text("\n".join(change(lines)))
    with pytest.raises(InputFileError, match=f"{kind}.lhe.*{message}"):
        load(open_source(file))


def test_a_gzip_stream_cut_short_is_named(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "data" / "generator" / MLM).read_bytes()
    (tmp_path / "half.lhe.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputFileError, match=r"half.lhe.gz: gzip stream cut short"):
        open_source(tmp_path / "half.lhe.gz")


def test_a_file_without_events_reads(shared: Path, tmp_path: Path) -> None:
    head = text_of(shared / "data" / "generator" / WEAK).split("<event>")[0]
    (tmp_path / "none.lhe").write_text(head + "</LesHouchesEvents>\n")
    events = load(open_source(tmp_path / "none.lhe"))
    assert (len(events), events.has("jets.btag")) == (0, True)


def test_without_pylhe_the_extra_is_named(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylhe", None)
    with pytest.raises(MissingExtraError, match=r'LHE files need pylhe, .* pip install "anomalon\[generator\]"'):
        open_source(shared / "data" / "generator" / WEAK)
