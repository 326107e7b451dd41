"""The run directory: what a finished search leaves behind.

Everything is written under ``<output>.partial`` and renamed at the end: under its final name a run is always complete.
"""

from __future__ import annotations

import csv
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import anomalon
from anomalon.errors import OutputExistsError, RunError
from anomalon.models.detector import Detector
from anomalon.pipeline.cache import digest
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.fit import Parts
from anomalon.search.results import Candidate, SearchResults

PACKAGES = ("numpy", "awkward", "uproot", "torch", "scikit-learn", "pythia8mc", "fastjet")
SPLIT_NAMES = ("train", "validation", "test")


class RunDirectory:
    """A run directory, finished or in the making.

    Args:
        path: the final name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}.partial")

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "manifest.json").is_file() and (self.path / "results.json").is_file()

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

    def begin(self) -> Path:
        """Make an empty folder to write into."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
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
        try:
            loaded: dict[str, Any] = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.path / 'manifest.json'}: damaged ({error}); run the search again") from None
        return loaded

    def config(self) -> SearchConfig:
        """The resolved configuration of the run."""
        self.manifest()
        return SearchConfig.load(self.path / "config.yaml")

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


def make_manifest(search: SearchConfig, stages: Mapping[str, str], unblinded: str | None) -> dict[str, Any]:
    """Versions, seed, stages and blinding of a run."""
    return {
        "anomalon": anomalon.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "seed": search.seed,
        "config_digest": config_digest(search),
        "stages": dict(stages),
        "weights_in_training": "absolute values of the event weights",
        "unblinded": unblinded,
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
        "role": parts.role[shown].tolist(),
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
