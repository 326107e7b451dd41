"""Loading a model never runs code: what is not on the fixed list of types is refused, and nothing is executed."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import FunctionTransformer

from anomalon.errors import ModelFileError
from anomalon.models import storage
from anomalon.models.registry import load_scorer
from anomalon.models.storage import load_estimator, load_network, save_network
from anomalon.networks.dense import DenseAutoencoder
from tests.models.examples import background, quick

MARK = "executed"


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, MARK))


def exchange(folder: Path, name: str, content: bytes) -> None:
    """Put another file into a saved model, its hash included: what an attacker would do."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(manifest))


def shelled(path: Path) -> None:
    path.write_text(MARK)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    quick("kmeans").fit(background("kmeans")).save(folder)
    return folder


def test_a_pickle_in_place_of_an_estimator_is_refused(saved: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    exchange(saved, "estimator.skops", pickle.dumps(Bomb(canary)))
    with pytest.raises(ModelFileError, match=r"estimator\.skops"):
        load_scorer(saved)
    assert not canary.exists()


def test_a_pickle_in_place_of_weights_is_refused(tmp_path: Path) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "model"
    quick("autoencoder").fit(background("autoencoder")).save(folder)
    exchange(folder, "network.safetensors", pickle.dumps(Bomb(canary)))
    with pytest.raises(ModelFileError, match=r"network\.safetensors"):
        load_scorer(folder)
    assert not canary.exists()


def test_an_estimator_with_a_type_off_the_list_is_refused(saved: Path) -> None:
    exchange(saved, "estimator.skops", skops.io.dumps(FunctionTransformer(shelled)))
    with pytest.raises(ModelFileError, match="not allowed"):
        load_scorer(saved)


def test_a_harmless_estimator_of_another_class_is_refused(saved: Path) -> None:
    exchange(saved, "estimator.skops", skops.io.dumps(LinearRegression()))
    with pytest.raises(ModelFileError, match="holds LinearRegression, expected KMeans"):
        load_scorer(saved)


def test_an_archive_without_a_schema_is_refused(saved: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../outside", MARK)
    exchange(saved, "estimator.skops", buffer.getvalue())
    with pytest.raises(ModelFileError, match="not a saved KMeans"):
        load_scorer(saved)
    assert not (saved.parent / "outside").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_UNPACKED", 100)
    with pytest.raises(ModelFileError, match="at most 100 are allowed"):
        load_estimator(saved / "estimator.skops", KMeans)


def test_a_model_may_not_list_files_outside_its_folder(saved: Path) -> None:
    manifest = json.loads((saved / "model.json").read_text())
    manifest["files"]["../model.json"] = "0"
    (saved / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match="outside its folder"):
        load_scorer(saved)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_network(DenseAutoencoder(5), tmp_path / "network.safetensors")
    with pytest.raises(ModelFileError, match="not the weights of this network"):
        load_network(DenseAutoencoder(6), tmp_path / "network.safetensors")
