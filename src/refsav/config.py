"""Configuration: frozen pydantic models, TOML in and out, unknown keys refused with the nearest right one."""

import difflib
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from refsav.errors import ConfigError


class Config(BaseModel):
    """Base of every configuration: immutable, complete (each key has a default), and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], origin: str) -> Self:
        """Check `values` and make the configuration.

        Args:
            values: Nested tables, as TOML has them.
            origin: Where the values come from, for messages: a file or "command line".

        Raises:
            ConfigError: For unknown keys and values out of range; every problem is listed, with the nearest right key.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = "\n".join(f"  {_explain(cls, detail)}" for detail in error.errors())
            raise ConfigError(f"{origin}: this configuration cannot be used\n{problems}") from None

    @classmethod
    def from_toml(cls, path: Path, overrides: Mapping[str, Any] | None = None, *, layers: Sequence[Path] = ()) -> Self:
        """Read a TOML file.

        Args:
            path: The file.
            overrides: Maps dotted keys ("views.frames") to values that win over all files.
            layers: Further files, each of whose keys win over those before it.

        Raises:
            ConfigError: If a file cannot be read, is not TOML, or does not fit.
        """
        values: Mapping[str, Any] = {}
        for one in (path, *layers):
            values = with_overrides(values, dict(_dotted(_read_toml(one))))
        origin = " with ".join(str(one) for one in (path, *layers))
        return cls.from_mapping(with_overrides(values, overrides or {}), origin)


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with each dotted key of `overrides` set; the input is left alone."""
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for dotted, value in overrides.items():
        head, _, rest = dotted.partition(".")
        if rest:
            inner = merged.get(head, {})
            if not isinstance(inner, Mapping):
                raise ConfigError(f"{head} is a value, not a table: it cannot hold {dotted!r}")
            merged[head] = with_overrides(inner, {rest: value})
        else:
            merged[head] = value
    return merged


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", fix="give the path of a TOML file", path=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", fix="correct the file", path=path) from None


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted key, field) for every value that a configuration holds, in the order of the classes."""
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            yield from leaves(inner, f"{prefix}{name}.")


def tables_of(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - an annotation can be anything
    """Yield the models that a list of tables holds: those inside of the annotation of its field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from tables_of(inner)


def _inner_model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation can be anything
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return None


UNSHOWN = frozenset({"value_error", "string_pattern_mismatch"})
"""Kinds of problem whose value is not repeated: it may be a key that was put in the wrong place."""


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        shown = "" if detail["type"] in UNSHOWN else f" (is {detail['input']!r})"
        return f"{key}: {detail['msg']}{shown}"
    known = list(dict.fromkeys(_known_keys(model)))
    tables = {dotted.rpartition(".")[0] for dotted in known} - {""}
    near = difflib.get_close_matches(key, [*known, *tables], n=1, cutoff=0.5)
    same_name = [dotted for dotted in known if dotted.rpartition(".")[2] == key.rpartition(".")[2]]
    suggestion = (same_name or near or [""])[0]
    return f"{key}: there is no such key" + (f"; did you mean {suggestion}?" if suggestion else "")


def _known_keys(model: type[BaseModel]) -> Iterator[str]:
    for dotted, field in leaves(model):
        yield dotted
        for table in tables_of(field.annotation):
            yield from (f"{dotted}.{key}" for key in _known_keys(table))


__all__ = ["Config", "leaves", "tables_of", "with_overrides"]
