"""The run directory: what a finished search leaves behind.

Everything is written under ``<output>.partial`` and renamed at the end: under its final name a run is always complete.
"""

from __future__ import annotations

import csv
import json
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import anomalon
from anomalon.errors import OutputExistsError, RunError, UnknownNameError, suggest
from anomalon.models.detector import Detector
from anomalon.partial import held
from anomalon.pipeline.cache import digest
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.search.results import Candidate, SearchResults
from anomalon.store import sha256

PACKAGES = ("numpy", "awkward", "uproot", "torch", "scikit-learn", "pythia8mc", "fastjet")
MANIFEST = "manifest.json"
SPLIT_NAMES = ("train", "validation", "test")


class RunDirectory:
    """A run directory, finished or in the making.

    Args:
        path: the final name.

    Raises:
        RunError: the path has no name of its own, such as ``.`` or ``/``.
    """

    def __init__(self, path: Path) -> None:
        if path.name in ("", ".."):
            raise RunError(f"'{path}': not a name for a run directory; give one, such as runs/first")
        self.path = path
        self.partial = path.with_name(f"{path.name}.partial")

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / MANIFEST).is_file() and (self.path / "results.json").is_file()

    def check_free(self, overwrite: bool) -> None:
        """Refuse to replace anything that is not asked to be replaced.

        Raises:
            OutputExistsError: something is there and ``overwrite`` is off, or it is no run directory.
        """
        if not self.path.exists():
            return
        if not overwrite:
            raise OutputExistsError(
                f"{self.path}: already there; --resume reuses a finished run, --overwrite replaces it, "
                "or choose another --output"
            )
        if not self.finished:
            raise OutputExistsError(f"{self.path}: already there and not a run of anomalon: not overwritten")

    @contextmanager
    def making(self) -> Iterator[None]:
        """Keep other searches out while this one makes the run; whatever is not finished goes.

        Raises:
            RunError: another search is making it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as holding:
            try:
                holding.enter_context(held(self.partial))
            except BlockingIOError:
                raise RunError(f"{self.path}: another search is making it; wait, or choose another --output") from None
            try:
                yield
            finally:
                shutil.rmtree(self.partial, ignore_errors=True)

    def begin(self) -> Path:
        """Empty the folder to write into: a killed run may have left something there."""
        for item in self.partial.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        return self.partial

    def finish(self) -> None:
        """Give the run its final name; a run already there goes only when the new one is complete."""
        old = self.path.with_name(f"{self.path.name}.old.partial")
        shutil.rmtree(old, ignore_errors=True)
        if self.path.exists():
            self.path.rename(old)
        self.partial.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def manifest(self) -> dict[str, Any]:
        """What the run was made with.

        Raises:
            RunError: not a finished run, or its manifest is damaged.
        """
        if not self.finished:
            raise RunError(
                f"{self.path}: not a finished run; make one with: anomalon search CONFIG --output {self.path}"
            )
        file = self.path / MANIFEST
        try:
            loaded: Any = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{file}: damaged ({error}); run the search again") from None
        if not isinstance(loaded, dict) or not loaded.keys() >= {"anomalon", "config_digest", "files", "unblinded"}:
            raise RunError(f"{file}: damaged, or from an older version; run the search again")
        return dict(loaded)

    def config(self) -> SearchConfig:
        """The resolved configuration of the run.

        Raises:
            RunError: not a finished run, or the file has changed since.
        """
        self._check_unchanged("config.yaml")
        return SearchConfig.load(self.path / "config.yaml")

    def detector(self, name: str) -> Detector:
        """A fitted detector of the run.

        Raises:
            RunError: not a finished run, or a file of the model has changed since.
            UnknownNameError: the run has no such detector.
            ModelFileError: the model is damaged.
        """
        there = {file.split("/")[1] for file in self.manifest()["files"] if file.startswith("model/")}
        if name not in there:
            raise UnknownNameError(f"{self.path}: no detector '{name}' in this run; {suggest(name, there)}")
        self._check_unchanged(f"model/{name}")
        return Detector.load(self.path / "model" / name)

    def _check_unchanged(self, part: str) -> None:
        """Compare the hashes of a file, or of all files in a folder, with those that the manifest lists."""
        listed = {f: h for f, h in self.manifest()["files"].items() if f == part or f.startswith(f"{part}/")}
        found = files_below(self.path, part)
        for file in sorted({*listed, *found}):
            what = "is missing" if file not in found else "is new" if file not in listed else "has changed"
            if what != "has changed" or sha256(self.path / file) != listed[file]:
                raise RunError(f"{self.path / file}: {what} since the run was made; run the search again")

    def results(self) -> SearchResults:
        """Every number of the run.

        Raises:
            RunError: the file is damaged or from another version.
        """
        self.manifest()
        try:
            values = json.loads((self.path / "results.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.path / 'results.json'}: damaged ({error}); run the search again") from None
        return SearchResults.parse(values, where=str(self.path / "results.json"))


def write_json(path: Path, value: Any) -> None:
    """Write plain values as readable JSON."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def files_below(folder: Path, *parts: str) -> list[str]:
    """Paths below ``folder`` of the files that the parts are or hold."""
    inside = [file for part in parts for file in ((folder / part), *(folder / part).rglob("*"))]
    return sorted(file.relative_to(folder).as_posix() for file in inside if file.is_file())


def make_manifest(
    folder: Path,
    search: SearchConfig,
    stages: Mapping[str, str],
    *,
    unblinded: str | None,
    sanity: bool,
    validate: bool,
) -> dict[str, Any]:
    """Versions, seed, stages and blinding of a run, and the hashes of what ``anomalon score`` will read of it."""
    return {
        "anomalon": anomalon.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "seed": search.seed,
        "config_digest": config_digest(search),
        "stages": dict(stages),
        "weights_in_training": "absolute values of the event weights",
        "unblinded": unblinded,
        "sanity": sanity,
        "validate": validate,
        "files": {file: sha256(folder / file) for file in files_below(folder, "config.yaml", "model")},
    }


def config_digest(search: SearchConfig) -> str:
    """Digest of everything in the configuration that can change a result."""
    return digest(search.model_dump(mode="json", exclude={"simulation": {"workers"}}))


def write_scores(path: Path, parts: Parts, scores: Scores) -> None:
    """Write ``scores.parquet``: one row per selected event that may be seen, the samples mixed by a seeded hash."""
    shown = scores.shown
    table = parts.table
    columns: dict[str, Any] = {
        "run": table.ids.run[shown],
        "lumi": table.ids.lumi[shown],
        "event": table.ids.event[shown],
        "dataset_id": table.ids.dataset[shown],
        "sample": table.sample_name[shown].tolist(),
        "process": table.process[shown].tolist(),
        "role": parts.configured_role[shown].tolist(),
        "split": np.asarray(SPLIT_NAMES)[parts.split[shown]].tolist(),
        "weight": table.weight[shown],
        "score": scores.score[shown],
        "region": regions(scores.score[shown], scores.threshold),
    }
    columns |= {f"score_{name}": values[shown] for name, values in scores.by_detector.items() if name != scores.main}
    pq.write_table(pa.table(columns), path, compression="zstd")


def regions(score: np.ndarray[Any, Any], threshold: float) -> list[str]:
    """Region of each event: ``above`` or ``below`` the threshold, ``unscored`` where an input is not finite."""
    names = np.where(score > threshold, "above", "below")
    return [str(name) for name in np.where(np.isfinite(score), names, "unscored")]


def write_candidates(path: Path, candidates: Sequence[Candidate]) -> None:
    """Write ``candidates.csv``: one line per candidate."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["rank", "run", "lumi", "event", "process", "role", "score", "background_fraction_above", "drivers"]
        )
        for c in candidates:
            why = "; ".join(f"{d.feature}={d.value:.6g} ({100 * d.share:.0f} %)" for d in c.drivers)
            writer.writerow(
                [
                    c.rank,
                    c.run,
                    c.lumi,
                    c.event,
                    c.process,
                    c.role,
                    f"{c.score:.8g}",
                    f"{c.background_fraction_above:.3g}",
                    why,
                ]
            )


def save_models(folder: Path, detectors: Sequence[Detector]) -> None:
    """Save every detector, threshold included, under its name."""
    folder.mkdir()
    for detector in detectors:
        detector.save(folder / detector.name)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
