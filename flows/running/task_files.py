"""The files of a run that a task reads and writes: what a remote machine downloads and uploads."""

from dataclasses import dataclass
from pathlib import Path

from refsav.annotators.bundles.plan import Bundle
from refsav.datasets.shards.plan import ShardPlan

BUNDLE_OUTPUTS = ("journal/", "logs/", "expressions/", "dropped/", "failed/", "unreadable/", "measures/")
"""Folders that the annotation of bundles writes to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFiles:
    """The files of a run that a task reads and writes; names of folders end with a slash."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    bundle: str = ""
    """Bundle that the task locks in the storage, because its journal grows meanwhile; empty for no lock."""


def bundle_files(bundle: str) -> TaskFiles:
    """List the files of the annotation of a bundle."""
    parts = [f"{folder}/{bundle}.parquet" for folder in ("expressions", "dropped", "unreadable", "measures", "failed")]
    writes = (*parts, f"failed/{bundle}.retry", f"journal/{bundle}.jsonl", f"logs/{bundle}.jsonl")
    return TaskFiles(reads=(f"bundles/{bundle}.json", *writes), writes=writes, bundle=bundle)


def shard_files(plan: ShardPlan, run: Path) -> TaskFiles:
    """List the files of writing a shard."""
    parts = tuple(part.relative_to(run).as_posix() for part in plan.parts)
    folder = f"shards/{plan.shards}"
    return TaskFiles(reads=parts, writes=(f"{folder}/{plan.name}", f"{folder}/.{plan.name}.json"))


def gallery_files(bundle: Bundle) -> TaskFiles:
    """List the files of drawing the gallery of a bundle."""
    parts = tuple(f"{folder}/{bundle.name}.parquet" for folder in ("expressions", "dropped", "failed"))
    writes = (f"report/data/{bundle.name}.js", *(f"report/media/{video.video_id}/" for video in bundle.videos))
    return TaskFiles(reads=(*parts, *writes), writes=writes)
