"""Channels as a workspace of pyhf: the JSON form of a HistFactory likelihood, which other programs read as well.

- The signal has the free strength ``mu``.
- A norm is a ``normsys``. A shape is split: the change of the yield becomes a ``normsys`` (exponential, so that no
  yield turns negative) and the change of the distribution at fixed yield a ``histosys``, both with one parameter.
- Factors beyond 10 are cut there, which is as good as no constraint.
- The statistical errors of all backgrounds of a bin have one scale factor (Barlow-Beeston lite, ``staterror``); those
  of the signal have their own, for with a common one a signal with a large cross section would blur the background.
- Names of systematics are shared between processes and channels: the same name is the same parameter.

Ref: arXiv:1007.1727; Cranmer et al., CERN-OPEN-2012-016; Barlow, Beeston, Comput. Phys. Commun. 77 (1993) 219.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, MissingExtraError, suggest
from anomalon.likelihood.mending import check_channels
from anomalon.likelihood.model import read_likelihood
from anomalon.likelihood.templates import Channel, Template

Floats = npt.NDArray[np.float64]

POI = "mu"
BLINDED = "blinded: the observations are the expected background"
UNBLINDED = "observed"
_LARGEST_FACTOR = 10.0
_AGREEMENT = 1e-5
"""Largest difference of -ln L between pyhf and the likelihood that is fitted, relative to 1 + its value."""
_DIGITS = 1e-9
"""Of the counts: pyhf adds logarithms of large numbers, which leaves it few digits for billions of events."""


class WorkspaceSettings(Settings):
    """What enters a likelihood.

    Attributes:
        largest_mc_error: relative statistical error of the background above which a bin is merged with its neighbour.
        negligible: changes of a yield up to this fraction are left out.
        noise: a change of a distribution is left out where it stays, in every bin and in both directions, below this
            many statistical errors of its process: nothing tells it from chance.
    """

    largest_mc_error: float = Field(default=1.0, gt=0)
    negligible: float = Field(default=1e-4, ge=0)
    noise: float = Field(default=0.2, ge=0)


class Workspace(Settings):
    """A likelihood that other programs read, and what was changed to make it.

    Attributes:
        specification: of pyhf, plain JSON.
        notes: what was merged, set to 0, mirrored or left out, in words.
        blinded: whether the observations are the expected background, for there are no data or they are blinded.
    """

    specification: dict[str, Any]
    notes: tuple[str, ...] = ()
    blinded: bool = True


def make_workspace(
    channels: Sequence[Channel], signal: str, settings: WorkspaceSettings | None = None
) -> dict[str, Any]:
    """The workspace of one signal, checked against the schema of pyhf and against its likelihood.

    Where a channel has no observed events, the observations of all are the expected background, and the name of the
    measurement begins with "blinded".

    Args:
        channels: with disjoint events.
        signal: process of the signal.
        settings: what enters.

    Raises:
        ConfigError: no channel has that signal, or a name is used twice.
        InvalidEventsError: a template is not finite or has the wrong number of bins.
        MissingExtraError: pyhf is not installed.

    >>> b = Template("ttbar", "background", np.array([50.0]), np.array([2.0]), norms={"luminosity": (0.98, 1.02)})
    >>> s = Template("Z'", "signal", np.array([5.0]), np.array([0.1]))
    >>> workspace = make_workspace([Channel("R1", "MET", np.array([0.0, 100.0]), (b, s))], "Z'")
    >>> workspace["observations"]
    [{'name': 'R1', 'data': [50.0]}]
    """
    return describe_workspace(channels, signal, settings).specification


def describe_workspace(
    channels: Sequence[Channel], signal: str, settings: WorkspaceSettings | None = None
) -> Workspace:
    """As :func:`make_workspace`, with notes on what was changed."""
    settings = settings or WorkspaceSettings()
    known = {t.process for channel in channels for t in channel.templates if t.role == "signal"}
    if signal not in known:
        raise ConfigError(f"signal '{signal}' is in no channel; {suggest(signal, known)}")
    mended, told = check_channels(channels, signal, largest_mc_error=settings.largest_mc_error)
    notes = list(told)
    blinded = any(channel.observed is None for channel in mended)
    if blinded and any(channel.observed is not None for channel in mended):
        hidden = ", ".join(channel.name for channel in mended if channel.observed is None)
        notes.append(f"{hidden}: no observed events, so that those of the other channels are not used either")
    specification = {
        "version": "1.0.0",
        "channels": [
            {"name": c.name, "samples": [_sample(c, t, settings, notes) for t in _ordered(c)]} for c in mended
        ],
        "observations": [
            {"name": c.name, "data": [float(n) for n in (c.background if blinded else c.observed)]}  # type: ignore[union-attr]
            for c in mended
        ],
        "measurements": [
            {
                "name": BLINDED if blinded else UNBLINDED,
                "config": {
                    "poi": POI,
                    "parameters": [{"name": POI, "inits": [1.0], "bounds": [[0.0, _reach(mended)]]}],
                },
            }
        ],
    }
    _check_against_pyhf(specification)
    return Workspace(specification=specification, notes=tuple(dict.fromkeys(notes)), blinded=blinded)


def _ordered(channel: Channel) -> list[Template]:
    """Backgrounds first; a channel without any gets an empty one, for a sample has to be there at mu = 0."""
    zero = np.zeros(len(channel.edges) - 1)
    signals = [t for t in channel.templates if t.role == "signal"]
    return [*(channel.backgrounds or (Template("no background", "background", zero, zero),)), *signals]


def _reach(channels: Sequence[Channel]) -> float:
    """Upper bound of the signal strength, a power of ten well above the limits to expect."""
    information = sum(
        float((t.values**2 / np.maximum(c.background + c.background_error**2 + t.values, 1e-300)).sum())
        for c in channels
        for t in c.templates
        if t.role == "signal"
    )
    return float(10.0 ** max(1.0, np.ceil(np.log10(30.0 / np.sqrt(information))))) if information > 0 else 10.0


def _sample(channel: Channel, template: Template, settings: WorkspaceSettings, notes: list[str]) -> dict[str, Any]:
    is_signal = template.role == "signal"
    modifiers: list[dict[str, Any]] = [{"name": POI, "type": "normfactor", "data": None}] if is_signal else []
    name = f"{'signal_' if is_signal else ''}mcstat_{channel.name}"
    modifiers.append({"name": name, "type": "staterror", "data": template.errors.tolist()})
    factors: dict[str, list[tuple[float, float]]] = {}
    for systematic, factor in template.norms.items():
        factors.setdefault(systematic, []).append(_usable_factors(*factor))
    where = f"{template.process} in {channel.name}"
    for systematic, sides in template.shapes.items():
        norm, shape, note = _split(template, sides, settings)
        notes += [f"{systematic} of {where}: {note}"] if note else []
        factors.setdefault(systematic, []).append(norm)
        if shape is not None:
            data = {"lo_data": shape[0].tolist(), "hi_data": shape[1].tolist()}
            modifiers.append({"name": systematic, "type": "histosys", "data": data})
    for systematic, several in factors.items():
        lo, hi = np.prod(several, axis=0)
        if max(hi, 1 / hi, lo, 1 / lo) > _LARGEST_FACTOR * (1 + 1e-9):
            notes.append(f"{systematic} of {where}: factors {lo:.3g} and {hi:.3g}, cut at {_LARGEST_FACTOR:g}")
        lo, hi = np.clip((lo, hi), 1 / _LARGEST_FACTOR, _LARGEST_FACTOR)
        if max(abs(lo - 1), abs(hi - 1)) > settings.negligible:
            modifiers.append({"name": systematic, "type": "normsys", "data": {"lo": float(lo), "hi": float(hi)}})
    return {"name": template.process, "data": template.values.tolist(), "modifiers": modifiers}


def _usable_factors(down: float, up: float) -> tuple[float, float]:
    """Both above 0 and on either side of 1; else the one further from 1 counts, and the other is its inverse."""
    if down > 0 and up > 0 and (down - 1.0) * (up - 1.0) < 0:
        return down, up
    logs = [np.log(x) if x > 0 else 0.0 for x in (down, up)]
    i = int(np.argmax(np.abs(logs)))
    ratio = float(np.exp(logs[i]))
    return (ratio, 1 / ratio) if i == 0 else (1 / ratio, ratio)


def _split(
    template: Template, sides: tuple[Floats, Floats], settings: WorkspaceSettings
) -> tuple[tuple[float, float], tuple[Floats, Floats] | None, str]:
    """Factors of the yield, the distributions down and up at the nominal yield or None, and a note."""
    nominal, total = template.values, float(template.values.sum())
    if total <= 0:
        return (1.0, 1.0), None, "left out, there is nothing to vary"
    ratios = [float(np.sum(side)) / total for side in sides]
    factors = _usable_factors(*ratios)
    told = (
        []
        if np.allclose(factors, ratios, rtol=1e-9)
        else ["both sides change the yield alike or one does not: mirrored"]
    )
    changes = [
        np.asarray(side) / ratio - nominal if ratio > 0 else -nominal for side, ratio in zip(sides, ratios, strict=True)
    ]
    down, up = _opposite(*changes)
    size = np.maximum(np.abs(down), np.abs(up))
    if (size <= settings.noise * template.errors + 1e-9 * total).all():
        if size.max() > 1e-9 * total:
            told.append(f"its shape is left out, no bin moves by {settings.noise:g} statistical errors")
        elif max(abs(f - 1) for f in factors) <= settings.negligible:
            told.append("left out, it changes nothing")
        return factors, None, "; ".join(told)
    return factors, (np.maximum(nominal + down, 0.0), np.maximum(nominal + up, 0.0)), "; ".join(told)


def _opposite(down: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Changes of a bin in the same direction, or on one side only, become the larger one in both directions."""
    alike = down * up >= 0
    size = np.where(np.abs(up) >= np.abs(down), up, -down)
    return np.where(alike, -size, down), np.where(alike, size, up)


def load_pyhf() -> Any:
    """Import pyhf.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("pyhf")
    except ImportError:
        raise MissingExtraError('likelihoods need pyhf, which is missing: pip install "anomalon[stats]"') from None


def pyhf_model(specification: Mapping[str, Any]) -> tuple[Any, Floats]:
    """Model of pyhf, with its default interpolations as in HistFactory's JSON, and its data."""
    pyhf = load_pyhf()
    codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jsonschema, which pyhf calls in its old way
        workspace = pyhf.Workspace(specification)
        model = workspace.model(modifier_settings=codes)
    return model, np.asarray(workspace.data(model), dtype=np.float64)


def _check_against_pyhf(specification: dict[str, Any]) -> None:
    """Check the schema, and at some points that pyhf's likelihood is the one that is fitted here.

    Raises:
        ConfigError: they differ.
    """
    pyhf = load_pyhf()
    backend, optimizer = pyhf.get_backend()
    try:
        pyhf.set_backend("numpy", precision="64b")
        differences = list(_differences(specification))
    finally:
        pyhf.set_backend(backend, optimizer)
    if not max(differences) < _AGREEMENT:
        raise ConfigError(
            f"-ln L of pyhf differs by {max(differences):.2g} from the one fitted: look for templates that are "
            "extremely large, small or steep in the channels, and leave those out"
        )


def _differences(specification: dict[str, Any]) -> Iterator[float]:
    """Relative differences of -ln L, less its value at the first point."""
    model, data = pyhf_model(specification)
    ours = read_likelihood(specification)
    observed = ours.data(ours.observed[None])
    theta = ours.start(4, mu=np.array([1.0, 0.5, 0.7, 2.0]))
    theta[1:, 1:] = 0.4 * np.sin(np.arange(1, 4)[:, None] * np.arange(1.0, theta.shape[1]))
    theta = theta[np.isfinite(ours.nll(theta, observed.repeat(4)))]
    points = ours.point(theta, observed.repeat(len(theta)))
    first = None
    for values, nll, gammas in zip(theta, points.nll, points.gammas, strict=True):
        theirs = -float(
            np.asarray(model.logpdf(pyhf_parameters(model, ours.parameters, values, gammas, ours.bins), data)).item()
        )
        first = theirs - nll if first is None else first
        yield abs(theirs - nll - first) / (1.0 + abs(nll) + _DIGITS * ours.observed.sum())


def pyhf_parameters(
    model: Any, names: Sequence[str], theta: Floats, gammas: Floats, bins: Sequence[tuple[str, int]]
) -> Floats:
    """Parameters in the order of a model of pyhf: theta of shape (parameter,) and gammas of shape (2, bin)."""
    values = np.asarray(model.config.suggested_init(), dtype=np.float64)
    channel = np.asarray([name for name, _ in bins])
    for name in model.config.par_order:
        place = model.config.par_slice(name)
        if name in names:
            values[place] = theta[list(names).index(name)]
        else:
            is_signal = name.startswith("signal_mcstat_")
            of = name.removeprefix("signal_mcstat_" if is_signal else "mcstat_")
            values[place] = gammas[int(is_signal), channel == of]
    return values
