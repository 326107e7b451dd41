"""Style transfer: losses in their units, ratios, starts, and weights from anywhere but the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anomalon.errors import ConfigError, ModelFileError
from anomalon.style.codec import Codec
from anomalon.style.colours import as_bytes, as_colours, variables_of
from anomalon.style.picture_weights import FeatureSettings, features_of
from anomalon.style.transfer import Layers, Ratio, TransferSettings, gram, transfer

RNG = np.random.default_rng(3)
BLOCK = (4, 5)
SMALL = {"widths": (6, 8), "depths": (1, 1), "steps": 60, "batch_size": 4, "piece": (2, 2)}
LAYERS = Layers(content=("conv1_1",), style=("conv1_1", "conv2_1"))


def striped(mean: float) -> np.ndarray:
    """A picture of blocks with a row's colour in red and a column's in blue."""
    rows, columns = (RNG.uniform(size=(6 * 4, 8 * 5)) ** mean for _ in range(2))
    red = np.repeat(rows[:, ::5], 5, axis=1)
    blue = np.repeat(columns[::4], 4, axis=0)
    return np.stack([red, np.zeros_like(red), blue])[None].astype(np.float32)


CONTENT, STYLE = striped(1.0), striped(3.0)


@pytest.fixture(scope="module")
def network() -> Any:
    return features_of(FeatureSettings.parse(SMALL), CONTENT, STYLE, block=BLOCK, seed=1)[0]


def settings(**changes: Any) -> TransferSettings:
    return TransferSettings.parse({"layers": LAYERS, "iterations": 30, **changes})


def test_losses_are_in_units_of_the_other_picture(network: Any) -> None:
    same = {"iterations": 1, "ratio": {"style": 0.0}}
    _, content = transfer(network, CONTENT, STYLE, settings(start="content", **same))
    assert content.content == pytest.approx(0.0, abs=1e-6)
    assert content.style == pytest.approx(1.0, rel=1e-4)
    _, style = transfer(network, CONTENT, STYLE, settings(start="style", iterations=1, ratio={"style": 1.0}))
    assert style.content == pytest.approx(1.0, rel=1e-4)
    assert style.style == pytest.approx(0.0, abs=1e-6)


def test_more_style_means_less_content(network: Any) -> None:
    found = [transfer(network, CONTENT, STYLE, settings(ratio=ratio))[1] for ratio in ("5:95", "50:50", "95:5")]
    assert found[0].style > found[1].style > found[2].style
    assert found[0].content < found[1].content < found[2].content


@pytest.mark.parametrize("start", ["content", "noise", "style"])
def test_every_start_comes_closer_to_both(network: Any, start: str) -> None:
    first, last = (transfer(network, CONTENT, STYLE, settings(start=start, iterations=n))[1] for n in (1, 40))
    assert 0.8 * last.content + 0.2 * last.style < 0.8 * first.content + 0.2 * first.style


def test_content_alone_comes_back_out_of_noise(network: Any) -> None:
    made, losses = transfer(network, CONTENT, STYLE, settings(start="noise", ratio={"style": 0.0}, iterations=150))
    assert losses.content < 0.02
    assert np.corrcoef(made[0, 2].ravel(), CONTENT[0, 2].ravel())[0, 1] > 0.9


def test_colours_stay_colours_and_the_network_stays_as_it_is(network: Any) -> None:
    before = [p.clone() for p in network.parameters()]
    made, _ = transfer(network, CONTENT, STYLE, settings(start="noise"))
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.shape == CONTENT.shape
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_same_seed_gives_the_same_picture(network: Any) -> None:
    first, again = (transfer(network, CONTENT, STYLE, settings(start="noise", seed=4))[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_correlations_do_not_depend_on_where_things_are() -> None:
    x = torch.randn(1, 3, 4, 6)
    torch.testing.assert_close(gram(x), gram(x.roll((1, 2), dims=(2, 3))))
    torch.testing.assert_close(gram(torch.cat([x, x])), gram(x))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_pictures_are_read_back_to_a_step_of_eight_bits(bits: Any) -> None:
    values = np.random.default_rng(1).exponential(size=(12, 22))
    codec = Codec.fit(values, bits=bits).model_copy(update={"down": 3, "across": 4})
    colours = as_colours(codec, codec.encode(values))
    assert colours.shape == (1, 3, 3 * 12, 4 * 10)
    read = variables_of(codec, colours, 12)
    for i, item in enumerate((*codec.rows, *codec.columns)):
        assert np.abs(item.forward(read[:, i]) - item.forward(values[:, i])).max() < 1 / 250
    assert as_bytes(colours).shape == (1, 36, 40, 3)


def test_a_trained_network_tells_biased_pictures() -> None:
    _, training = features_of(
        FeatureSettings.parse({**SMALL, "weights": "trained", "steps": 150}), CONTENT, STYLE, block=BLOCK, seed=1
    )
    assert training is not None
    assert training.accuracy > 0.8


def saved(folder: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    file = folder / "weights.safetensors"
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, file)
    return file


GOOD = {
    "features.0.weight": (6, 3, 3, 3), "features.0.bias": (6,), "features.10.weight": (8, 6, 3, 3),
    "features.10.bias": (8,), "head.weight": (2, 8),
}  # fmt: skip


def test_weights_of_a_file_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    chosen = FeatureSettings.parse({**SMALL, "weights": "file", "file": saved(tmp_path, GOOD)})
    network, training = features_of(chosen, CONTENT, STYLE, block=BLOCK, seed=1)
    assert training is None
    assert [tuple(layer.weight.shape) for layer in network.filters] == [(6, 3, 3, 3), (8, 6, 3, 3)]


BAD = {
    "another shape": ({**GOOD, "features.10.weight": (8, 5, 3, 3)}, r"\(6, 3, 3, 3\), \(8, 5, 3, 3\), the weights of"),
    "too few layers": ({k: v for k, v in GOOD.items() if ".10." not in k}, "set widths and depths"),
    "no bias": ({k: v for k, v in GOOD.items() if "bias" not in k}, "shapes none, the biases of"),
}


@pytest.mark.parametrize("case", BAD)
def test_weights_of_another_network_are_refused(tmp_path: Path, case: str) -> None:
    shapes, message = BAD[case]
    chosen = FeatureSettings.parse({**SMALL, "weights": "file", "file": saved(tmp_path, shapes)})
    with pytest.raises(ModelFileError, match=message):
        features_of(chosen, CONTENT, STYLE, block=BLOCK, seed=1)


@pytest.mark.parametrize("content", [None, b"hello"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "weights.pt"
    if content is not None:
        file.write_bytes(content)
    chosen = FeatureSettings.parse({**SMALL, "weights": "file", "file": file})
    with pytest.raises(ModelFileError, match="cannot be read as safetensors"):
        features_of(chosen, CONTENT, STYLE, block=BLOCK, seed=1)


MISTAKES: list[tuple[Any, Any, str]] = [
    (FeatureSettings, {"weights": "file"}, "give file"),
    (FeatureSettings, {"file": "x.safetensors"}, "give file"),
    (FeatureSettings, {"widths": [4, 8], "depths": [1]}, "one of each per block"),
    (FeatureSettings, {"weights": "downloaded"}, "weights"),
    (TransferSettings, {"ratio": "20:70"}, "adds up to 100"),
    (TransferSettings, {"ratio": "much"}, "write 20:80"),
    (Layers, {"style": ["conv1_1", "conv1_1"]}, "named twice"),
]


@pytest.mark.parametrize(("kind", "values", "message"), MISTAKES)
def test_impossible_settings_are_refused_in_one_line(kind: Any, values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind.parse(values)


def test_a_ratio_is_written_as_it_was_read() -> None:
    assert str(Ratio.parse("30:70")) == "30:70"
