"""A small search over stores made by hand: no generator needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from anomalon.events import Events, Sample
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.search.results import SearchResults
from anomalon.store import StoreWriter

Row = dict[str, Any]


def trilepton_rows(n: int, seed: int, *, hardness: float = 1.0, run: int = 1) -> list[Row]:
    """Events with a Z -> mu mu and a third lepton; ``hardness`` scales the momenta and MET."""
    rng = np.random.default_rng(seed)
    return [_row(rng, hardness) | {"event": i, "run": run} for i in range(n)]


def _row(rng: np.random.Generator, hardness: float) -> Row:
    phi, dphi = rng.uniform(-np.pi, np.pi), rng.uniform(1.5, np.pi)
    pt = 30.0 + 20.0 * hardness * rng.lognormal(0.0, 0.3)
    pair = [
        {"pt": pt, "eta": rng.uniform(-2, 2), "phi": phi, "charge": 1},
        {"pt": pt * rng.uniform(0.7, 1.0), "eta": rng.uniform(-2, 2), "phi": phi + dphi, "charge": -1},
    ]
    third = {
        "pt": 12 + hardness * rng.exponential(25),
        "eta": rng.uniform(-2, 2),
        "phi": rng.uniform(-3, 3),
        "charge": 1,
    }
    muons, electrons = (pair, [third]) if rng.random() < 0.5 else ([*pair, third], [])
    jets = [
        {"pt": 30 + rng.exponential(30), "eta": rng.normal(0, 1), "phi": rng.uniform(-3, 3)}
        for _ in range(rng.poisson(0.8))
    ]
    met = {"pt": hardness * rng.exponential(40), "phi": rng.uniform(-3, 3)}
    return {"muons": muons, "electrons": electrons, "jets": jets, "met": met}


def write_store(path: Path, rows: list[Row], sample: Sample) -> Path:
    with StoreWriter(path) as writer:
        writer.append(Events.from_dicts(rows, [sample]))
    return path


def simulation(name: str, n: int, cross_section: float) -> Sample:
    return Sample(name=name, process=name, cross_section_pb=cross_section, sum_gen_weights=float(n), n_generated=n)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    broken = trilepton_rows(3, 99)
    for row in broken:
        row["met"]["pt"] = float("nan")
        row["event"] += 10_000
    return {
        "soft": write_store(folder / "soft", trilepton_rows(900, 1) + broken, simulation("soft", 903, 0.5)),
        "hard": write_store(folder / "hard", trilepton_rows(500, 2, hardness=1.4), simulation("hard", 500, 0.05)),
        "signal": write_store(folder / "signal", trilepton_rows(400, 3, hardness=5.0), simulation("signal", 400, 1e-3)),
        "data": write_store(
            folder / "data",
            trilepton_rows(200, 4, run=315267)
            + [r | {"event": 1000 + i} for i, r in enumerate(trilepton_rows(10, 5, hardness=8, run=315267))],
            Sample(name="collisions", process="data", origin="data"),
        ),
    }


@pytest.fixture(scope="session")
def make_config(stores: dict[str, Path]) -> Callable[..., dict[str, Any]]:
    def make(*, data: bool = False, **changes: Any) -> dict[str, Any]:
        roles = {"soft": "background", "hard": "background", "signal": "signal"} | ({"data": "data"} if data else {})
        training = {"epochs": 4, "batch_size": 256}
        config = {
            "title": "A small search",
            "seed": 3,
            "samples": [{"name": name, "role": role, "files": [str(stores[name])]} for name, role in roles.items()],
            "detectors": [{"kind": "autoencoder", "training": training}, {"kind": "isolation-forest"}],
        }
        return config | changes

    return make


@pytest.fixture(scope="session")
def finished(
    make_config: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SearchResults]:
    """A finished run with blinded collision data."""
    output = tmp_path_factory.mktemp("runs") / "small"
    config = make_config(data=True)
    (output.parent / "search.yaml").write_text(yaml.safe_dump(config))
    return output, run_search(SearchConfig.load(output.parent / "search.yaml"), output, RunOptions())
