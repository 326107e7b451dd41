"""Systematic uncertainties: what is varied and by how much, and how varied events become templates.

- Normalisations (luminosity, cross sections, others by name) are factors 1 - u and 1 + u on whole templates.
- Weight variations and distortions make templates of their own, one standard deviation down and up. Where one end is
  missing it is the mirror image of the other: down = 2 nominal - up, not below 0.
- Nominal and varied events are nearly the same events, so chance hardly changes their difference: in each bin its
  variance is sum (w' - r w)^2 over the events in it, r being the ratio of the yields of the whole channel. A change of
  shape with a larger p value (chi^2) than ``shape_p_value`` at both ends is chance, and only the yields are varied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints
from scipy.stats import chi2

from anomalon.config import Settings
from anomalon.distortions import End, Variations
from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.likelihood.templates import Channel, Template
from anomalon.search.results import Role

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Relative = Annotated[float, Field(ge=0, lt=1)]
Kind = Literal["luminosity", "cross section", "normalisation", "weight", "distortion"]
Pair = tuple[float, float]

LUMINOSITY = "luminosity"
CROSS_SECTION = "cross-section-"
"""Before the name of a sample."""
_SAME = 1e-12
"""Relative differences below this are rounding."""


class SystematicsSettings(Settings):
    """What is uncertain. All numbers are relative, one standard deviation.

    Attributes:
        luminosity: of all simulated samples; 0 leaves it out. ATLAS has 0.83 % for the 140 fb^-1 of Run 2,
            arXiv:2212.09379 (abstract).
        cross_section: of every background sample that ``cross_sections`` does not name. A typical size, to be replaced
            by that of a calculation.
        cross_sections: sample -> uncertainty; 0 leaves it out. Signals have none unless they are named.
        norms: name -> sample -> uncertainty: one further normalisation, which moves all its samples together.
        weights: factors of the events that are varied: ``all`` that have both ends, ``none``, or names. A named one may
            have one end alone, as members of parton densities do.
        distortions: ``standard``, names of pairs, or name -> {up, down}, see :mod:`anomalon.distortions.variations`.
            Every sample is read, selected and scored anew for each end, so by default there are none.
        shape_p_value: changes of shape with a larger one are taken for chance; 1 keeps all.
    """

    luminosity: Relative = 0.0083
    cross_section: Relative = 0.1
    cross_sections: dict[str, Relative] = Field(default_factory=dict)
    norms: dict[Name, dict[str, Relative]] = Field(default_factory=dict)
    weights: Literal["all", "none"] | tuple[Name, ...] = "all"
    distortions: Variations = Field(default_factory=dict)
    shape_p_value: float = Field(default=0.05, ge=0, le=1)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the distortions read or change."""
        return frozenset(name for pair in self.distortions.values() for name in pair.requires)

    def norms_of(self, sample: str, role: Role) -> dict[str, Pair]:
        """Factors on a sample, one standard deviation down and up.

        >>> SystematicsSettings(cross_section=0.5).norms_of("ttbar", "background")
        {'luminosity': (0.9917, 1.0083), 'cross-section-ttbar': (0.5, 1.5)}
        """
        default = self.cross_section if role == "background" else 0.0
        sizes = {LUMINOSITY: self.luminosity, f"{CROSS_SECTION}{sample}": self.cross_sections.get(sample, default)}
        sizes |= {name: samples[sample] for name, samples in self.norms.items() if sample in samples}
        return {name: (1.0 - size, 1.0 + size) for name, size in sizes.items() if size > 0}

    def weight_names(self, factors: Iterable[str]) -> dict[str, tuple[End, ...]]:
        """Factors to vary and the ends that they have, out of the names in the events.

        Raises:
            UnknownNameError: a factor that is asked for is not there, or has no variation.
            ConfigError: a factor has the name of another systematic.

        >>> SystematicsSettings().weight_names(["fake", "fakeUp", "fakeDown", "pdf_1", "pdf_1Up"])
        {'fake': ('down', 'up')}
        """
        have = set(factors)
        ends = {name: _ends(name, have) for name in sorted(have)}
        if isinstance(self.weights, str):
            names = [name for name, both in ends.items() if len(both) == 2 and self.weights == "all"]
        else:
            names = list(self.weights)
        for name in names:
            if not ends.get(name):
                known = [known for known, some in ends.items() if some]
                raise UnknownNameError(f"systematics.weights: no varied factor '{name}'; {suggest(name, known)}")
        _refuse_twice([*_named(self), *names])
        return {name: ends[name] for name in names}

    def kind_of(self, name: str) -> Kind:
        """What a systematic of this name is."""
        if name == LUMINOSITY:
            return "luminosity"
        if name.startswith(CROSS_SECTION):
            return "cross section"
        return "normalisation" if name in self.norms else "distortion" if name in self.distortions else "weight"


def check(settings: SystematicsSettings, roles: Mapping[str, Role], where: str = "systematics") -> None:
    """Refuse systematics of samples that are not there, and two of one name.

    Args:
        settings: of the systematics.
        roles: sample -> role.
        where: the key in the configuration, for messages.

    Raises:
        ConfigError: with the key, the name and what is allowed.
    """
    asked = {"cross_sections": settings.cross_sections} | {f"norms.{n}": of for n, of in settings.norms.items()}
    simulated = [name for name, role in roles.items() if role != "data"]
    for key, sizes in asked.items():
        for name in sizes:
            if roles.get(name) == "data":
                raise ConfigError(f"{where}.{key}: sample '{name}' is collision data, which has no such uncertainty")
            if name not in roles:
                raise ConfigError(f"{where}.{key}: no sample '{name}'; {suggest(name, simulated)}")
    named = [*_named(settings), *(() if isinstance(settings.weights, str) else settings.weights)]
    for name in named:
        if name == LUMINOSITY or name.startswith(CROSS_SECTION):
            raise ConfigError(f"{where}: the name '{name}' is taken by that of every search; choose another")
    _refuse_twice(named, where)


def _named(settings: SystematicsSettings) -> list[str]:
    return [*settings.norms, *settings.distortions]


def _refuse_twice(names: Sequence[str], where: str = "systematics") -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{where}: two are called '{name}' (among norms, weights and distortions); give each a name of its own"
            )


def _ends(name: str, have: set[str]) -> tuple[End, ...]:
    ends: tuple[End, ...] = ("down", "up")
    return tuple(end for end in ends if f"{name}{end.capitalize()}" in have)


@dataclass(frozen=True)
class Shift:
    """Expected events at one end of a variation, in the bins of all channels, one channel after the other.

    Attributes:
        values: sum of w', shape (bin,).
        squares: sum of w'^2, shape (bin,).
        common: sum of w w' over the events that are in the bin with and without the variation, shape (bin,).
    """

    values: Floats
    squares: Floats
    common: Floats


@dataclass(frozen=True)
class Expected:
    """Expected events of one process in the bins of all channels, one channel after the other.

    Attributes:
        process: name of the sample.
        role: background or signal.
        values: sum of w, shape (bin,).
        squares: sum of w^2, shape (bin,).
        shifts: systematic -> its ends, ``down`` and ``up`` or one of them.
        norms: systematic -> factors on everything.
    """

    process: str
    role: Literal["background", "signal"]
    values: Floats
    squares: Floats
    shifts: Mapping[str, Mapping[End, Shift]] = field(default_factory=dict)
    norms: Mapping[str, Pair] = field(default_factory=dict)

    def templates(self, bins: Sequence[int], shape_p_value: float = 1.0) -> tuple[Template, ...]:
        """One template per channel.

        Args:
            bins: number of bins of each channel.
            shape_p_value: changes of shape with a larger one become changes of the yield.
        """
        stops = np.cumsum(bins)
        return tuple(
            self._template(slice(int(stop - n), int(stop)), shape_p_value) for n, stop in zip(bins, stops, strict=True)
        )

    def _template(self, own: slice, shape_p_value: float) -> Template:
        values, squares = self.values[own], self.squares[own]
        shapes, norms = {}, dict(self.norms)
        for name, ends in self.shifts.items():
            parts = {end: Shift(s.values[own], s.squares[own], s.common[own]) for end, s in ends.items()}
            if all(_unmoved(values, part.values) for part in parts.values()):
                continue
            factors = _factors(values, parts)
            p_values = [shape_p(values, squares, part) for part in parts.values()]
            if factors is not None and min(p_values) > shape_p_value:
                norms[name] = factors
            else:
                shapes[name] = both_ends(values, {end: part.values for end, part in parts.items()})
        return Template(self.process, self.role, values, np.sqrt(squares), shapes, norms)


def fill(index: Ints, weight: Floats, n_bins: int) -> Floats:
    """Sum of weights in each bin, shape (bin,); an index below 0 is in none.

    >>> fill(np.array([0, 2, -1, 2]), np.array([1.0, 2.0, 9.0, 3.0]), 3).tolist()
    [1.0, 0.0, 5.0]
    """
    inside = index >= 0
    return np.bincount(index[inside], weight[inside], minlength=n_bins).astype(np.float64)


def both_ends(nominal: Floats, ends: Mapping[End, Floats]) -> tuple[Floats, Floats]:
    """Down and up of a variation, (bin,); a missing one is 2 nominal - other, not below 0 where the nominal is not.

    >>> both_ends(np.array([4.0, 1.0]), {"up": np.array([5.0, 3.0])})[0].tolist()
    [3.0, 0.0]
    """
    return (
        ends["down"] if "down" in ends else _image(nominal, ends["up"]),
        ends["up"] if "up" in ends else _image(nominal, ends["down"]),
    )


def _image(nominal: Floats, other: Floats) -> Floats:
    image = 2.0 * nominal - other
    return np.where(nominal >= 0, np.maximum(image, 0.0), image)


def shape_p(values: Floats, squares: Floats, shift: Shift) -> float:
    """P value of a change of shape: how often chance alone gives one as large.

    chi^2 = sum (v' - r v)^2 / sum (w' - r w)^2 with r the ratio of the yields, and as many degrees of freedom as there
    are bins with varying events; 1 where fewer than two have some. Events that go from one bin to another tie the bins
    together, which is left out: 5 % of all changes by chance become 6 to 8 %.

    Args:
        values: nominal, shape (bin,).
        squares: nominal sum of w^2, shape (bin,).
        shift: varied.
    """
    total = values.sum()
    ratio = shift.values.sum() / total if total else 1.0
    variance = shift.squares - 2.0 * ratio * shift.common + ratio**2 * squares
    moving = variance > _SAME * np.maximum(shift.squares, squares)
    if np.count_nonzero(moving) < 2:
        return 1.0
    found = ((shift.values - ratio * values)[moving] ** 2 / variance[moving]).sum()
    return float(chi2.sf(found, np.count_nonzero(moving)))


def _factors(values: Floats, parts: Mapping[End, Shift]) -> Pair | None:
    """Ratios of the yields; None where they are not positive, so that they cannot be factors."""
    total = float(values.sum())
    if total <= 0:
        return None
    ratios = {end: float(part.values.sum()) / total for end, part in parts.items()}
    down = ratios["down"] if "down" in ratios else 2.0 - ratios["up"]
    up = ratios["up"] if "up" in ratios else 2.0 - ratios["down"]
    return (down, up) if min(down, up) > 0 else None


def _unmoved(nominal: Floats, varied: Floats) -> bool:
    return bool(np.allclose(nominal, varied, rtol=_SAME, atol=0.0))


class Change(Settings):
    """Relative changes of a yield one standard deviation down and up, such as -0.02 and 0.02."""

    down: float
    up: float


class RegionImpact(Settings):
    """What a systematic does in one region.

    Attributes:
        region: name of the channel.
        background: change of the total background; None where none is expected.
        processes: background -> change, for those that it changes.
        signals: signal -> change, for those that it changes.
    """

    region: str
    background: Change | None
    processes: dict[str, Change]
    signals: dict[str, Change]


class SystematicImpact(Settings):
    """What a systematic does to the yields.

    Attributes:
        kind: what it is.
        size: the largest relative change of the total background in a region.
        regions: one per region.
    """

    name: str
    kind: Kind
    size: float
    regions: tuple[RegionImpact, ...]


def impact_table(channels: Sequence[Channel], settings: SystematicsSettings) -> tuple[SystematicImpact, ...]:
    """The systematics of some channels, those that change the total background most first."""
    names = dict.fromkeys(n for c in channels for t in c.templates for n in (*t.norms, *t.shapes))
    found = []
    for name in names:
        regions = tuple(_region(channel, name) for channel in channels)
        changes = [abs(c) for r in regions if r.background for c in (r.background.down, r.background.up)]
        size = max(changes, default=0.0)
        found.append(SystematicImpact(name=name, kind=settings.kind_of(name), size=size, regions=regions))
    return tuple(sorted(found, key=lambda impact: -impact.size))


def _region(channel: Channel, name: str) -> RegionImpact:
    touched = [t for t in channel.templates if name in t.shapes or name in t.norms]
    backgrounds = [t for t in touched if t.role == "background"]
    moved = sum((_difference(t, name) for t in backgrounds), start=np.zeros(2))
    return RegionImpact(
        region=channel.name,
        background=_change(moved, float(channel.background.sum())),
        processes=_changes(backgrounds, name),
        signals=_changes([t for t in touched if t.role == "signal"], name),
    )


def _changes(templates: Sequence[Template], name: str) -> dict[str, Change]:
    changes = {t.process: _change(_difference(t, name), float(t.values.sum())) for t in templates}
    return {process: change for process, change in changes.items() if change is not None}


def _difference(template: Template, name: str) -> Floats:
    """Change of the yield of a template down and up, shape (2,)."""
    yields = np.array([end.sum() for end in template.shapes.get(name, (template.values, template.values))])
    return np.asarray(yields * np.array(template.norms.get(name, (1.0, 1.0))) - template.values.sum())


def _change(difference: Floats, total: float) -> Change | None:
    if not total > 0:
        return None
    return Change(down=float(difference[0] / total), up=float(difference[1] / total))
