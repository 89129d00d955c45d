"""Every key of a configuration as an option of a command: `--views.frames 12` sets `frames` of table `[views]`."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from refsav.cli.arguments import WholeNumber
from refsav.cli.key_help import KeyHelp
from refsav.config import leaves, tables_of

Result = TypeVar("Result")

HEADING = "Configuration"
"""Heading in `--help` of options that are keys of a configuration."""


def takes_options_of(model: type[BaseModel]) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a command one option per key of a configuration; lists of tables can only be set in files.

    The command has a keyword parameter `overrides`, which receives the keys that were set.
    """
    keys = {
        dotted.replace(".", "__"): (dotted, field)
        for dotted, field in leaves(model)
        if not any(tables_of(field.annotation))
    }

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(command)
        def with_overrides(*positional: Any, **named: Any) -> Result:  # noqa: ANN401 - the values of the options
            given = {keys[name][0]: named.pop(name) for name in keys if name in named}
            overrides = {dotted: value for dotted, value in given.items() if value not in (None, [])}
            return command(*positional, **named, overrides=overrides)

        own = [p for name, p in inspect.signature(command).parameters.items() if name != "overrides"]
        parameters = [*own, *_parameters(keys)]
        with_overrides.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_overrides.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_overrides

    return decorate


def _parameters(keys: Mapping[str, tuple[str, FieldInfo]]) -> Iterator[inspect.Parameter]:
    groups: dict[str, Group] = {}
    for name, (dotted, field) in keys.items():
        table = dotted.rpartition(".")[0]
        heading = f"{HEADING}: {table}" if table else HEADING
        group = groups.setdefault(heading, Group(heading, sort_key=len(groups), help_formatter=KeyHelp()))
        option = dotted.replace("_", "-")  # the library takes underscores too
        parameter = Parameter(
            name=f"--{option}",
            negative=f"--no-{option}" if field.annotation is bool else (),
            help=field.description,
            group=group,
            show_default=_shown(field.default),
        )
        annotation: Any = Annotated[_option_type(field.annotation), parameter]
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)


def _option_type(annotation: Any) -> Any:  # noqa: ANN401 - annotations go in and out
    """The type of an option's value: what the command line can express; the configuration checks the rest."""
    if get_origin(annotation) is tuple:
        return list[_option_type(get_args(annotation)[0])]  # type: ignore[misc]
    if annotation is int:
        return WholeNumber
    return annotation if annotation in (bool, float) or get_origin(annotation) is Literal else str


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ", ".join(str(value) for value in default) or "none"
    return str(default) if default != "" else "empty"
