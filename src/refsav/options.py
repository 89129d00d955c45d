"""Every key of a configuration as an option of a command: `--views.frames 12` sets `frames` of table `[views]`."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperOption

from refsav.config import leaves


def options_of(model: type[BaseModel]) -> list[click.Option]:
    """Make one option a key, with the key's description and default, grouped by table in `--help`."""
    return [_option(dotted, field) for dotted, field in leaves(model)]


def given(context: click.Context) -> dict[str, Any]:
    """The keys that were set on the command line, dotted: {"views.frames": 12}."""
    overrides: dict[str, Any] = context.meta.get(__name__, {})
    return overrides


def _option(dotted: str, field: FieldInfo) -> click.Option:
    kind, multiple, is_flag = _click_type(field.annotation)
    table = dotted.rpartition(".")[0] or "general"

    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:  # noqa: ANN401 - whatever was given
        if value is not None and value != ():
            context.meta.setdefault(__name__, {})[dotted] = list(value) if multiple else value

    flags = f"--{dotted}/--no-{dotted}" if is_flag else f"--{dotted}"
    return TyperOption(
        param_decls=[dotted.replace(".", "__"), flags],
        type=kind,
        is_flag=is_flag,
        multiple=multiple,
        default=None,
        expose_value=False,
        callback=keep,
        help=f"{field.description or ''} [default: {_shown(field.default)}]",
        rich_help_panel=f"Configuration [{table}]",
    )


def _click_type(annotation: Any) -> tuple[click.ParamType | None, bool, bool]:  # noqa: ANN401 - an annotation is anything
    """Give (type, may be given more than once, is a switch)."""
    origin = get_origin(annotation)
    if origin is Literal:
        return click.Choice([str(value) for value in get_args(annotation)]), False, False
    if origin is tuple:
        return _click_type(get_args(annotation)[0])[0], True, False
    if origin in (Union, UnionType):
        return _click_type(get_args(annotation)[0])
    if annotation is bool:
        return None, False, True
    kinds: Mapping[Any, click.ParamType] = {int: click.INT, float: click.FLOAT}
    return kinds.get(annotation, click.STRING), False, False


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(str(value) for value in default) or "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default) if default != "" else "empty"
