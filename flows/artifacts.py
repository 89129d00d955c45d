"""What Prefect's page shows of a flow: how far it is, and what came out."""

import base64
import re
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from refsav.annotators.gallery_tables import tables_of
from refsav.datasets.run import RunDirectory
from refsav.datasets.statistics import Statistics


class ProgressArtifact:
    """A bar on Prefect's page. Updated by whole percents only: each update is a request to its server."""

    def __init__(self, description: str, total: int) -> None:
        self._total = total
        self._done = 0
        begin = 0.0 if total else 100.0
        made = create_progress_artifact(progress=begin, key=_key(description), description=description)
        self._artifact_id = cast(UUID, made)  # outside of asynchronous code Prefect gives the id itself
        self._shown = 0

    def advance(self) -> None:
        """Show that one more of the total is done."""
        self._done += 1
        percent = 100 * self._done // self._total
        if percent > self._shown:
            self._shown = percent
            update_progress_artifact(self._artifact_id, progress=percent)


def publish_summary(run: RunDirectory, statistics: Statistics) -> None:
    """Put the outcome of a build on Prefect's page: what became of the objects as a table, the rest as a page."""
    outcomes = [{"outcome": "expressions", "stage": "", "reason": "", "objects": statistics.expressions}]
    for outcome, losses in (("dropped", statistics.dropped_by), ("failed", statistics.failed_by)):
        outcomes += [
            {"outcome": outcome, "stage": loss.stage, "reason": loss.reason, "objects": loss.count} for loss in losses
        ]
    create_table_artifact(
        table=outcomes, key=_key(f"{run.root.name} objects"), description="What became of all objects"
    )
    stages = next(table for table in tables_of(statistics) if table["head"][0] == "Stage")
    create_table_artifact(
        table=[dict(zip(stages["head"], row, strict=True)) for row in stages["rows"]],
        key=_key(f"{run.root.name} stages"),
        description=f"What each stage has used. {stages['note']}",
    )
    lines = [
        f"# {run.root.name}",
        f"{statistics.objects_read} objects = {statistics.expressions} expressions + {statistics.dropped} dropped "
        f"+ {statistics.failed} failed",
        f"Gallery: `{run.report / 'index.html'}`  \nShards: `{run.shards}`",
    ]
    for table in tables_of(statistics):
        rows = [
            "| " + " | ".join(cells) + " |" for cells in (table["head"], ["---"] * len(table["head"]), *table["rows"])
        ]
        lines += [f"## {table['title']}", "\n".join(rows), table["note"]]
    create_markdown_artifact(markdown="\n\n".join(lines), key=_key(f"{run.root.name} summary"))


def publish_markdown(name: str, text: str) -> None:
    """Put a page of text and tables on Prefect's page."""
    create_markdown_artifact(markdown=text, key=_key(name))


def publish_picture(name: str, description: str, picture: Path) -> None:
    """Put a picture on Prefect's page, with its path: whoever looks may sit elsewhere, so it is sent along."""
    kind = "png" if picture.suffix == ".png" else "jpeg"
    content = base64.b64encode(picture.read_bytes()).decode("ascii")
    text = f"{description}: `{picture}`\n\n![{description}](data:image/{kind};base64,{content})"
    create_markdown_artifact(markdown=text, key=_key(name), description=description)


def _key(text: str) -> str:
    """Prefect's keys are lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
