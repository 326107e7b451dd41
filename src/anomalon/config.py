"""Base classes of the configuration.

Every registered class owns a ``Settings`` model derived from :class:`Settings`; unknown keys are refused
with a suggestion. YAML is read by the safe loader: tags that would build Python objects are errors.
"""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from anomalon.errors import ConfigError, UnknownNameError, suggest


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

    @classmethod
    def parse(cls, values: Any, where: str = "configuration") -> Self:
        """Validate plain values; raise :class:`ConfigError` with one readable line for the first mistakes."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_explain(cls, error)}") from None
        except UnknownNameError as error:
            raise ConfigError(f"{where}: {error}") from None


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        ConfigError: the file is missing, is not YAML, holds an object tag, or is not a mapping.
    """
    file = Path(path)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; write a starter with: anomalon init {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not plain YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: holds {type(values).__name__}, expected a mapping of keys to values")
    return values


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    return "; ".join(dict.fromkeys(_line(model, dict(item)) for item in error.errors()[:3]))


def _line(model: type[BaseModel], item: dict[str, Any]) -> str:
    *parents, last = item["loc"] or ("",)
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key '{where}'; {suggest(str(last), _keys(model, parents))}"
    if item["type"] == "missing":
        return f"key '{where}' is required"
    return f"{where or 'value'} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}"


def _keys(model: type[BaseModel], path: list[Any]) -> list[str]:
    """Names allowed at ``path``, found by walking the annotations of the nested models."""
    models = [model]
    for part in path:
        nested = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [m for a in nested for m in _models_in(a)] or models
    return sorted({name for m in models for name in m.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if typing.get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    return [m for a in typing.get_args(annotation) for m in _models_in(a)]
