"""The commands of a review: people check the validation set, in Label Studio or in a sheet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from refsav.cli.options import ConfigurableCommand, takes_options_of
from refsav.datasets.review.config import ReviewConfig

# What is slow to load is imported where it is used: --help answers at once.

app = typer.Typer(
    name="review",
    help="Have people check the validation set: export, push, pull with Label Studio; export, import with sheets.",
    no_args_is_help=True,
    add_completion=False,
)

BuiltRun = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of a build.")]
Overrides: TypeAlias = Mapping[str, Any]


@app.command(cls=ConfigurableCommand)
@takes_options_of(ReviewConfig)
def export(
    run: BuiltRun,
    overrides: Overrides,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a CSV or JSONL file to fill in, too, for a team without Label Studio.")
    ] = None,
) -> None:
    """Make the queue, RUN/review: which objects people are asked about, with a film and a strip of pictures of each."""
    from refsav.commands import run_flows as launch

    launch.export_review(run, overrides, sheet)


@app.command(cls=ConfigurableCommand)
@takes_options_of(ReviewConfig)
def push(run: BuiltRun, overrides: Overrides) -> None:
    """Send the queue to Label Studio; what is there already is not sent again.

    The token is read from LABEL_STUDIO_API_KEY: a personal access token.
    """
    from refsav.commands import run_flows as launch

    launch.push_review(run, overrides)


@app.command(cls=ConfigurableCommand)
@takes_options_of(ReviewConfig)
def pull(run: BuiltRun, overrides: Overrides) -> None:
    """Bring annotations back from Label Studio, and make validation shards and exports of them."""
    from refsav.commands import run_flows as launch

    launch.import_review(run, overrides, None)


@app.command(name="import", cls=ConfigurableCommand)
@takes_options_of(ReviewConfig)
def import_(
    run: BuiltRun,
    sheet: Annotated[Path, typer.Argument(help="CSV or JSONL file that `refsav review export --sheet` wrote.")],
    overrides: Overrides,
) -> None:
    """Take the answers of a filled-in sheet, and make validation shards and exports of them."""
    from refsav.commands import run_flows as launch

    launch.import_review(run, overrides, sheet)
