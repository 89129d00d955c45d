"""The panel of `--help` for the keys of one table: a line with name, value and default, the meaning below it."""

from collections.abc import Iterator

from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text


class KeyHelp:
    """Shows names and defaults in full in a terminal of 80 columns; a column for each would cut them."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:  # noqa: ARG002 - of the protocol
        """Print the panel of a table."""
        lines = Group(*(line for entry in panel.entries for line in _lines(entry)))
        console.print(Panel(lines, title=str(panel.title), title_align="left", border_style="dim"))


def _lines(entry: HelpEntry) -> Iterator[RenderableType]:
    value = f"<{'|'.join(entry.choices)}>" if entry.choices else entry.metavar or ""
    value = value.replace("...", ", may be repeated")
    parts = (("/".join(entry.names), "bold cyan"), (value, "yellow"), (f"[{entry.default}]", "dim"))
    yield Text(" ").join(Text(*part) for part in parts if part[0])
    yield Padding(entry.description, (0, 0, 0, 4))
