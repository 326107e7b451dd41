"""Base classes of the configuration.

Every registered class owns a ``Settings`` model derived from :class:`Settings`; unknown keys are refused
with a suggestion. YAML is read by the safe loader: tags that would build Python objects are errors, and so is a key
that is given twice.
"""

from __future__ import annotations

import reprlib
import typing
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from anomalon.errors import AnomalonError, ConfigError, UnknownNameError, suggest

Chosen = TypeVar("Chosen", bound=BaseModel)


class Settings(BaseModel):
    """Frozen settings that refuse unknown keys.

    >>> class Cut(Settings):
    ...     pt_min: float = 20.0
    >>> Cut.parse({"pt_min": 25}).pt_min
    25.0
    >>> Cut.parse({"pt_mim": 25})
    Traceback (most recent call last):
    ...
    anomalon.errors.ConfigError: configuration: unknown key 'pt_mim'; did you mean 'pt_min'?
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``true`` where a number belongs: Python would count it as 1."""
        kinds = _kinds(cls.model_fields[info.field_name or ""].annotation)
        if bool not in kinds and kinds & {int, float} and _holds_truth(value):
            raise ValueError("expected a number, not true or false")
        return value

    @classmethod
    def parse(cls, values: Any, where: str = "configuration") -> Self:
        """Validate plain values; raise :class:`ConfigError` with one readable line for the first mistakes."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_explain(cls, error)}") from None
        except UnknownNameError as error:
            raise ConfigError(f"{where}: {error}") from None


def parse_under(settings: type[Chosen], values: Any, key: str) -> Chosen:
    """Validate the values under a key whose settings a validator chooses by itself; mistakes name the whole path.

    Raises:
        ConfigError: with one readable line for the first mistakes.
    """
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(settings, error, key)) from None


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: the file is missing, is not YAML, holds an object tag or a key twice, or is not a mapping.
    """
    file = Path(path)
    try:
        values = _Loader(file.read_text(encoding="utf-8-sig")).get_single_data()
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; write a starter with: anomalon init {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as text ({error}); save it as UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2020-13-01
        raise ConfigError(f"{file}: not plain YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{file}: not plain YAML: nested too deeply") from None
    if not isinstance(values, dict):
        what = "nothing" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{file}: holds {what}, expected a mapping of keys to values; see: anomalon init")
    return values


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that is given twice instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name = (key.tag, key.value)
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key '{key.value}' is given twice", key.start_mark
                    )
                seen.add(name)
        return super().construct_mapping(node, deep=deep)


_PLAIN_WORDS = {
    "too_short": "give at least one",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
}


def _explain(model: type[BaseModel], error: ValidationError, key: str = "") -> str:
    # a list is also called too short when its only item is wrong
    items = [dict(item) for item in error.errors() if item["type"] != "too_short" or not item["input"]]
    return "; ".join(dict.fromkeys(_line(model, item, key) for item in items[:3]))


def _line(model: type[BaseModel], item: dict[str, Any], key: str = "") -> str:
    *parents, last = item["loc"] or ("",)
    where = ".".join(str(part) for part in ([key] if key else []) + [*item["loc"]])
    if item["type"] == "extra_forbidden":
        return f"unknown key '{where}'; {suggest(str(last), _keys(model, parents))}"
    if item["type"] == "missing":
        return f"key '{where}' is required"
    message = _PLAIN_WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
    if isinstance(item.get("ctx", {}).get("error"), AnomalonError):  # it says itself what is wrong, and where
        return message if not where or message.startswith(where) else f"{where}: {message}"
    return f"{where or 'value'} = {_short.repr(item['input'])}: {message}"


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def _keys(model: type[BaseModel], path: list[Any]) -> list[str]:
    """Names allowed at ``path``, found by walking the annotations of the nested models."""
    models = [model]
    for part in path:
        nested = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [m for a in nested for m in _models_in(a)] or models
    return sorted({name for m in models for name in m.model_fields})


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of."""
    inside = typing.get_args(annotation)
    return {annotation} if not inside else {kind for part in inside for kind in _kinds(part)}


def _holds_truth(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_truth(item) for item in value.values())
    return isinstance(value, bool) or (isinstance(value, (list, tuple)) and any(_holds_truth(item) for item in value))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if typing.get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    return [m for a in typing.get_args(annotation) for m in _models_in(a)]
