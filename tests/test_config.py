from __future__ import annotations

from pathlib import Path

import pytest

from anomalon.config import Settings, load_yaml
from anomalon.errors import ConfigError


class Inner(Settings):
    pt_min: float = 20.0


class Outer(Settings):
    selection: Inner = Inner()
    samples: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] | None = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"selction": {}}, "unknown key 'selction'; did you mean 'selection'"),
        ({"selection": {"pt_mn": 1}}, r"unknown key 'selection\.pt_mn'; did you mean 'pt_min'"),
        ({"samples": [{"ptmin": 1}]}, r"unknown key 'samples\.0\.ptmin'; did you mean 'pt_min'"),
        ({"by_name": {"a": {"ptmin": 1}}}, r"unknown key 'by_name\.a\.ptmin'; did you mean 'pt_min'"),
        ({"selection": {"pt_min": "high"}}, r"selection\.pt_min = 'high': .*valid number"),
        ({"selection": {"pt_min": float("nan")}}, r"selection\.pt_min = nan: .*finite"),
    ],
)
def test_a_mistake_is_one_line_with_the_key_and_a_suggestion(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Outer.parse(values, where="search.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("search.yaml: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not plain YAML"),
        ("- 1", "holds a list, expected a mapping"),
        ("a: !!python/object/apply:os.system ['touch hacked']", "not plain YAML"),
    ],
)
def test_yaml_that_is_not_a_plain_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_yaml(file)
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; write a starter with: anomalon init"):
        load_yaml(tmp_path / "none.yaml")


def test_settings_cannot_be_changed_by_accident() -> None:
    with pytest.raises(Exception, match="frozen"):
        Outer().selection = Inner(pt_min=1.0)  # type: ignore[misc]
