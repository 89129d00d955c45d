"""Every key of a configuration as an option of a command: `--views.frames 12` sets `frames` of table `[views]`."""

import functools
import inspect
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text
from typer.core import TyperCommand, TyperOption

from refsav.config import leaves, tables_of

Result = TypeVar("Result")

PANEL = "Configuration"
"""Heading in `--help` of options that are keys of a configuration."""


def takes_options_of(model: type[BaseModel]) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a typer command of class `ConfigurableCommand` one option a key; lists of tables are for files alone.

    The command has a parameter `overrides`: it gets the keys that were set, dotted, as {"views.frames": 12}.
    """
    keys = {
        dotted.replace(".", "__"): (dotted, field)
        for dotted, field in leaves(model)
        if not any(tables_of(field.annotation))
    }

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


class ConfigurableCommand(TyperCommand):
    """A command with options of `takes_options_of`: `--help` shows them below its own, grouped by table.

    typer's own table has a column each for name, type and help, and cuts names and defaults in a terminal of 80
    columns; here a line has them whole, and the meaning stands below.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer keeps these types to itself
        """Print the help."""
        options = [one for one in self.params if isinstance(one, TyperOption) and _is_of_configuration(one)]
        for option in options:
            option.hidden = True  # from typer's own table
        super().format_help(ctx, formatter)
        console = Console(highlight=False)
        for panel, members in groupby(options, key=lambda option: option.rich_help_panel):
            lines = Group(*(line for option in members for line in _help_of(option)))
            console.print(Panel(lines, title=panel, title_align="left", border_style="dim"))


def _is_of_configuration(option: TyperOption) -> bool:
    return (option.rich_help_panel or "").startswith(PANEL)


def _help_of(option: TyperOption) -> Iterator[RenderableType]:
    names = "/".join([*option.opts, *option.secondary_opts])
    default = f"[{option.show_default}]"
    yield Text.assemble((names, "bold cyan"), " ", (option.metavar or "", "yellow"), " ", (default, "dim"))
    yield Padding(Text(option.help or ""), (0, 0, 0, 4))


def _parameter(name: str, dotted: str, field: FieldInfo) -> inspect.Parameter:
    table = dotted.rpartition(".")[0]
    flags = f"--{dotted}/--no-{dotted}" if field.annotation is bool else f"--{dotted}"
    option = typer.Option(
        None,
        flags,
        help=field.description,
        metavar=_metavar(field.annotation),
        rich_help_panel=f"{PANEL}: {table}" if table else PANEL,
        show_default=_shown(field.default),
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


def _metavar(annotation: Any) -> str | None:  # noqa: ANN401 - any annotation
    if annotation is bool:
        return None
    if get_origin(annotation) is Literal:
        return f"<{'|'.join(get_args(annotation))}>"
    if get_origin(annotation) is tuple:
        return f"<{get_args(annotation)[0].__name__}>, may be given again"
    return f"<{getattr(annotation, '__name__', 'str')}>"


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ", ".join(str(value) for value in default) or "none"
    return str(default) if default != "" else "empty"
