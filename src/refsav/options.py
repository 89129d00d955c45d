"""Every key of a configuration as an option of a command: `--views.frames 12` sets `frames` of table `[views]`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from refsav.config import leaves

Result = TypeVar("Result")


def takes_options_of(model: type[BaseModel]) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a typer command one option a key, grouped by table in `--help`, the default in brackets.

    The command has a parameter `overrides`: it gets the keys that were set, dotted, as {"views.frames": 12}.
    """
    keys = {dotted.replace(".", "__"): (dotted, field) for dotted, field in leaves(model)}

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(command)
        def with_overrides(**arguments: Any) -> Result:  # noqa: ANN401 - whatever the options hold
            given = {keys[name][0]: arguments.pop(name) for name in keys}
            overrides = {dotted: value for dotted, value in given.items() if value not in (None, [])}
            return command(**arguments, overrides=overrides)

        own = [p for name, p in inspect.signature(command).parameters.items() if name != "overrides"]
        parameters = [
            *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own),
            *(_parameter(name, dotted, field) for name, (dotted, field) in keys.items()),
        ]
        with_overrides.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_overrides.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_overrides

    return decorate


def _parameter(name: str, dotted: str, field: FieldInfo) -> inspect.Parameter:
    table = dotted.rpartition(".")[0]
    flags = f"--{dotted}/--no-{dotted}" if field.annotation is bool else f"--{dotted}"
    option = typer.Option(
        None,
        flags,
        help=f"{field.description or ''} ({_shown(field.default)})",
        rich_help_panel=f"Configuration: {table}" if table else "Configuration",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=_option_type(field.annotation)
    )


def _option_type(annotation: Any) -> Any:  # noqa: ANN401 - annotations go in and out
    """The type of an option that may be left out: None then, or an empty list."""
    if get_origin(annotation) is tuple:
        return list[get_args(annotation)[0]] | None  # type: ignore[misc]
    known = annotation in (bool, int, float, str) or get_origin(annotation) is Literal
    return (annotation if known else str) | None


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ", ".join(str(value) for value in default) or "none"
    return str(default) if default != "" else "empty"
