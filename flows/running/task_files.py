"""Which files of a run a task reads and writes: all that a machine far away has to be given, and what it gives back."""

from dataclasses import dataclass
from pathlib import Path

from refsav.annotators.bundles.plan import Bundle
from refsav.datasets.shards.plan import ShardPlan

OF_BUNDLES = ("journal/", "logs/", "expressions/", "dropped/", "failed/", "unreadable/", "measures/")
"""What the tasks of bundles leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a task reads and writes of a run: names of files, and of folders with a / at the end."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    bundle: str = ""
    """The bundle whose journal grows meanwhile: nobody else may work on it."""


def of_bundle(bundle: str) -> Needs:
    """What the description of a bundle's objects reads and writes."""
    parts = [f"{folder}/{bundle}.parquet" for folder in ("expressions", "dropped", "unreadable", "measures", "failed")]
    writes = (*parts, f"failed/{bundle}.retry", f"journal/{bundle}.jsonl", f"logs/{bundle}.jsonl")
    return Needs(reads=(f"bundles/{bundle}.json", *writes), writes=writes, bundle=bundle)


def of_shard(plan: ShardPlan, run: Path) -> Needs:
    """What the writing of a shard reads and writes."""
    parts = tuple(part.relative_to(run).as_posix() for part in plan.parts)
    folder = f"shards/{plan.shards}"
    return Needs(reads=parts, writes=(f"{folder}/{plan.name}", f"{folder}/.{plan.name}.json"))


def of_pictures(bundle: Bundle) -> Needs:
    """What the drawing of a bundle's pictures reads and writes."""
    parts = tuple(f"{folder}/{bundle.name}.parquet" for folder in ("expressions", "dropped", "failed"))
    writes = (f"report/data/{bundle.name}.js", *(f"report/media/{video.video_id}/" for video in bundle.videos))
    return Needs(reads=(*parts, *writes), writes=writes)
