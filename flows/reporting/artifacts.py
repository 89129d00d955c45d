"""Prefect artifacts of a flow: its progress and its results."""

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

from refsav.annotators.gallery.contact_sheets import newest_sheets
from refsav.annotators.gallery.tables import tables_of
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import Statistics

STRIPS = 4
"""Objects whose images a build publishes."""


class ProgressArtifact:
    """A progress bar on Prefect's page, updated by whole percents only: each update is a request to its server."""

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


def publish_summary(run: RunDirectory, statistics: Statistics, address: str) -> None:
    """Publish the outcome of a build: the counts of objects as a table, the rest as a page.

    Args:
        run: The run.
        statistics: Its statistics.
        address: Where its gallery is served; empty if it is not.
    """
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
    gallery = f"[{address}]({address})" if address else f"`{run.report / 'index.html'}`"
    lines = [
        f"# {run.root.name}",
        f"{statistics.objects_read} objects = {statistics.expressions} expressions + {statistics.dropped} dropped "
        f"+ {statistics.failed} failed",
        f"Gallery: {gallery}  \nShards: `{run.shards}`",
    ]
    for table in tables_of(statistics):
        rows = [
            "| " + " | ".join(cells) + " |" for cells in (table["head"], ["---"] * len(table["head"]), *table["rows"])
        ]
        lines += [f"## {table['title']}", "\n".join(rows), table["note"]]
    for strip in newest_sheets(run, STRIPS):
        lines += [f"## {strip.name}", _shown(strip.name, strip.jpeg), f"> {_plain(strip.text)}"]
    publish_markdown(f"{run.root.name} summary", "\n\n".join(lines), "Figures, and what was described last")


def publish_markdown(name: str, text: str, description: str = "") -> None:
    """Publish a Markdown page."""
    create_markdown_artifact(markdown=text, key=_key(name), description=description or None)


def publish_picture(name: str, description: str, picture: Path) -> None:
    """Publish an image, with its path."""
    text = f"{description}: `{picture}`\n\n{_shown(description, picture.read_bytes(), picture.suffix)}"
    publish_markdown(name, text, description)


def _shown(name: str, picture: bytes, suffix: str = ".jpg") -> str:
    """The page may be open on another machine, so the image is embedded."""
    kind = "png" if suffix == ".png" else "jpeg"
    return f"![{name}](data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')})"


def _plain(text: str) -> str:
    """Escape a model's text, so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>#!|~])", r"\\\1", " ".join(text.split()))


def _key(text: str) -> str:
    """Make a key for Prefect: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
