"""Event pictures: nothing is lost, and what was lost is noticed."""

from __future__ import annotations

import io
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, PngImagePlugin

from anomalon.errors import ConfigError, EmptySelectionError, InputFileError, InvalidEventsError, MissingFieldError
from anomalon.events import Events
from anomalon.store import StoreWriter
from anomalon.style.codec import Codec, steps_apart
from anomalon.style.images import KEY, ImageSettings, load_mosaic, read_images, save_mosaic, write_images
from anomalon.style.maps import VariableMap
from anomalon.style.picture_variables import PRIMARY, SECONDARY, drawable, picture_variables
from tests.style.synthetic import made

FULL = 1000
BITS = pytest.mark.parametrize("bits", [8, 12, 16])
KINDS = pytest.mark.parametrize("kind", ["rank", "log"])


def table(n: int, seed: int = 0) -> np.ndarray:
    """Variables of the right signs: momenta and masses with long tails, angles."""
    rng = np.random.default_rng(seed)
    columns = []
    for name in (*PRIMARY, *SECONDARY):
        if name.endswith("phi"):
            columns.append(rng.uniform(-np.pi, np.pi, n))
        elif name.endswith("eta"):
            columns.append(rng.normal(0, 1.2, n))
        else:
            columns.append(
                rng.exponential(60.0, n) * (rng.random(n) < 0.99)
            )  # some are exactly 0, the most frequent value
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def events() -> Events:
    return made(6000, 1, jets=6.0)


@pytest.fixture(scope="module")
def store(events, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "made"
    with StoreWriter(path) as writer:
        writer.append(events)
    return path


@BITS
@KINDS
@pytest.mark.parametrize("columns", [9, 10])
def test_decoding_gives_every_variable_back_within_half_a_step(bits, kind, columns):
    values = table(2500)
    codec = Codec.fit(values, bits=bits, columns=columns, kind=kind)
    pixels = codec.encode(values)
    assert pixels.shape == (3, *((600, 40 * columns) if bits == 16 else (300, 40 * columns, 3)))
    back = codec.decode(pixels, len(values))
    assert back.shape == (2500, 12 + columns)
    assert steps_apart(codec, values[:, : 12 + columns], back).max() <= 0.5 + 1e-6


@pytest.mark.slow
@BITS
def test_a_million_events_come_back(bits):
    values = table(1_000_000, seed=bits)
    codec = Codec.fit(values, bits=bits)
    for start in range(0, len(values), 100_000):
        some = values[start : start + 100_000]
        assert steps_apart(codec, some, codec.decode(codec.encode(some), len(some))).max() <= 0.5 + 1e-6


def test_the_ends_of_a_range_are_the_first_and_last_step_and_nothing_wraps_around():
    values = table(FULL)
    values[0], values[1] = values.min(axis=0), values.max(axis=0)
    for bits in (8, 12, 16):
        codec = Codec.fit(values, bits=bits, kind="log")
        back = codec.decode(codec.encode(values), FULL)
        np.testing.assert_allclose(back[:2], values[:2, : back.shape[1]], rtol=1e-9, atol=1e-9)


def test_red_is_the_row_blue_the_column_and_green_the_spare_bits():
    values = table(FULL)
    codec = Codec.fit(values, bits=12)
    block = codec.encode(values)[0, :12, :10]
    assert (block[:, :, 0] == block[:, :1, 0]).all()
    assert (block[:, :, 2] == block[:1, :, 2]).all()
    steps = [round(float(m.forward(values[:1, i])[0]) * 4095) for i, m in enumerate((*codec.rows, *codec.columns))]
    assert (block[3, 4] == [steps[3] >> 4, ((steps[3] & 15) << 4) | (steps[16] & 15), steps[16] >> 4]).all()
    assert (Codec.fit(values, bits=8).encode(values)[..., 1] == 0).all()


def test_events_lie_beside_each_other_forty_in_a_row():
    values = table(FULL)
    codec = Codec.fit(values, bits=8)
    mosaic = codec.encode(values)[0]
    for event in (0, 1, 39, 40, 999):
        top, left = (event // 40) * 12, (event % 40) * 10
        alone = round(float(codec.rows[5].forward(values[event : event + 1, 5])[0]) * 255)
        assert mosaic[top + 5, left + 7, 0] == alone


@settings(deadline=None, max_examples=60)
@given(
    values=arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e6, 1e6)),
    kind=st.sampled_from(["linear", "log", "rank"]),
)
def test_maps_are_invertible(values, kind):
    found = VariableMap.fit("x", values, kind)
    levels = found.forward(values)
    assert ((levels >= 0) & (levels <= 1)).all()
    np.testing.assert_allclose(found.forward(found.inverse(levels)), levels, atol=1e-6)
    order = np.argsort(values)
    assert (np.diff(levels[order]) >= 0).all()


def test_fewer_events_than_a_mosaic_needs_are_refused():
    codec = Codec.fit(table(FULL))
    with pytest.raises(InvalidEventsError, match=r"999 events, a mosaic of 25 x 40 needs 1000"):
        codec.encode(table(999))


@pytest.mark.parametrize("wrong", [-1.0, 1e9, np.nan])
def test_values_outside_of_the_fitted_range_are_refused(wrong):
    values = table(FULL)
    codec = Codec.fit(values)
    values[7, PRIMARY.index("b1.pt")] = wrong
    with pytest.raises(InvalidEventsError, match=r"b1\.pt: 1 values outside of the fitted range .* of event 7"):
        codec.encode(values)


def test_values_that_are_not_finite_have_no_map():
    with pytest.raises(InvalidEventsError, match="1 of 3 values are not finite"):
        VariableMap.fit("x", np.array([1.0, np.nan, 2.0]), "rank")


@BITS
def test_a_file_holds_all_that_is_needed(bits, tmp_path):
    values = table(1500)
    codec = Codec.fit(values, bits=bits)
    for number, (pixels, n) in enumerate(codec.mosaics(values)):
        save_mosaic(pixels, tmp_path / f"mosaic-{number}.png", codec, n)
    again, back = read_images(tmp_path)
    assert again == codec
    assert steps_apart(codec, values, back).max() <= 0.5 + 1e-6


@pytest.fixture
def mosaic(tmp_path) -> Path:
    values = table(FULL)
    codec = Codec.fit(values)
    save_mosaic(codec.encode(values)[0], tmp_path / "mosaic.png", codec, FULL)
    return tmp_path / "mosaic.png"


def test_a_lossy_picture_is_refused_whatever_its_name(mosaic):
    Image.open(mosaic).save(mosaic.with_suffix(".jpg"), quality=95)
    lossy = mosaic.with_name("mosaic-renamed.png")
    lossy.write_bytes(mosaic.with_suffix(".jpg").read_bytes())
    with pytest.raises(InputFileError, match="a JPEG picture, which loses"):
        load_mosaic(lossy)


def test_a_picture_that_was_once_lossy_is_noticed(mosaic):
    buffer = io.BytesIO()
    with Image.open(mosaic) as picture:
        picture.save(buffer, format="JPEG", quality=95)
        text = PngImagePlugin.PngInfo()
        for key, value in picture.text.items():
            text.add_text(key, value, zip=True)
    Image.open(buffer).save(mosaic, format="PNG", pnginfo=text)
    with pytest.raises(InputFileError, match="not those that were written"):
        load_mosaic(mosaic)


def test_pixels_that_contradict_each_other_are_not_decoded():
    values = table(FULL)
    for bits in (8, 12, 16):
        codec = Codec.fit(values, bits=bits)
        pixels = codec.encode(values)
        pixels[0, 13, 25] ^= 1
        with pytest.raises(InputFileError, match="pixels of event 42 contradict"):
            codec.decode(pixels, FULL)


def test_a_picture_without_its_metadata_is_refused(mosaic):
    with Image.open(mosaic) as picture:
        picture.load()
    picture.save(mosaic, format="PNG")
    with pytest.raises(InputFileError, match=f"has no '{KEY}' text"):
        load_mosaic(mosaic)


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"format": 99, "events": 1, "crc32": 1}'])
def test_damaged_metadata_is_refused(mosaic, text):
    with Image.open(mosaic) as picture:
        picture.load()
        info = PngImagePlugin.PngInfo()
        for key, value in picture.text.items():
            info.add_text(key, text if key == KEY else value, zip=True)
    picture.save(mosaic, format="PNG", pnginfo=info)
    with pytest.raises(InputFileError, match=r"metadata is damaged|this version reads"):
        load_mosaic(mosaic)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "mosaic-1.png").write_text("hello")
    with pytest.raises(InputFileError, match="not a picture"):
        load_mosaic(tmp_path / "mosaic-1.png")
    with pytest.raises(InputFileError, match="not a picture"):
        load_mosaic(tmp_path / "missing.png")
    with pytest.raises(InputFileError, match=r"no mosaic-\*\.png"):
        read_images(tmp_path / "nowhere")


def test_no_event_of_a_store_is_lost(store, events, tmp_path):
    found = write_images([store, store], tmp_path / "pictures", ImageSettings(bits=16, columns=9))
    chosen = events[np.flatnonzero(drawable(events))]
    assert (found.read, found.drawn) == (12_000, 2 * len(chosen))
    codec, values = read_images(tmp_path / "pictures")
    wanted = picture_variables(chosen)
    assert steps_apart(codec, np.concatenate([wanted, wanted]), values).max() <= 0.5 + 1e-6
    index = pq.read_table(tmp_path / "pictures" / "events.parquet")
    assert index["event"].to_pylist()[: len(chosen)] == chosen.numbers("event").tolist()


def test_the_maps_of_other_pictures_can_be_taken(store, tmp_path):
    write_images([store], tmp_path / "first", ImageSettings(bits=8))
    again = write_images([store], tmp_path / "second", like=tmp_path / "first")
    assert again.codec == load_mosaic(tmp_path / "first" / "mosaic-00001.png")[1]


def test_a_store_without_such_events_is_refused(tmp_path):
    with StoreWriter(tmp_path / "soft") as writer:
        writer.append(made(50, 1, jets=0.0))
    with pytest.raises(EmptySelectionError, match="none of 50 events has two leptons and two b-jets"):
        write_images([tmp_path / "soft"], tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_variables_are_those_of_a_slow_loop(events):
    chosen = events[np.flatnonzero(drawable(events))[:50]]
    values = picture_variables(chosen)
    for row, event in zip(values, chosen.array, strict=True):
        bjets = [j for j in event.jets if j.btag]
        leptons = list(event.muons)
        named = dict(zip((*PRIMARY, *SECONDARY), row, strict=True))
        assert named["b1.pt"] == pytest.approx(bjets[0].pt)
        assert named["l2.eta"] == pytest.approx(leptons[1].eta)
        assert named["m_ll"] == pytest.approx((leptons[0] + leptons[1]).mass, rel=1e-4)
        assert named["m_bb"] == pytest.approx((bjets[0] + bjets[1]).mass, rel=1e-4)
        assert named["pt_bb"] == pytest.approx((bjets[0] + bjets[1]).pt, rel=1e-4)
        assert named["ht"] == pytest.approx(sum(j.pt for j in event.jets), rel=1e-5)
        assert named["st"] == pytest.approx(named["ht"] + sum(m.pt for m in leptons) + event.met.pt, rel=1e-5)


def test_events_without_jets_are_refused(events):
    bare = Events(events.array[[f for f in events.fields if f != "jets"]], events.samples)
    with pytest.raises(MissingFieldError, match="event pictures needs jets"):
        picture_variables(bare)
    assert ak.all(drawable(events) <= (ak.num(events.array.jets) >= 2))


def test_generated_pictures_are_read_by_their_means():
    values = table(FULL)
    codec = Codec.fit(values, bits=8)
    pixels = codec.encode(values).astype(float)
    noisy = pixels + np.random.default_rng(1).normal(0, 0.1, pixels.shape)
    assert steps_apart(codec, values, codec.decode_painted(noisy, FULL)).max() < 1.5
    with pytest.raises(InputFileError, match="expected"):
        codec.decode_painted(noisy[:, :100], FULL)


def test_pixels_of_another_shape_are_refused():
    codec = Codec.fit(table(FULL))
    with pytest.raises(InputFileError, match="pixels of shape"):
        codec.decode(np.zeros((1, 10, 10, 3), dtype=np.uint8), 1)
    with pytest.raises(InputFileError, match="1 mosaics hold 1000"):
        codec.decode(np.zeros((1, *codec.shape), dtype=np.uint8), 1001)


def test_other_bits_are_refused():
    with pytest.raises(ConfigError, match="bits"):
        ImageSettings.parse({"bits": 10})
