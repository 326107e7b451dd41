"""From features to what a model sees: logarithms, absolute values, scaling, and a fill value for what is missing.

Everything is fitted on training background only and saved with the model: neither signal nor data move a scale. Fitting
passes once over the events, block by block, so that they need not fit in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, ModelFileError, NotFittedError, TrainingError, suggest
from anomalon.features.contract import Features
from anomalon.scaling import (
    ABSOLUTE_VALUE,
    CURVED,
    LINEAR,
    LOG,
    UNTOUCHED_VALUE,
    Seen,
    shift_and_scale,
    treat_and_scale,
)

LOGARITHMIC = ("*pt", "*mass", "m_*", "mT*", "HT", "LT", "ST", "MET")
"""Names that are energies: steeply falling over orders of magnitude, so their logarithm is learned."""
ABSOLUTE = ("*dphi*", "*delta_phi*")
"""Names that are azimuthal differences: only their size means something, the sign is a convention."""
UNTOUCHED = ("channel_*",)
"""Names that are flags: 0 and 1 already are a scale, and a rare flag divided by its small width would explode."""

_NO_EVENTS = "no events to fit the preprocessing on: the training background is empty"
_LARGEST_LOGARITHM = np.log(1e5)
"""No energy of a collision is above 100 TeV: a network that extrapolates further must not overflow."""

Treatment = Literal["log", "absolute", "linear", "untouched"]
_CODES: dict[Treatment, int] = {"linear": LINEAR, "log": LOG, "absolute": ABSOLUTE_VALUE, "untouched": UNTOUCHED_VALUE}
Patterns = tuple[str, ...]
Floats = npt.NDArray[np.float64]


class PreprocessingSettings(Settings):
    """How features become inputs. Columns are names or patterns such as ``lep*_pt``.

    Attributes:
        inputs: columns that the model sees, in this order; all of them by default.
        log: columns of which log(1 + x) is taken.
        absolute: columns of which the absolute value is taken.
        untouched: columns that are never scaled.
        standardise: whether to subtract the weighted mean and divide by the weighted standard deviation.
        fill: input where a value is missing, after scaling; null leaves NaN, for models that can take it.
        clip: largest absolute input: a guard against overflow, far beyond any physics.
        mode: ``raw`` passes values on in their own units (GeV), whatever the other keys say, and only fills and clips.
            ``minmax`` scales them, without logarithms, so that the training background fills 0 to 1 (Frette 2023).
    """

    inputs: Patterns | None = Field(default=None, min_length=1)
    log: Patterns = LOGARITHMIC
    absolute: Patterns = ABSOLUTE
    untouched: Patterns = UNTOUCHED
    standardise: bool = True
    fill: float | None = 0.0
    clip: float = Field(default=1e6, gt=0)
    mode: Literal["standard", "raw", "minmax"] = "standard"

    def treatment(self, name: str) -> Treatment:
        """What is done to a column.

        >>> settings = PreprocessingSettings()
        >>> [settings.treatment(n) for n in ("MET_pt", "A_Dr_Z", "dphi_W_MET", "channel_A")]
        ['log', 'linear', 'absolute', 'untouched']
        """
        if self.mode == "minmax":
            return "linear"
        if self.mode == "raw" or _matches(name, self.untouched):
            return "untouched"
        if _matches(name, self.absolute):
            return "absolute"
        return "log" if _matches(name, self.log) else "linear"


class _Fitted(Settings):
    """What was learned from the training background, one entry per input.

    ``spread`` is in the column's own unit, ``highest`` the largest input.
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    spread: tuple[float, ...]
    highest: tuple[float, ...]


class Preprocessing:
    """Features -> inputs, float32 (event, input), finite for every usable event.

    Args:
        settings: what is done to which column.

    >>> values = np.array([[20.0], [50.0], [90.0]], dtype=np.float32)
    >>> features = Features(values, np.ones((3, 1), dtype=bool), ("MET_pt",))
    >>> inputs = Preprocessing().fit(features).transform(features)
    >>> abs(float(inputs.mean())) < 1e-6, abs(float(inputs.std()) - 1) < 1e-6
    (True, True)
    """

    def __init__(self, settings: PreprocessingSettings | None = None) -> None:
        self.settings = settings or PreprocessingSettings()
        self._fitted: _Fitted | None = None
        self._treatments: tuple[tuple[str, ...], npt.NDArray[np.int8]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return self._state().names

    def fit(self, features: Features, weights: npt.ArrayLike | None = None) -> Self:
        """Learn centre and scale of every input from training background, weighted with |weight|.

        Raises:
            TrainingError: there are no events, or a present value is NaN or infinite.
            ConfigError: a configured input is not among the features.
        """
        return self.fit_blocks([(features, weights)])

    def fit_blocks(self, blocks: Iterable[tuple[Features, npt.ArrayLike | None]]) -> Self:
        """The same from (features, weights) of one block of events after the other; one pass.

        Raises:
            TrainingError: as :meth:`fit`.
            ConfigError: as :meth:`fit`.
        """
        seen: Seen | None = None
        for features, weights in blocks:
            chosen = self.select(features)
            _check(chosen)
            w = np.ones(len(chosen)) if weights is None else np.abs(np.asarray(weights, dtype=np.float64))
            part = Seen.of(chosen, w, self._codes(chosen.names))
            seen = part if seen is None else seen.joined(part)
        if seen is None:
            raise TrainingError(_NO_EVENTS)
        self._fitted = self._scales(seen)
        return self

    def transform(self, features: Features) -> npt.NDArray[np.float32]:
        """Inputs (event, input); NaN where a present value is not finite, and where it is missing if ``fill`` is null.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            UnknownNameError: an input is not among the features.
        """
        state = self._state()
        chosen = features.select(state.names)
        inputs = np.empty(chosen.values.shape, dtype=np.float32)
        codes, clip = self._codes(state.names), self.settings.clip
        centre, scale = np.asarray(state.centre), np.asarray(state.scale)
        if chosen.complete and not np.isin(codes, CURVED).any():
            shift_and_scale(chosen.values, centre, 1.0 / scale, clip, inputs)
        else:
            fill = math.nan if self.settings.fill is None else self.settings.fill
            treat_and_scale(chosen.values, chosen.mask, codes, np.stack([centre, scale]), (clip, fill), inputs)
        return inputs

    def within_training(self, inputs: npt.ArrayLike) -> Floats:
        """Inputs (event, input) with those above the largest of the training background lowered to it."""
        lowered: Floats = np.minimum(np.asarray(inputs, dtype=np.float64), np.asarray(self._state().highest))
        return lowered

    def without_logarithms(self, inputs: npt.ArrayLike) -> Floats:
        """Inputs (event, input) with their logarithms undone, in units of the background's spread in GeV.

        Inputs that are no logarithm are returned as they are.
        """
        state, x = self._state(), np.asarray(inputs, dtype=np.float64)
        logs = np.asarray([self.settings.treatment(name) == "log" for name in state.names])
        exponent = np.clip(x * np.asarray(state.scale) + np.asarray(state.centre), 0.0, _LARGEST_LOGARITHM)
        return np.where(logs, np.expm1(exponent) / np.asarray(state.spread), x)

    def log_slopes(self, features: Features, *, of_logarithms: bool = True) -> Floats:
        """Logarithm of |d input / d feature|, (event, input): a density of inputs times it is one of features.

        Args:
            features: any; 0 where a value is missing.
            of_logarithms: whether features are meant, and not log(1 + feature) where an input is a logarithm.
        """
        state = self._state()
        chosen = features.select(state.names)
        slopes = np.broadcast_to(-np.log(np.asarray(state.scale)), chosen.values.shape).copy()
        for k, name in enumerate(state.names):
            if of_logarithms and self.settings.treatment(name) == "log":
                slopes[:, k] -= np.log1p(np.maximum(chosen.values[:, k].astype(np.float64), 0.0))
        return np.where(chosen.mask, slopes, 0.0)

    def select(self, features: Features) -> Features:
        """Keep the columns that the settings name.

        Raises:
            ConfigError: a name or pattern matches no column.
        """
        if self.settings.inputs is None:
            return features
        return features.select(expand(self.settings.inputs, features.names))

    def to_dict(self) -> dict[str, Any]:
        """Settings and fitted state as plain values for JSON."""
        return {"settings": self.settings.model_dump(mode="json"), "fitted": self._state().model_dump(mode="json")}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Rebuild what :meth:`to_dict` gave.

        Raises:
            ModelFileError: the values are not those of a preprocessing.
        """
        try:
            made = cls(PreprocessingSettings.parse(values["settings"], where="preprocessing.settings"))
            made._fitted = _Fitted.parse(values["fitted"], where="preprocessing.fitted")
        except (ConfigError, KeyError, TypeError) as error:
            raise ModelFileError(f"saved preprocessing is damaged: {error}") from None
        state = made._fitted
        if {len(x) for x in (state.centre, state.scale, state.spread, state.highest)} != {len(made.names)}:
            raise ModelFileError("saved preprocessing is damaged: names, centres and scales differ in number")
        return made

    def _state(self) -> _Fitted:
        if self._fitted is None:
            raise NotFittedError("preprocessing is not fitted: call fit(training background) first")
        return self._fitted

    def _codes(self, names: tuple[str, ...]) -> npt.NDArray[np.int8]:
        """What is done to each column, as numbers that compiled loops understand."""
        if self._treatments is None or self._treatments[0] != names:
            codes = np.asarray([_CODES[self.settings.treatment(name)] for name in names], dtype=np.int8)
            self._treatments = (names, codes)
        return self._treatments[1]

    def _scales(self, seen: Seen) -> _Fitted:
        """Centre and scale of every input; a constant column has scale 1, a column without values centre 0."""
        s, codes = self.settings, self._codes(seen.names)
        if s.mode == "minmax":
            empty = ~seen.present
            centre = np.where(empty, 0.0, seen.lowest)
            width = np.where(empty, 0.0, seen.highest - seen.lowest)
            scale = np.where(width > 1e-6 * np.maximum(1.0, np.abs(centre)), width, 1.0)
        else:
            fixed = (codes == _CODES["untouched"]) | (not s.standardise)
            centre, scale = (np.where(fixed, plain, x) for plain, x in zip((0.0, 1.0), seen.moments(0), strict=True))
        top = np.where(seen.present, np.clip((seen.highest - centre) / scale, -s.clip, s.clip), 0.0)
        filled = np.where(seen.missing, s.fill or 0.0, 0.0)
        highest = np.maximum(np.maximum(top.astype(np.float32), filled), 0.0)
        fixed = np.asarray([s.treatment(name) == "untouched" or not s.standardise for name in seen.names])
        spread = np.where(fixed, 1.0, seen.moments(1)[1])
        columns = {"centre": centre, "scale": scale, "spread": spread, "highest": highest}
        return _Fitted(names=seen.names, **{name: tuple(map(float, values)) for name, values in columns.items()})


def expand(patterns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names that patterns stand for, each once, in the order of the patterns.

    Raises:
        ConfigError: a pattern matches no name; the message suggests near ones.

    >>> expand(["MET_pt", "lep*"], ["lep1_pt", "lep2_pt", "MET_pt"])
    ('MET_pt', 'lep1_pt', 'lep2_pt')
    """
    found: list[str] = []
    for pattern in patterns:
        hits = [name for name in names if fnmatchcase(name, pattern)]
        if not hits:
            raise ConfigError(f"inputs: no feature '{pattern}'; {suggest(pattern, names)}")
        found += hits
    return tuple(dict.fromkeys(found))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check(features: Features) -> None:
    if not len(features):
        raise TrainingError(_NO_EVENTS)
    broken = features.not_finite()
    if broken:
        counts = ", ".join(f"{name}: {n}" for name, n in broken.items())
        raise TrainingError(
            f"values that are NaN or infinite among {len(features)} training events ({counts}): "
            "leave those events out (Features.usable())"
        )
