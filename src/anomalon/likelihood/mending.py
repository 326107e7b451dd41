"""Checks of channels before a likelihood is built from them, and what is done about bins that would break it.

In this order, each told in a note:

1. A bin without expected background, one in which less background is expected than its own statistical error, and one
   with signal but no background is merged with its neighbour on the left (the first bin with that on the right), until
   none is left: yields, sums of squared weights and observed events are added, nothing is lost. A channel that has no
   background at all ends as a single bin.
2. Where a process has a negative bin and the background of that bin is positive, the process is set to 0 there and
   the other processes are scaled so that the background of the bin stays what it was; errors are kept. A negative
   signal bin is set to 0 and the signal's other bins are scaled so that its yield in the channel stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError, InvalidEventsError
from anomalon.likelihood.templates import Channel, Template

Floats = npt.NDArray[np.float64]


def check_channels(
    channels: Sequence[Channel], signal: str, *, largest_mc_error: float = 1.0
) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """Channels with one signal that a likelihood can be built from, and notes on what had to be changed.

    Args:
        channels: with disjoint events.
        signal: process of the signal; the templates of other signals are left out.
        largest_mc_error: relative statistical error of the background above which a bin is merged.

    Raises:
        ConfigError: no channel, two of the same name, a process that comes twice, or a systematic named as another
            parameter.
        InvalidEventsError: a template is not finite, has has another number of bins than its channel, or
            counts are negative.
    """
    names = [channel.name for channel in channels]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"channels {', '.join(names) or '(none)'}: give at least one, each with a name of its own")
    mended, notes = [], []
    for channel in channels:
        _refuse_nonsense(channel)
        chosen = replace(channel, templates=tuple(t for t in channel.templates if _belongs(t, signal)))
        _refuse_doubles(chosen)
        merged, told = _merge(chosen, signal, largest_mc_error)
        fixed, also_told = _without_negatives(merged)
        mended.append(fixed)
        notes += [*told, *also_told]
    return tuple(mended), tuple(notes)


def place(channel: Channel, i: int) -> str:
    """A bin in words.

    >>> place(Channel("R1", "MET", np.array([0.0, 50.0, 1000.0]), ()), 1)
    'R1, MET bin 1 [50, 1000)'
    """
    return f"{channel.name}, {channel.variable} bin {i} [{channel.edges[i]:g}, {channel.edges[i + 1]:g})"


def _belongs(template: Template, signal: str) -> bool:
    return template.role == "background" or template.process == signal


def _arrays(template: Template) -> Iterator[tuple[str, Floats]]:
    yield "expected events", template.values
    yield "errors", template.errors
    for name, sides in template.shapes.items():
        yield from ((f"expected events with {name} {word}", s) for word, s in zip(("down", "up"), sides, strict=True))


def _refuse_doubles(channel: Channel) -> None:
    """Raise where a process comes twice, or a systematic has the name of another parameter."""
    processes = [t.process for t in channel.templates]
    double = next((p for p in processes if processes.count(p) > 1), None)
    if double is not None:
        raise ConfigError(f"process '{double}' comes twice in {channel.name}: add its templates, or rename one")
    systematics = {name for t in channel.templates for name in (*t.shapes, *t.norms)}
    taken = next((s for s in sorted(systematics) if s == "mu" or s.startswith(("mcstat_", "signal_mcstat_"))), None)
    if taken is not None:
        raise ConfigError(
            f"systematic '{taken}' in {channel.name} has the name of another parameter: rename it; mu, mcstat_... and "
            "signal_mcstat_... are taken"
        )


def _refuse_nonsense(channel: Channel) -> None:
    """Raise for values that no rule can mend."""
    n = len(channel.edges) - 1
    for template in channel.templates:
        for what, values in _arrays(template):
            if np.shape(values) != (n,):
                raise InvalidEventsError(
                    f"{what} of {template.process} in {channel.name} have shape {np.shape(values)}, expected ({n},)"
                )
            if not np.isfinite(values).all():
                bad = int(np.flatnonzero(~np.isfinite(values))[0])
                raise InvalidEventsError(
                    f"{what} of {template.process} at {place(channel, bad)}: {values[bad]}, expected a number"
                )
        for name, factors in template.norms.items():
            if not np.isfinite(factors).all() or max(factors) <= 0:
                raise InvalidEventsError(
                    f"norm {name} of {template.process} in {channel.name} is {tuple(factors)}: expected factors down "
                    "and up above 0, such as (0.9, 1.1)"
                )
    if channel.observed is not None and (np.shape(channel.observed) != (n,) or not (channel.observed >= 0).all()):
        raise InvalidEventsError(
            f"observed events of {channel.name} are {channel.observed}: expected {n} counts of at least 0"
        )


def _merge(channel: Channel, signal: str, largest: float) -> tuple[Channel, list[str]]:
    """Merge bins, the highest first, until each has enough background."""
    notes = []
    while (found := _unusable(channel, signal, largest)) is not None:
        i, why = found
        if len(channel.edges) == 2:
            notes.append(f"{place(channel, i)}: {why}; it is the only bin left: {_ONLY}")
            return _without_background(channel), notes
        left = max(i - 1, 0)
        notes.append(f"{place(channel, i)}: {why}; merged with the bin on its {'left' if i else 'right'}")
        channel = _joined(channel, left)
    return channel, notes


_ONLY = "its background is taken as 0, so that limits are those of counting without background"


def _unusable(channel: Channel, signal: str, largest: float) -> tuple[int, str] | None:
    """The highest bin that has to be merged, and why."""
    background, error = channel.background, channel.background_error
    for i in reversed(range(len(background))):
        if background[i] <= 0:
            s = sum(float(t.values[i]) for t in channel.templates if t.process == signal)
            worst = min(channel.backgrounds, key=lambda t: float(t.values[i]), default=None)
            least = f" (least: {worst.process} {worst.values[i]:.4g})" if worst and worst.values[i] < 0 else ""
            with_signal = f" beside {s:.4g} of signal" if s > 0 else ""
            return i, f"background {background[i]:.4g} +- {error[i]:.4g} events{with_signal}{least}"
        if error[i] > largest * background[i]:
            return i, (f"background {background[i]:.4g} +- {error[i]:.4g} events, an error above {100 * largest:g} %")
    return None


def _joined(channel: Channel, left: int) -> Channel:
    """The channel with a bin and the one on its right as one."""

    def added(values: Floats) -> Floats:
        return np.concatenate([values[:left], [values[left] + values[left + 1]], values[left + 2 :]])

    templates = tuple(
        replace(
            t,
            values=added(t.values),
            errors=np.sqrt(added(t.errors**2)),
            shapes={name: (added(down), added(up)) for name, (down, up) in t.shapes.items()},
        )
        for t in channel.templates
    )
    observed = None if channel.observed is None else added(channel.observed)
    return replace(channel, edges=np.delete(channel.edges, left + 1), templates=templates, observed=observed)


def _without_background(channel: Channel) -> Channel:
    """A channel of one bin whose background is not positive, or not known: nothing is expected."""
    if float(channel.background[0]) > 0:
        return channel
    zero = np.zeros(1)
    empty = [replace(t, values=zero, errors=zero, shapes={}, norms={}) for t in channel.backgrounds]
    signals = tuple(t for t in channel.templates if t.role == "signal")
    return replace(channel, templates=(*empty, *signals))


def _without_negatives(channel: Channel) -> tuple[Channel, list[str]]:
    """No process below 0 in any bin; the background of each bin and the signal of the channel stay what they are."""
    notes: list[str] = []
    positive = sum((np.maximum(t.values, 0.0) for t in channel.backgrounds), start=np.zeros(len(channel.edges) - 1))
    scale = np.divide(channel.background, positive, out=np.ones(len(positive)), where=positive > 0)
    templates = []
    for t in channel.templates:
        is_signal = t.role == "signal"
        factor = _signal_scale(t.values) if is_signal else scale
        for i in np.flatnonzero(t.values < 0):
            after = (
                f"signal of the channel {t.values.sum():.4g} before and {_clipped(t, factor).values.sum():.4g} after"
                if is_signal
                else f"the others scaled by {scale[i]:.4g}, so that the background stays {channel.background[i]:.4g}"
            )
            notes.append(f"{place(channel, int(i))}: {t.process} is {t.values[i]:.4g}, set to 0, {after}")
        templates.append(_clipped(t, factor))
    return replace(channel, templates=tuple(templates)), notes


def _signal_scale(values: Floats) -> Floats:
    """Factor that keeps the yield once negative bins are 0; 1 where the yield itself is not positive."""
    total, positive = float(values.sum()), float(np.maximum(values, 0.0).sum())
    return np.full(len(values), total / positive if total > 0 else 1.0)


def _clipped(template: Template, factor: Floats) -> Template:
    """Without negative bins, in which variations vanish too, and scaled; errors are kept."""
    keep = np.where(template.values < 0, 0.0, factor)
    if (keep == 1.0).all() and all((np.asarray(s) >= 0).all() for sides in template.shapes.values() for s in sides):
        return template
    shapes = {
        name: (np.maximum(down, 0.0) * keep, np.maximum(up, 0.0) * keep) for name, (down, up) in template.shapes.items()
    }
    return replace(template, values=np.maximum(template.values, 0.0) * keep, shapes=shapes)
