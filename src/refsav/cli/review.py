"""The commands of a review: people check the validation set, in Label Studio or in a sheet."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from refsav.cli.arguments import BuiltRun, Overrides
from refsav.cli.options import takes_options_of
from refsav.commands import run_flows
from refsav.datasets.review.config import ReviewConfig


@takes_options_of(ReviewConfig)
def export(
    run: BuiltRun,
    /,
    *,
    overrides: Overrides,
    sheet: Annotated[
        Path | None, Parameter(help="Also write a CSV or JSONL file to fill in, for a team without Label Studio.")
    ] = None,
) -> None:
    """Write the review queue to RUN/review: the objects to check, each with a video clip and a contact sheet."""
    run_flows.export_review(run, overrides, sheet)


@takes_options_of(ReviewConfig)
def push(run: BuiltRun, /, *, overrides: Overrides) -> None:
    """Send the queue to Label Studio; tasks that are already there are not sent again.

    The token is read from LABEL_STUDIO_API_KEY: a personal access token.
    """
    run_flows.push_review(run, overrides)


@takes_options_of(ReviewConfig)
def pull(run: BuiltRun, /, *, overrides: Overrides) -> None:
    """Fetch annotations from Label Studio, and write validation shards and exports from them."""
    run_flows.import_review(run, overrides, None)


@takes_options_of(ReviewConfig)
def import_(
    run: BuiltRun,
    sheet: Annotated[Path, Parameter(help="CSV or JSONL file that `refsav review export --sheet` wrote.")],
    /,
    *,
    overrides: Overrides,
) -> None:
    """Read the answers of a filled-in sheet, and write validation shards and exports from them."""
    run_flows.import_review(run, overrides, sheet)
