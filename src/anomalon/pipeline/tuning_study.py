"""The record of a study that several processes share, and that survives whatever ends them.

Every trial has a *place*, 0 to n - 1. Places wait in the record until a process takes one; a process holds a lock file
for as long as it lives, and the kernel releases it however it ends. So a running trial whose process is gone is known
at once: it is failed, and its place waits again with the settings that it had. A study of n places therefore ends with
exactly n finished trials, whatever was killed in between, and what was finished stays.
"""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomalon.errors import MissingExtraError, RunError
from anomalon.pipeline.tuning_configuration import Choices, Range, TuningConfig, without_password

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

JOURNAL = "study.journal"
WORKERS = "workers"
NAME = "anomalon"
PLACE, WORKER, HOST, DIGEST = "place", "worker", "host", "digest"
_STARTUP = 10
"""Trials at random before the sampler learns from them."""


def load_optuna() -> Any:
    """The package, quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("anomalon tune needs Optuna; install the extra: pip install 'anomalon[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class JournalLock:
    """Lock of a journal that the kernel releases with its process; what a killed process left half-written is cut off.

    Args:
        journal: file that is written to.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._handle = os.open(self._journal.with_name(f"{self._journal.name}.lock"), os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        _cut_torn_line(self._journal)
        return True

    def release(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _cut_torn_line(journal: Path) -> None:
    """Cut off what follows the last end of line."""
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if size and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(config: TuningConfig, folder: Path) -> BaseStorage:
    """The journal in the folder of the study, or the database that the configuration names.

    Raises:
        RunError: the database cannot be reached.
        MissingExtraError: Optuna is not installed.
    """
    optuna = load_optuna()
    if config.storage is None:
        journal = folder / JOURNAL
        backend = optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=JournalLock(journal))
        storage: BaseStorage = optuna.storages.JournalStorage(backend)
        return storage
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - an extra

    try:
        database: BaseStorage = optuna.storages.RDBStorage(config.storage, engine_kwargs=_patience(config.storage))
    except (SQLAlchemyError, ImportError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise RunError(f"storage {without_password(config.storage)}: cannot be opened ({why})") from None
    return database


def _patience(url: str) -> dict[str, Any]:
    """SQLite locks its file for each write: others wait a minute before they give up."""
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}


@dataclass
class SharedStudy:
    """A study with places; made in the folder of the study, under a lock that all processes of this machine take.

    Attributes:
        folder: of the study.
        study: Optuna's.
        config: of the study.
    """

    folder: Path
    study: Study
    config: TuningConfig

    @classmethod
    def open(cls, config: TuningConfig, folder: Path) -> SharedStudy:
        """Make a study, or open the one that is there.

        Raises:
            RunError: the study there is another one, or the database cannot be reached.
        """
        optuna = load_optuna()
        (folder / WORKERS).mkdir(exist_ok=True)
        with _locked(folder):
            direction = "maximize" if config.maximised else "minimize"
            study = optuna.create_study(
                storage=open_storage(config, folder), study_name=NAME, direction=direction, load_if_exists=True,
                pruner=_pruner(config),
            )  # fmt: skip
            known = study.user_attrs.get(DIGEST)
            if known is None:
                study.set_user_attr(DIGEST, config.digest)
            elif known != config.digest:
                raise RunError(
                    f"{without_password(config.storage) or folder}: a study of other settings: its trials cannot be "
                    "compared with these; choose another --output or storage (only the number of trials may change)"
                )
            made = cls(folder, study, config)
            made.restore()
        return made

    @contextmanager
    def working(self) -> Iterator[str]:
        """Give a name for this process, which is alive for as long as the block runs."""
        name = uuid.uuid4().hex
        path = self.folder / WORKERS / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield name
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)

    def claim(self, worker: str) -> Trial | None:
        """Take a waiting place; None where none waits."""
        with _locked(self.folder):
            self.restore()
            while self._trials("WAITING"):
                trial = self._asked()
                if PLACE in trial.user_attrs:
                    trial.set_user_attr(HOST, socket.gethostname())
                    trial.set_user_attr(WORKER, worker)
                    return trial
                self.study.tell(trial, state=_states().FAIL)  # another machine was faster: this trial has no place
        return None

    def _asked(self) -> Trial:
        """Ask for a trial with a sampler whose random numbers belong to it: a resumed study draws no number twice."""
        begun = len(self._trials("RUNNING", "COMPLETE", "PRUNED", "FAIL"))
        self.study.sampler = _sampler(self.config, begun)
        return self.study.ask()

    def restore(self) -> None:
        """Fail the trials of processes that are gone, and let every place without a trial wait again."""
        for trial in self._trials("RUNNING"):
            if not self._alive(trial):
                self.study.tell(trial.number, state=_states().FAIL)
        taken = {t.user_attrs.get(PLACE) for t in self._trials("WAITING", "RUNNING", "COMPLETE", "PRUNED")}
        for place in range(self.config.trials):
            if place not in taken:
                self.study.enqueue_trial(self._settings_of(place), user_attrs={PLACE: place})

    def _settings_of(self, place: int) -> dict[str, Any]:
        """What the last failed trial of a place had drawn, so that it goes on where it was."""
        own = [t for t in self._trials("FAIL") if t.user_attrs.get(PLACE) == place]
        return {} if not own else own[-1].params or own[-1].system_attrs.get("fixed_params", {})

    def _alive(self, trial: FrozenTrial) -> bool:
        """Whether the process of a running trial lives; those of other machines are taken to."""
        if trial.user_attrs.get(HOST, socket.gethostname()) != socket.gethostname():
            return True
        name = trial.user_attrs.get(WORKER)
        path = self.folder / WORKERS / str(name)
        if name is None or not path.exists():
            return False
        handle = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        path.unlink(missing_ok=True)
        return False

    def finished(self) -> list[FrozenTrial]:
        """Finished trials, complete or pruned, one per place of the study."""
        found = {t.user_attrs.get(PLACE): t for t in reversed(self._trials("COMPLETE", "PRUNED"))}
        return [found[place] for place in sorted(p for p in found if p is not None)]

    def running(self) -> int:
        """Number of running trials."""
        return len(self._trials("RUNNING"))

    def _trials(self, *states: str) -> list[FrozenTrial]:
        wanted = tuple(_states()[state] for state in states)
        return self.study.get_trials(deepcopy=False, states=wanted)


def suggest(trial: Trial, space: dict[str, Range | Choices]) -> dict[str, Any]:
    """Settings of a trial, drawn from the space."""
    return {key: _drawn(trial, key, varied) for key, varied in space.items()}


def _drawn(trial: Trial, key: str, varied: Range | Choices) -> Any:
    if isinstance(varied, Choices):
        return varied.choices[varied.written.index(trial.suggest_categorical(key, varied.written))]
    if varied.whole:
        return trial.suggest_int(key, int(varied.low), int(varied.high), step=int(varied.step or 1), log=varied.log)
    return trial.suggest_float(key, varied.low, varied.high, step=varied.step, log=varied.log)


def settings_of(trial: FrozenTrial, space: dict[str, Range | Choices]) -> dict[str, Any]:
    """Settings that a recorded trial had."""
    return {key: _as_given(value, space[key]) for key, value in trial.params.items() if key in space}


def _as_given(value: Any, varied: Range | Choices) -> Any:
    return varied.choices[varied.written.index(value)] if isinstance(varied, Choices) else value


def best_of(trials: Sequence[FrozenTrial], *, maximised: bool) -> FrozenTrial | None:
    """The complete trial with the best value."""
    complete = [t for t in trials if t.state == _states().COMPLETE and t.value is not None]
    sign = 1.0 if maximised else -1.0
    return max(complete, key=lambda t: sign * (t.value or 0.0)) if complete else None


def _states() -> Any:
    return load_optuna().trial.TrialState


def _sampler(config: TuningConfig, number: int) -> Any:
    samplers, seed = load_optuna().samplers, (config.seed * 1_000_003 + number) % 2**32
    if config.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    return samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP, constant_liar=True)


def _pruner(config: TuningConfig) -> Any:
    """Trials report after a ninth, a third and all of their epochs: resources 1, 3 and 9."""
    pruners = load_optuna().pruners
    if config.pruner == "none":
        return pruners.NopPruner()
    return pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the study; the kernel releases it with the process."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
