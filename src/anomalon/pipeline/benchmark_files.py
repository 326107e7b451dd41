"""A benchmark's channels from real Dark Machines files instead of simulation: one configuration runs on either.

A channel names its files by patterns, ``files: {background: "**/background_chan1_*.csv", signals: "**/*_chan1.csv"}``;
a folder of real files, given when the benchmark is started, takes the place of the samples. A channel that finds no
background there is left out.

The background of a channel is one file, whatever number of processes it holds. Its name ends in the luminosity in fb^-1
that its lines stand for, ``background_chan1_7.79.csv``, so that its cross section is the sum of its weights over that;
the weights of a signal sum to its cross section in fb after the channel's cuts. Ref: arXiv:2105.14027, section 2.2.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from anomalon.config import Settings
from anomalon.errors import ConfigError
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.sample_configuration import SAFE_NAME
from anomalon.sources import open_source

PB = 1e-3
"""In fb^-1: a femtobarn is a thousandth of a picobarn."""
_LUMINOSITY = re.compile(r"_(\d+(?:\.\d+)?)\.csv(?:\.gz)?$")
_ENDING = re.compile(r"(_chan\w+)?\.csv(\.gz)?$")


class FilePatterns(Settings):
    """Patterns below the folder of real files, as of ``Path.glob``; what is background is never a signal."""

    background: str
    signals: str


def with_files(config: BenchmarkConfig, folder: Path) -> BenchmarkConfig:
    """The same benchmark on the real files in a folder.

    Signals that the configuration names and no file has are dropped from its lists; those that only the files have are
    judged on.

    Raises:
        ConfigError: the folder has no file that a channel asks for.
    """
    channels: dict[str, Any] = {}
    for name, keys in config.channels.items():
        samples = _samples(name, keys, folder)
        if samples:
            channels[name] = {**{k: v for k, v in keys.items() if k != "files"}, "samples": samples}
    if not channels:
        patterns = [str(keys["files"].get("background")) for keys in config.channels.values() if "files" in keys]
        wanted = ", ".join(patterns) if patterns else "none: no channel has the key files"
        raise ConfigError(f"{folder}: no real file for any channel; patterns of the channels: {wanted}")
    signals = {s["name"] for keys in channels.values() for s in keys["samples"] if s["role"] == "signal"}
    values = config.model_dump(mode="json")
    backgrounds = {s["name"] for keys in channels.values() for s in keys["samples"]} - signals
    return BenchmarkConfig.parse(
        {
            **values,
            "channels": channels,
            "choose_on": [s for s in config.choose_on if s in signals],
            "judge_on": None,
            "leave_out": [s for s in config.leave_out if s in backgrounds],
        },
        where=str(folder),
    )


def _samples(channel: str, keys: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Samples of a channel; none where it asks for no files, or its background is not there."""
    if "files" not in keys:
        return []
    patterns = FilePatterns.parse(keys["files"], where=f"channels.{channel}.files")
    backgrounds = sorted(folder.glob(patterns.background))
    if not backgrounds:
        return []
    signals = [path for path in sorted(folder.glob(patterns.signals)) if path not in backgrounds]
    found = [_background(path, number) for number, path in enumerate(backgrounds)]
    return found + [_signal(path) for path in signals]


def _background(path: Path, number: int) -> dict[str, Any]:
    match = _LUMINOSITY.search(path.name)
    if match is None:
        raise ConfigError(
            f"{path}: its name does not end in the luminosity of its lines in fb^-1, as background_chan1_7.79.csv "
            "does; rename it"
        )
    name = "background" if number == 0 else f"background-{number + 1}"
    sigma = _weights(path) / float(match[1]) * PB
    return {"name": name, "role": "background", "files": [str(path)], "cross_section_pb": sigma}


def _signal(path: Path) -> dict[str, Any]:
    name = _ENDING.sub("", path.name)
    if not SAFE_NAME.fullmatch(name):
        raise ConfigError(f"{path}: '{name}' is no name for a sample: letters, digits and . _ + - are; rename the file")
    return {"name": name, "role": "signal", "files": [str(path)], "cross_section_pb": _weights(path) * PB}


def _weights(path: Path) -> float:
    """Sum of the weights of a file."""
    total = sum(sample.sum_gen_weights or 0.0 for sample in open_source(path).info().samples)
    if not total > 0:
        raise ConfigError(f"{path}: its weights sum to {total:g}, no cross section")
    return total
