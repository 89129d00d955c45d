"""What all commands share: consoles, help, the form of errors, and how a command is registered without its module."""

import ast
from itertools import count
from pathlib import Path

from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError
from rich.console import Console
from rich.text import Text

from refsav import __version__
from refsav.errors import RefSavError

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

_order = count()


def new_app(name: str, purpose: str, *, epilogue: str = "", group: Group | None = None) -> App:
    """Create a command that holds other commands."""
    return App(
        name=name,
        help=purpose,
        group=group,
        help_epilogue=epilogue,
        help_format="plaintext",
        version=f"refsav {__version__}",
        console=Console(highlight=False),
        error_console=err,
        error_formatter=_message,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative=(), allow_repeating=True),
        group_commands=Group("Options", sort_key=100),
        group_parameters=Group.create_default_parameters("Options"),
    )


def lazily(app: App, group: Group, module: str, *names: str) -> None:
    """Register commands of a module of this folder without importing it.

    The imports of a command take a second, and `--help` of all commands needs only their docstrings, which are read
    from the source.

    Args:
        app: Where the commands belong.
        group: Their heading in `--help`.
        module: Name of the module.
        *names: Names of commands; their functions have underscores, and one at the end where Python has a keyword.
    """
    source = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
    helps = {node.name: ast.get_docstring(node) for node in source.body if isinstance(node, ast.FunctionDef)}
    for name in names:
        function = "import_" if name == "import" else name.replace("-", "_")
        path = f"refsav.cli.{module}:{function}"
        text = _paragraphs(helps[function] or "")
        app.command(path, name=name, group=group, help=text, help_epilogue="", sort_key=next(_order))


def _paragraphs(text: str) -> str:
    """Leave line breaks to the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _message(error: CycloptsError) -> Text:
    extra = error.unused_tokens if isinstance(error, UnusedCliTokensError) else None
    problem = f"unexpected argument {extra[0]!r}" if extra else str(error)
    command = " ".join(["refsav", *(error.command_chain or ())])
    fix = f"{command} --help lists its arguments and options"
    return Text.assemble(("error:", "bold red"), " ", str(RefSavError(problem, fix=fix)))
