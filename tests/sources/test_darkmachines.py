"""Dark Machines files: numbers equal to Python's, every damaged line named or counted, masses from E and p."""

from __future__ import annotations

import gzip

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.sources import ReadSettings, ingest, open_source
from anomalon.sources.darkmachines import DarkMachinesSource
from anomalon.sources.darkmachines_text import Parser, blocks

GOOD = (
    "7;ttbar;1;54394.6;-1.44647;b,161628,159014,0.112815,3.12406;j,173433,102416,-1.10607,1.16579;"
    "e+,111955,80424.1,-0.844482,2.73364"
)
SYMBOLS = ("j", "b", "e-", "e+", "m-", "m+", "g")


def write(path, *lines, end="\n", newline="\n"):
    path.write_bytes((newline.join(lines) + end).encode())
    return path


def plain(text):
    """What anyone would write: split and call float."""
    header, objects = [], []
    for line in text.splitlines():
        fields = line.strip().rstrip(";").split(";")
        header.append([float(value) for value in fields[2:5]])
        objects += [[float(value) for value in item.split(",")[1:]] for item in fields[5:] if item.strip()]
    return np.array(header).reshape(-1, 3), np.array(objects).reshape(-1, 4)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint64).tolist()


digits = st.text("0123456789", min_size=1, max_size=25)
sign = st.sampled_from(["", "-", "+"])
exponent = st.one_of(st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), sign, st.integers(0, 330)))
decimal = st.one_of(
    st.builds("{}{}.{}{}".format, sign, digits, digits, exponent),
    st.builds("{}{}{}".format, sign, digits, exponent),
    st.builds("{}.{}{}".format, sign, digits, exponent),
    st.builds("{}{}.{}".format, sign, digits, exponent),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(1e-3, 1e7).map("{:.6g}".format),
)
space = st.sampled_from(["", " ", "\t"])
padded = st.builds("{}{}{}".format, space, decimal, space)
item = st.builds(lambda s, v: ",".join([s, *v]), st.sampled_from(SYMBOLS), st.lists(padded, min_size=4, max_size=4))
row = st.builds(
    lambda i, name, head, items, tail: ";".join([str(i), name, *head, *items]) + tail,
    st.integers(0, 10**17),
    st.sampled_from(["ttbar", "w_jets", "4top"]),
    st.lists(padded, min_size=3, max_size=3),
    st.lists(item, max_size=20),
    st.sampled_from(["", ";", "\r"]),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=6))
def test_every_number_is_the_one_that_python_reads(tmp_path_factory, rows):
    text = "\n".join(rows)
    path = tmp_path_factory.mktemp("dm") / "a.csv"
    path.write_bytes(text.encode())
    (block,) = blocks(path, 1 << 16)
    numbers = Parser(1 << 16).read(block)
    assert len(numbers.bad) == 0
    header, objects = plain(text)
    assert bits(numbers.header) == bits(header)
    assert bits(numbers.objects) == bits(objects)
    assert numbers.ids.tolist() == [int(line.partition(";")[0]) for line in rows]
    assert [numbers.names[i] for i in numbers.process] == [line.split(";")[1] for line in rows]


@pytest.mark.parametrize("packed", [False, True])
def test_an_event_becomes_objects_in_gev_by_decreasing_pt(tmp_path, packed):
    path = write(tmp_path / "a.csv", GOOD, "8;ww;0.5;1000;3;", "")
    if packed:
        path = tmp_path / "b"
        path.write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    source = open_source(path)
    assert (source.format, source.n_events) == ("dark-machines", 2)
    (events,) = source.iterate()
    first, second = events.array.to_list()
    assert [(o["pt"], o["btag"]) for o in first["jets"]] == [
        (pytest.approx(159.014), True),
        (pytest.approx(102.416), False),
    ]
    assert (first["electrons"][0]["charge"], first["met"]["pt"]) == (1, pytest.approx(54.3946))
    assert (second["jets"], second["muons"], second["gen_weight"]) == ([], [], 0.5)
    assert [s.process for s in events.samples] == ["ttbar", "ww"]
    assert [(s.sum_gen_weights, s.n_generated) for s in source.samples] == [(1.0, 1), (0.5, 1)]


def test_jets_of_both_symbols_are_ordered_together(tmp_path):
    path = write(
        tmp_path / "a.csv", "1;p;1;0;0;b,30000,30000,0,0;j,90000,90000,0,1;j,40000,40000,0,2;j,30000,30000,0,3"
    )
    (events,) = open_source(path).iterate()
    assert events.array.jets.pt.to_list() == [[90, 40, 30, 30]]
    assert events.array.jets.phi.to_list() == [[1, 2, 0, 3]]


@settings(max_examples=50, deadline=None)
@given(pt=st.floats(1e4, 2e6), eta=st.floats(-4, 4), mass=st.sampled_from([0.0, 0.511, 105.66, 5e3, 1.7e5]))
def test_energies_round_trip_to_the_digits_of_the_file(tmp_path_factory, pt, eta, mass):
    energy = np.hypot(pt * np.cosh(eta), mass)
    path = write(tmp_path_factory.mktemp("dm") / "a.csv", f"1;p;1;0;0;j,{energy:.6g},{pt:.6g},{eta:.6g},1")
    (events,) = open_source(path).iterate()
    jet = events.array.jets[0, 0]
    again = np.hypot(float(jet.pt) * np.cosh(float(jet.eta)), float(jet.mass)) * 1000
    assert again == pytest.approx(float(f"{energy:.6g}"), rel=3e-5)
    if mass > 1e4 and mass > 0.1 * energy:
        assert float(jet.mass) * 1000 == pytest.approx(mass, rel=1e-3)


def test_objects_outside_the_nominal_acceptance_are_kept_and_phi_is_wrapped(tmp_path):
    path = write(tmp_path / "a.csv", "1;p;1;10;0;j,90000,9000,-4.9,3.14160;m-,30000,3000,2.99,-3.2")
    (events,) = open_source(path).iterate()
    assert float(events.array.jets.phi[0, 0]) == pytest.approx(3.1416 - 2 * np.pi, abs=1e-5)
    assert (float(events.array.jets.pt[0, 0]), float(events.array.muons.pt[0, 0])) == (9, 3)


BAD = {
    "1;p;1;10": "missing field",
    "1;p;1;10;0;j,1,2,3": "missing field",
    "1;p;1;10;0;;j,1,2,3,1": "empty field",
    "1;p;;10;0;j,1,2,3,1": "empty field",
    "1;;1;10;0": "empty field",
    "1;p;1;10;0;j,1,,3,1": "empty field",
    "1;p;1;1x0;0": "text in a number",
    "1;p;1;nan;0": "text in a number",
    "1;p;1;1e;0": "text in a number",
    "x;p;1;10;0": "text in a number",
    "1;p;1;10;0;j,1,2,three,1": "text in a number",
    "1;p;1;10;0;tau,1,2,3,1": "unknown object",
    "1;p;1;10;0;j,1,2,3,1,5": "too many fields",
    "1;p;1;10;0" + ";j,30000,20000,1,1" * 21: "more than 20 objects",
    "1;p;1;1e308;0": "energy out of range",
    "1;p;1;1e999;0": "energy out of range",
    "1;p;1;10;0;j,1e308,20000,1,1": "energy out of range",
    "1;p;1;10;0;j,10,-20000,1,1": "energy out of range",
    "1;p;1;10;0;j,30000,20000,1e308,1": "angle out of range",
    "1;p;1e40;10;0": "weight out of range",
}


@pytest.mark.parametrize("line", BAD)
def test_a_damaged_line_is_named_or_counted(tmp_path, line):
    path = write(tmp_path / "a.csv", GOOD, GOOD.replace("7;", "8;", 1), line, GOOD.replace("7;", "9;", 1))
    with pytest.raises(InputFileError, match=rf"a\.csv, line 3: {BAD[line]}.*--lenient"):
        ingest([path], tmp_path / "s")
    assert not (tmp_path / "s").exists()
    store = ingest([path], tmp_path / "s", ReadSettings(lenient=True))
    (entry,) = store.ledger.check()
    ((reason, n),) = entry.skipped.items()
    assert (entry.read, entry.written, n, store.n_events) == (4, 3, 1, 3)
    assert reason.startswith(BAD[line])
    assert store.samples[0].sum_gen_weights == 3.0
    assert store.load().array.event.to_list() == [7, 8, 9]


@pytest.mark.parametrize(
    ("end", "newline"), [("", "\n"), ("\r\n", "\r\n"), ("", "\r\n"), ("\n\n", "\n"), (";\n", ";\n")]
)
def test_line_ends_of_every_kind_are_read(tmp_path, end, newline):
    path = write(tmp_path / "a.csv", GOOD, "8;ttbar;1;100;0", GOOD, end=end, newline=newline)
    (events,) = open_source(path).iterate()
    assert ak.num(events.array.jets).to_list() == [2, 0, 2]


def test_lines_are_numbered_across_blocks(tmp_path):
    path = write(tmp_path / "a.csv", *[GOOD] * 1000, "1;p;1;oops;0", *[GOOD] * 10)
    for size in (1 << 10, 1 << 12, 1 << 20):
        parser = Parser(size)
        found = [parser.collect(parser.read(text), text) for text in blocks(path, size)]
        (damage,) = [part.first for part in found if part.first]
        assert (damage.line, damage.found) == (1001, "oops")
        assert sum(int(part.good.sum()) for part in found) == 1010


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_chunk_size_does_not_change_the_events(tmp_path, chunk):
    path = write(tmp_path / "a.csv", *(GOOD.replace("7;", f"{i};", 1) for i in range(20)))
    parts = list(DarkMachinesSource(path).iterate(chunk=chunk))
    assert max(map(len, parts)) <= chunk
    assert [i for part in parts for i in part.array.event.to_list()] == list(range(20))


def test_only_the_fields_asked_for_are_there(tmp_path):
    (events,) = DarkMachinesSource(write(tmp_path / "a.csv", GOOD)).iterate(["jets.eta", "met"])
    assert events.array.jets.fields == ["pt", "eta"]
    assert not events.has("electrons")
    with pytest.raises(MissingFieldError, match=r"no field 'jet'; did you mean 'jets'"):
        DarkMachinesSource(write(tmp_path / "a.csv", GOOD)).iterate(["jet"])


def test_a_file_in_gev_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "1;p;1;54;0;j,161.6,159.0,0.1,3.1;j,90,80,0.5,1")
    with pytest.raises(
        InputFileError, match=r"a\.csv: median pT .* the file is in GeV; Dark Machines files are in MeV"
    ):
        DarkMachinesSource(path).iterate()


def test_when_every_line_is_damaged_there_are_no_events_and_the_count_says_so(tmp_path):
    path = write(tmp_path / "a.csv", GOOD, "1;p;1;x;0")
    path.write_text("1;p;1;1e300;0\n")
    store = ingest([path], tmp_path / "s", ReadSettings(lenient=True))
    assert (store.n_events, dict(store.ledger.entries[0].skipped)) == (0, {"energy out of range": 1})


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    packed = gzip.compress("\n".join([GOOD] * 5000).encode(), mtime=0)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[:-20] if damage == "cut" else packed[:-300] + b"\xff" * 300)
    with pytest.raises(InputFileError, match=r"a\.csv\.gz: cannot be read"):
        list(DarkMachinesSource(path).iterate())


def test_processes_of_a_file_can_be_made_one_sample(tmp_path):
    path = write(tmp_path / "a.csv", "1;ww;1;10;0", "2;zz;2;10;0")
    store = ingest([path], tmp_path / "s", ReadSettings(process="diboson", cross_section_pb=2.0))
    assert [(s.name, s.sum_gen_weights) for s in store.samples] == [("diboson", 3.0)]
    assert [s.name for s in ingest([path], tmp_path / "t").samples] == ["ww", "zz"]


def test_equal_numbers_of_different_processes_are_different_events(tmp_path):
    path = write(tmp_path / "a.csv", "1;ww;1;10;0", "1;zz;1;10;0")
    assert ingest([path], tmp_path / "s").n_events == 2
    write(path, "1;ww;1;10;0", "1;ww;1;10;0")
    with pytest.raises(InputFileError, match=r"simulated event 1:1:1 .* sample 'ww'"):
        ingest([path], tmp_path / "t")
