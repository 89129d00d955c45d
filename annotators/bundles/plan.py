"""Bundles: some tens of videos each, the unit of work. The plan is on disk, so that a resumed or grown run keeps it.

A video stays in its bundle; new videos get new bundles.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run.parts import is_done
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.train_layout import VIDEO_ID
from refsav.disk.files import write_text
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The videos of one unit of work, and the name of all files that it writes."""

    name: str
    """For example "bundle-000000"."""
    videos: tuple[VideoFile, ...]


def read_plan(run: RunDirectory, source: Path) -> Iterator[Bundle]:
    """Yield the bundles of a run, in order. Raises RecordError for a damaged file.

    A build calls it several times instead of keeping the plan: reading 50,000 videos takes two seconds.
    """
    for path in sorted(run.bundles.glob("bundle-*.json")):
        yield read_bundle(path, source)


def read_bundle(path: Path, source: Path) -> Bundle:
    """Read one bundle's list of videos. Raises RecordError."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["videos"]
        videos = tuple(_as_video(entry, source) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(path, "", f"is damaged: {error}", "remove the run directory and build again") from None
    return Bundle(name=path.stem, videos=videos)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """How much of a plan is not done."""

    bundles: int
    of_bundles: int
    videos: int
    of_videos: int


def remaining(run: RunDirectory, source: Path) -> Remaining:
    """Count what a stopped build has left to do. Raises RecordError for a damaged plan."""
    sizes = [(len(bundle.videos), is_done(run, bundle.name)) for bundle in read_plan(run, source)]
    left = [videos for videos, done in sizes if not done]
    return Remaining(
        bundles=len(left), of_bundles=len(sizes), videos=sum(left), of_videos=sum(videos for videos, _ in sizes)
    )


def extend_plan(
    run: RunDirectory, source: Path, entries: Iterable[VideoFile | Unreadable], bundle_videos: int
) -> Iterator[Unreadable]:
    """Put videos that are in no bundle into new bundles; yield what could not be listed.

    Keeps one bundle and the ids of all videos in memory.

    Args:
        run: The run; it may have a plan already.
        source: Folder with the videos.
        entries: All videos of the source, and what cannot be read there.
        bundle_videos: Videos in a new bundle.

    Raises:
        RecordError: If the plan on disk is damaged.
        DiskError: If it cannot be written.
    """
    known: set[str] = set()
    count = 0
    for bundle in read_plan(run, source):
        known.update(video.video_id for video in bundle.videos)
        count += 1
    waiting: list[VideoFile] = []
    for entry in entries:
        if isinstance(entry, Unreadable):
            yield entry
        elif entry.video_id not in known:
            waiting.append(entry)
        if len(waiting) == bundle_videos:
            write_bundle(run, source, _numbered(count, waiting))
            count, waiting = count + 1, []
    if waiting:
        write_bundle(run, source, _numbered(count, waiting))


def write_bundle(run: RunDirectory, source: Path, bundle: Bundle) -> None:
    """Write one bundle's list of videos. Raises DiskError."""
    entries = [
        {
            "video_id": video.video_id,
            "folder": video.folder,
            "media": video.media.relative_to(source).as_posix(),
            "annotations": [path.relative_to(source).as_posix() for path in video.annotations],
        }
        for video in bundle.videos
    ]
    write_text(run.bundles / f"{bundle.name}.json", json.dumps({"videos": entries}, indent=1) + "\n")


def _numbered(number: int, videos: Sequence[VideoFile]) -> Bundle:
    return Bundle(name=f"bundle-{number:06d}", videos=tuple(videos))


def _as_video(entry: dict[str, Any], source: Path) -> VideoFile:
    if not VIDEO_ID.fullmatch(entry["video_id"]):
        raise ValueError(f"{entry['video_id'][:60]!r} is not a video id")
    paths = [entry["media"], *entry["annotations"]]
    if any(Path(path).is_absolute() or ".." in Path(path).parts for path in paths):
        raise ValueError(f"a path of {entry['video_id']} is outside the source")
    return VideoFile(
        video_id=entry["video_id"],
        media=source / entry["media"],
        annotations=tuple(source / path for path in entry["annotations"]),
        folder=entry["folder"],
    )
