"""Any-of lists of triggers, per year: an event passes when one of its year's paths fired.

A path that a file lacks is reported, and never counted as one that did not fire without a word; a file with none of
its year's paths is refused. Names are those of the ``HLT_*`` branches of CMS NanoAOD, without version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError, InvalidEventsError, MissingFieldError
from anomalon.events import Events

RUNS_OF_YEAR: dict[int, tuple[int, int]] = {
    2010: (132440, 149442),
    2011: (160431, 180296),
    2012: (190456, 208686),
    2015: (246908, 260627),
    2016: (271036, 284044),
    2017: (294927, 306462),
    2018: (314472, 325175),
    2022: (352416, 362760),
    2023: (365753, 372415),
    2024: (376370, 387121),
}
"""First and last run of the proton-proton running of CMS (CMS luminosity, public results). Runs of other experiments
and of later years fit no year: their lists need ``year``."""


class TriggerList(Settings):
    """Trigger paths of which one must have fired.

    Attributes:
        paths: names of the paths per year; a single year's list holds for all events.
        year: the year of simulated events, and of data whose run numbers are not CMS's.

    >>> TriggerList.parse({"paths": {2018: ["HLT_IsoMu24"]}}).year_of(np.array([1, 315267])).tolist()
    [2018, 2018]
    """

    paths: dict[int, tuple[str, ...]] = Field(min_length=1)
    year: int | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for year, paths in self.paths.items():
            if not paths:
                raise ConfigError(f"triggers: the list of {year} is empty; leave the year out or name a path")
        if self.year is not None and self.year not in self.paths:
            years = ", ".join(map(str, self.paths))
            raise ConfigError(f"triggers: no list for year {self.year}; given: {years}")
        return self

    @property
    def reason(self) -> str:
        """Why events are left out, for the ledger."""
        return "no trigger of the list fired"

    @property
    def every_path(self) -> tuple[str, ...]:
        """Paths of all years, each once."""
        return tuple(dict.fromkeys(path for paths in self.paths.values() for path in paths))

    def year_of(self, run: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Year of each event, shape (event,).

        Raises:
            InvalidEventsError: a run belongs to no year that has a list, and ``year`` is not set.
        """
        fallback = self.year if self.year is not None else next(iter(self.paths)) if len(self.paths) == 1 else -1
        years = np.full(len(run), fallback, dtype=np.int64)
        if len(self.paths) > 1:
            for year, (first, last) in RUNS_OF_YEAR.items():
                years[(run >= first) & (run <= last)] = year
        known = np.isin(years, list(self.paths))
        if not known.all():
            worst = int(run[np.argmin(known)])
            raise InvalidEventsError(
                f"run {worst} is of no year with a trigger list ({', '.join(map(str, self.paths))}); "
                "say which year the events are of (year)"
            )
        return years

    def missing(self, present: Sequence[str]) -> dict[int, tuple[str, ...]]:
        """Paths per year that are not among the ones present; years that lack none are left out."""
        lost = {year: tuple(p for p in paths if p not in present) for year, paths in self.paths.items()}
        return {year: paths for year, paths in lost.items() if paths}

    def readable(self, can_read: Callable[[str], bool], where: str) -> tuple[frozenset[str], dict[str, Any]]:
        """Fields to read from a file, and what to note about it.

        Raises:
            MissingFieldError: the file has none of the paths.
        """
        present = [path for path in self.every_path if can_read(f"triggers.{path}")]
        if not present:
            raise MissingFieldError(f"{where}: none of the trigger paths {', '.join(self.every_path)} is in the file")
        lost = {str(year): list(paths) for year, paths in self.missing(present).items()}
        noted = {"triggers": {str(year): list(paths) for year, paths in self.paths.items()}}
        return frozenset(f"triggers.{path}" for path in present), noted | ({"triggers_missing": lost} if lost else {})

    def keep(self, events: Events) -> npt.NDArray[np.bool_]:
        """Whether a path of the event's year fired, shape (event,).

        Raises:
            MissingFieldError: the events have none of the paths of a year that occurs among them.
        """
        events.require(["triggers"], "the trigger list")
        years = self.year_of(ak.to_numpy(events.array.run))
        passed = np.zeros(len(events), dtype=np.bool_)
        for year in np.unique(years).tolist():
            passed |= (years == year) & self._fired(events, year)
        return passed

    def _fired(self, events: Events, year: int) -> npt.NDArray[np.bool_]:
        present = [path for path in self.paths[year] if path in events.array.triggers.fields]
        if not present:
            names = ", ".join(self.paths[year])
            raise MissingFieldError(f"events of {year} have none of that year's trigger paths: {names}")
        columns = [ak.to_numpy(events.array.triggers[path]) for path in present]
        return np.asarray(np.any(columns, axis=0), dtype=np.bool_)
