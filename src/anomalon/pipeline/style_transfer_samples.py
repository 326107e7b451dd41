"""The samples of a style transfer: what is drawn, what gives the style, and the truth that it should reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.distortions import Distortions, distort
from anomalon.errors import ConfigError, EmptySelectionError
from anomalon.events import Events
from anomalon.generation.flatten import unweighted
from anomalon.metrics.two_sample import FEWEST
from anomalon.pipeline.calibration import read_events
from anomalon.pipeline.style_transfer_tables import Truth
from anomalon.style.codec import ACROSS, DOWN, Bits, Codec
from anomalon.style.colours import as_colours, variables_of
from anomalon.style.maps import Values
from anomalon.style.objects import Freedom
from anomalon.style.picture_variables import PRIMARY, SECONDARY, drawable, picture_variables
from anomalon.style.picture_weights import Pictures
from anomalon.style.registry import calibrator

NAMES = (*PRIMARY, *SECONDARY)


class SampleSettings(Settings):
    """What is drawn, and how.

    Attributes:
        source, target: stores or files; different events of one process.
        distortions: put on the target by hand, so that the truth is known.
        pt_min: cut on the pT of both b-jets in GeV, behind the distortions.
        bits, map: of the pictures, as in ``anomalon style images``.
        mosaics: pictures of content, and as many of style.
        down, across: blocks of a mosaic.
        calibrator: a calibration beside the transfer, with its ``kind``; null leaves it out.
        seed: of distortions, networks, noise and tests.
    """

    source: tuple[str, ...] = Field(min_length=1)
    target: tuple[str, ...] = Field(min_length=1)
    distortions: Distortions = ()
    pt_min: float = Field(default=20.0, ge=0)
    bits: Bits = 12
    map: Literal["rank", "log"] = "rank"
    mosaics: int = Field(default=1, ge=1)
    down: int = Field(default=DOWN, ge=1)
    across: int = Field(default=ACROSS, ge=1)
    calibrator: dict[str, Any] | None = Field(default_factory=lambda: {"kind": "response"})
    seed: int = Field(default=1, ge=0)

    @field_validator("calibrator")
    @classmethod
    def _a_known_one(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:
        if values is not None:
            calibrator(values, where="calibrator")
        return values

    @property
    def selection(self) -> Freedom:
        """The cut: two b-jets above ``pt_min``."""
        return Freedom(objects="bjets", pt_min=self.pt_min, at_least=2)

    @property
    def drawn(self) -> int:
        """Events in the pictures of content."""
        return self.mosaics * self.down * self.across


@dataclass(frozen=True)
class Drawn:
    """Pictures and variables.

    Attributes:
        codec: of the pictures.
        content, style: pictures, colours from 0 to 1, shape (mosaic, 3, height, width).
        n_events: in the content, and in the style.
        every: variables (event, variable) of all events of the pictures, place by place: ``source``, ``style``, read
            from the pictures, and ``calibrated``, those of the source after a calibration, where there is one, NaN
            where that has lost what is drawn.
        behind: variables behind the cut: ``source``, ``calibrated``, ``style``, ``target``, of other events than those
            of the style pictures, and ``twins``, of those of the source truly distorted, where there is a truth.
        truth: by which they are judged.
    """

    codec: Codec
    content: Pictures
    style: Pictures
    n_events: int
    every: Mapping[str, Values]
    behind: Mapping[str, Values]
    truth: Truth

    @classmethod
    def of(cls, settings: SampleSettings) -> Self:
        """Read, distort, cut and draw the events.

        Raises:
            EmptySelectionError: there are too few events for the mosaics and the tests.
        """
        raw, others = (unweighted(read_events(files), settings.seed) for files in (settings.source, settings.target))
        target = settings.selection.selected(distort(others, settings.distortions, seed=settings.seed))
        n = settings.drawn
        events = _first(raw, "source", n, settings)[:n]
        content = picture_variables(events)
        biased = picture_variables(_first(target, "target", n + FEWEST, settings))
        codec = _codec(np.concatenate([content, biased[:n]]), settings)
        drawn, styled = (as_colours(codec, codec.encode(values)) for values in (content, biased[:n]))
        every = {"source": content, "style": variables_of(codec, styled, n)}
        behind = {"source": _behind(events, settings), "style": behind_cut(every["style"], settings.pt_min)}
        behind |= {"target": biased[n:], **_twins(events, settings)}
        if settings.calibrator is not None:
            calibrated = _calibrated(raw, target, events, settings)
            every["calibrated"], behind["calibrated"] = _placed(calibrated), _behind(calibrated, settings)
        known = {name: behind[name] for name in ("source", "twins")} if "twins" in behind else {}
        truth = Truth(NAMES, behind["target"], known, content=content, style=every["style"], seed=settings.seed)
        return cls(codec, drawn, styled, n_events=n, every=every, behind=behind, truth=truth)


def behind_cut(values: Values, pt_min: float) -> Values:
    """Rows of variables (event, variable) whose b-jets are both above the cut."""
    both = np.minimum(values[:, NAMES.index("b1.pt")], values[:, NAMES.index("b2.pt")])
    return values[both >= pt_min]


def _first(events: Events, name: str, at_least: int, settings: SampleSettings) -> Events:
    chosen = events[np.flatnonzero(drawable(events))]
    if len(chosen) < at_least:
        tested = f" and {FEWEST} more for the tests" if name == "target" else ""
        raise EmptySelectionError(
            f"{name}: {len(chosen)} events with two leptons and two b-jets, {settings.mosaics} mosaics of "
            f"{settings.down} x {settings.across} need {settings.drawn}{tested}; simulate more, or lower pt_min"
        )
    return chosen


def _codec(values: Values, settings: SampleSettings) -> Codec:
    codec = Codec.fit(values, bits=settings.bits, kind=settings.map)
    return codec.model_copy(update={"down": settings.down, "across": settings.across})


def _behind(events: Events, settings: SampleSettings) -> Values:
    kept = settings.selection.selected(events)
    return picture_variables(kept[np.flatnonzero(drawable(kept))])


def _placed(events: Events) -> Values:
    """Variables of all events, NaN for those that can no longer be drawn."""
    there = np.flatnonzero(drawable(events))
    values = np.full((len(events), len(NAMES)), np.nan)
    values[there] = picture_variables(events[there])
    return values


def _twins(events: Events, settings: SampleSettings) -> dict[str, Values]:
    if not settings.distortions:
        return {}
    return {"twins": _behind(distort(events, settings.distortions, seed=settings.seed + 1), settings)}


def _calibrated(raw: Events, target: Events, events: Events, settings: SampleSettings) -> Events:
    """Events of the pictures after a calibration that was fitted on all of them."""
    common = {"freedom": settings.selection.model_dump(), "seed": settings.seed, **(settings.calibrator or {})}
    calibrated = calibrator(common, where="calibrator").fit(raw, target).transform(events)
    if not np.array_equal(calibrated.weights(None), events.weights(None)):
        raise ConfigError(
            f"calibrator: {common['kind']} gives events a weight, which no picture has; take one that moves objects"
        )
    return calibrated
