"""Laws of the writers: what is written is read, to the precision of the format; nothing half-made stays."""

from __future__ import annotations

import math
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from anomalon.errors import AnomalonError, InvalidEventsError, OutputExistsError, UnknownNameError
from anomalon.events import Events
from anomalon.sources import open_source
from anomalon.store import Store
from anomalon.writers import EventWriter, WriterSettings, formats, load_padded, writer_for
from tests.writers.exported import DATA, WZ, parse_darkmachines, rich_events

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # files are too slow to shrink with
NAMES = {
    "store": "out", "hdf5": "out.h5", "numpy": "out.npz", "root": "out.root", "rntuple": "out.rntuple.root",
    "darkmachines": "out.csv",
}  # fmt: skip


def write(path: Path, *parts: Events, format_: str | None = None, **options: object) -> EventWriter:
    with writer_for(path, format_)(path, WriterSettings.parse(options)) as writer:
        for part in parts:
            writer.append(part)
    return writer


def by_value(events: Events) -> dict[str, list]:
    """Columns as plain lists: names of coordinates differ between formats, numbers must not."""
    return {
        f"{head}.{tail}" if tail else head: (events.array[head][tail] if tail else events.array[head]).tolist()
        for head in events.fields
        for tail in (sorted(events.array[head].fields) or [""])
    }


@settings(max_examples=12, deadline=None, phases=PHASES)
@given(
    n=st.integers(0, 12), cut=st.integers(0, 12), seed=st.integers(0, 99), name=st.sampled_from(["x.h5", "x.npz", "x"])
)
def test_padded_arrays_and_stores_read_back_exactly(tmp_path_factory, n, cut, seed, name):
    events = rich_events(n, seed)
    path = tmp_path_factory.mktemp("padded") / name
    write(path, events[:cut], events[cut:])
    again = Store(path).load() if name == "x" else load_padded(path)
    assert again.samples == events.samples
    assert by_value(again) == by_value(events)


@settings(max_examples=8, deadline=None, phases=PHASES)
@given(
    n=st.integers(0, 10), cut=st.integers(0, 10), seed=st.integers(0, 99), kind=st.sampled_from(["root", "rntuple"]),
    sample=st.sampled_from([WZ, DATA]),
)  # fmt: skip
def test_root_files_read_back_through_the_nanoaod_reader(tmp_path_factory, n, cut, seed, kind, sample):
    events = rich_events(n, seed, sample)
    path = tmp_path_factory.mktemp("root") / "x.root"
    write(path, events[:cut], events[cut:], format_=kind)
    source = open_source(path)
    again = Events.concatenate(source.iterate())
    expected = by_value(events)
    if not n:
        return  # an empty table has no columns of objects to compare
    for name, values in by_value(again).items():
        assert values == expected[name], name
    assert set(by_value(again)) == set(expected)
    assert again.samples[0].sum_gen_weights == sample.sum_gen_weights
    assert again.samples[0].is_data == sample.is_data


@settings(max_examples=12, deadline=None, phases=PHASES)
@given(n=st.integers(0, 10), seed=st.integers(0, 99), name=st.sampled_from(["x.csv", "x.csv.gz"]))
def test_dark_machines_lines_hold_six_digits_of_every_number(tmp_path_factory, n, seed, name):
    events = rich_events(n, seed)
    path = tmp_path_factory.mktemp("dm") / name
    write(path, events, luminosity_fb=7.8)
    lines = parse_darkmachines(path)
    assert len(lines) == n
    weights = events.weights(7.8)
    for i, (line, row) in enumerate(zip(lines, events.array, strict=True)):
        assert (line["event"], line["process"]) == (row.event, "WZ")
        close(line["weight"], weights[i])
        close(line["met"], (row.met.pt, row.met.phi))
        expected = slow_objects(row)
        assert [o[0] for o in line["objects"]] == [o[0] for o in expected]
        for got, want in zip(line["objects"], expected, strict=True):
            close(got[1:], want[1:])


@settings(max_examples=8, deadline=None, phases=PHASES)
@given(n=st.integers(1, 10), seed=st.integers(0, 99), name=st.sampled_from(["x.csv", "x.csv.gz"]))
def test_dark_machines_files_read_back_through_their_reader(tmp_path_factory, n, seed, name):
    events = rich_events(n, seed)
    path = tmp_path_factory.mktemp("dm") / name
    write(path, events)
    again = Events.concatenate(open_source(path).iterate())
    for collection in ("electrons", "muons", "photons", "jets"):
        for column in ("pt", "eta", "phi"):
            got, want = again.array[collection][column], events.array[collection][column]
            assert ak.num(got).tolist() == ak.num(want).tolist()
            close(ak.flatten(got), ak.flatten(want))
    assert again.array.jets.btag.tolist() == events.array.jets.btag.tolist()
    assert again.array.muons.charge.tolist() == events.array.muons.charge.tolist()
    close(again.array.met.pt, events.array.met.pt)


def close(got: object, want: object) -> None:
    np.testing.assert_allclose(got, want, rtol=5.1e-6, atol=1e-12)


def slow_objects(row: ak.Record) -> list[tuple]:
    """The objects of an event in the order of the form, by a loop."""
    found = []
    for symbol, objects in (
        ("b", [j for j in row.jets if j.btag]),
        ("j", [j for j in row.jets if not j.btag]),
        ("e-", [x for x in row.electrons if x.charge < 0]),
        ("e+", [x for x in row.electrons if x.charge > 0]),
        ("m-", [x for x in row.muons if x.charge < 0]),
        ("m+", [x for x in row.muons if x.charge > 0]),
        ("g", list(row.photons)),
    ):
        for o in sorted(objects, key=lambda o: -o["pt"]):
            pt, eta, mass = float(o["pt"]), float(o["eta"]), float(o["mass"])
            found.append((symbol, math.hypot(pt * math.cosh(eta), mass), pt, eta, float(o["phi"])))
    return found


def test_no_more_than_twenty_objects_go_into_a_dark_machines_line_and_the_hardest_stay(tmp_path):
    jets = [{"pt": 20.0 + i, "eta": 0.0, "phi": 0.0, "btag": i < 3} for i in range(25)]
    writer = write(tmp_path / "x.csv", Events.from_dicts([{"jets": jets}]))
    (line,) = parse_darkmachines(tmp_path / "x.csv")
    assert sorted(o[2] for o in line["objects"]) == [25.0 + i for i in range(20)]
    assert writer.cut_off == {"objects": 5}


def test_objects_cut_off_are_counted(tmp_path):
    muons = [{"pt": 50.0 - i, "eta": 0.0, "phi": 0.0} for i in range(5)]
    writer = write(tmp_path / "x.h5", Events.from_dicts([{"muons": muons}, {}]), max_objects=2)
    assert load_padded(tmp_path / "x.h5").array.muons.pt.tolist() == [[50.0, 49.0], []]
    assert writer.cut_off == {"muons": 3}


def test_missing_objects_are_nan_under_a_false_mask(tmp_path):
    write(tmp_path / "x.npz", Events.from_dicts([{"muons": [{"pt": 5, "eta": 0, "phi": 0, "charge": 1}]}, {}]))
    with np.load(tmp_path / "x.npz") as file:
        assert file["muons/mask"].tolist() == [[True], [False]]
        assert np.isnan(file["muons/pt"][1, 0])
        assert file["muons/charge"].tolist() == [[1], [0]]
        np.testing.assert_array_equal(file["weight"], [1.0, 1.0])


@pytest.mark.parametrize("format_", formats())
def test_nothing_stays_when_writing_fails(format_, tmp_path):
    path = tmp_path / NAMES[format_]
    other = Events.from_dicts([{"muons": []}], [DATA.model_copy(update={"name": "wz"})])
    with pytest.raises(InvalidEventsError, match="two different samples"):
        write(path, rich_events(3), other, format_=format_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", formats())
def test_what_is_there_is_not_overwritten_unless_asked(format_, tmp_path):
    path = tmp_path / NAMES[format_]
    write(path, rich_events(3), format_=format_)
    with pytest.raises(OutputExistsError, match="already there"):
        writer_for(path, format_)(path)
    with writer_for(path, format_)(path, overwrite=True) as writer:
        writer.append(rich_events(2))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format_", formats())
def test_the_same_events_give_the_same_numbers_whatever_the_parts(format_, tmp_path):
    events = rich_events(9)
    names = []
    for cut in (0, 4):
        path = tmp_path / f"{cut}{NAMES[format_]}"
        write(path, events[:cut], events[cut:], format_=format_)
        names.append(path)
    if format_ == "darkmachines":
        assert names[0].read_bytes() == names[1].read_bytes()
    elif format_ in ("hdf5", "numpy"):
        assert by_value(load_padded(names[0])) == by_value(load_padded(names[1]))
    else:
        first, second = (Events.concatenate(open_source(p).iterate()) for p in names)
        assert by_value(first) == by_value(second)


def test_a_root_file_holds_one_sample(tmp_path):
    with pytest.raises(InvalidEventsError, match="one sample per file, given wz, muons; choose with --sample"):
        write(tmp_path / "x.root", Events.concatenate([rich_events(2), rich_events(2, sample=DATA)]))


def test_a_root_file_says_what_it_could_not_hold(tmp_path):
    events = rich_events(2)
    odd = Events(ak.with_field(events.array, ak.Array([1.0, 2.0]), "sphericity"), events.samples)
    assert write(tmp_path / "x.root", odd).left_out == ("sphericity",)
    with uproot.open(tmp_path / "x.root") as file:
        assert '"process":"WZ"' in str(file["anomalon_sample"])


BAD = {
    "a NaN": ({"muons": [{"pt": math.nan, "eta": 0, "phi": 0, "charge": 1}]}, "not finite"),
    "a NaN in MET": ({"met": {"pt": math.nan, "phi": 0}}, "event 0 has a weight or MET that is not finite"),
    "a lepton without charge": ({"muons": [{"pt": 5, "eta": 0, "phi": 0}]}, "charge 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_dark_machines_form_cannot_hold_is_refused(case, tmp_path):
    row, message = BAD[case]
    with pytest.raises(AnomalonError, match=message):
        write(tmp_path / "x.csv", Events.from_dicts([row]))
    assert list(tmp_path.iterdir()) == []


def test_a_process_with_a_separator_in_its_name_is_refused(tmp_path):
    with pytest.raises(InvalidEventsError, match="separator"):
        write(tmp_path / "x.csv", rich_events(1, sample=WZ.model_copy(update={"process": "W;Z"})))


def test_a_format_is_found_by_name_or_ending():
    assert writer_for("a.csv.gz").format == "darkmachines"
    assert writer_for("a.rntuple.root").format == "rntuple"
    assert writer_for("a.root", "hdf5").format == "hdf5"
    with pytest.raises(UnknownNameError, match="did you mean 'hdf5'"):
        writer_for("a", "hdf")
    with pytest.raises(UnknownNameError, match=r"ending names no format.*\.npz"):
        writer_for("a.txt")


@pytest.mark.parametrize("kind", ["root", "rntuple", "hdf5"])
@pytest.mark.parametrize("name", ["nano_tt_v12.root", "nano_dimuon.root"])
def test_real_files_survive_a_round_trip(name, kind, shared, tmp_path):
    events = Events.concatenate(open_source(shared / "data" / "cms" / name).iterate())
    path = tmp_path / NAMES[kind]
    write(path, events, format_=kind)
    again = load_padded(path) if kind == "hdf5" else Events.concatenate(open_source(path).iterate())
    got, want = by_value(again), by_value(events)
    assert set(got) == set(want)
    for column, values in want.items():
        np.testing.assert_array_equal(*(ak.to_numpy(ak.ravel(ak.Array(v))) for v in (got[column], values)), column)
    assert again.samples[0].sum_gen_weights == events.samples[0].sum_gen_weights
