"""The source of videos and masklets: one interface to SA-V's two layouts, and the filters on objects."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from refsav.config import Config
from refsav.datasets.records import Dropped, Failed, ObjectTrack, Source, Unreadable, VideoFile
from refsav.datasets.sav import train_layout as sav_train
from refsav.datasets.sav import val_layout as sav_val
from refsav.errors import RecordError


class SourceConfig(Config):
    """Which videos and objects to take from a source."""

    annotations: Literal["manual", "auto", "both"] = Field(
        "both", description="Which masklets to read: drawn by people (manual), by SAM-2 (auto), or both."
    )
    videos: str = Field("", description="Text file with one video id per line: only these are read. Empty: all.")
    min_area_px: int = Field(
        25, ge=1, description="Drop objects whose largest mask has fewer pixels: they are too small to describe."
    )
    min_visible_frames: int = Field(
        1, ge=1, description="Drop objects that are visible in fewer annotated frames (SA-V: 6 per second)."
    )
    min_stability: float = Field(
        0.0, ge=0, le=1, description="Drop auto masklets whose mean stability score (0-1) is lower."
    )
    max_objects: int = Field(0, ge=0, description="Objects kept per video, the largest first; 0 keeps all.")


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoObjects:
    """One video with all of its objects: those to describe, those that a filter dropped, and those that failed."""

    video: VideoFile
    tracks: tuple[ObjectTrack, ...]
    dropped: tuple[Dropped, ...]
    failed: tuple[Failed, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def object_count(self) -> int:
        """Number of objects in the annotations that could be listed: described, dropped and failed ones."""
        return len(self.tracks) + len(self.dropped) + len(self.failed)


def discover(source: Path, config: SourceConfig) -> Iterator[VideoFile | Unreadable]:
    """List the videos of a source lazily, in a fixed order.

    A video that cannot be used is reported as Unreadable, not skipped; so is, at the end, every id of the configured
    list that no video has.

    Raises:
        RecordError: If `source` is not a folder that can be listed, or the list of ids cannot be read.
    """
    if not source.is_dir():
        if source.is_file():
            raise RecordError(source, "", "is a file, not a folder", f"give its folder: {source.parent}")
        raise RecordError(source, "", "there is no such folder", "give the folder that holds the videos")
    wanted = read_ids(Path(config.videos)) if config.videos else None
    folder_of: dict[str, str] = {}
    reported: set[str] = set()
    for entry in _listing(source, config):
        if isinstance(entry, Unreadable):
            reported.add(PurePosixPath(entry.path).stem)
            yield entry
        elif wanted is not None and entry.video_id not in wanted:
            continue
        elif entry.video_id in folder_of:
            where = entry.media.relative_to(source).as_posix()
            problem = f"{where}: folder {folder_of[entry.video_id] or '.'} already has a video with id {entry.video_id}"
            yield Unreadable(path=where, error=f"{problem}; fix: rename or remove one of the two")
        else:
            folder_of[entry.video_id] = entry.folder
            yield entry
    for video_id in sorted((wanted or frozenset()) - folder_of.keys() - reported):
        where = Path(config.videos).name
        problem = f"{where}: {video_id}: the source has no video with this id"
        yield Unreadable(path=where, error=f"{problem}; fix: correct the line, or remove it")


def read_video(video: VideoFile, config: SourceConfig) -> VideoObjects:
    """Read the objects of one video and apply the filters.

    Bad data raises no error: the result lists it under `failed` and `unreadable`.
    """
    tracks: list[ObjectTrack] = []
    dropped: list[Dropped] = []
    failed: list[Failed] = []
    unreadable: list[Unreadable] = []
    for entry in (sav_val if video.media.name == video.video_id else sav_train).read(video):
        if isinstance(entry, Failed):
            failed.append(entry)
        elif isinstance(entry, Unreadable):
            unreadable.append(entry)
        elif reason := drop_reason(entry[0], entry[1], config):
            dropped.append(Dropped(track=entry[0], stage="filter", reason=reason))
        else:
            tracks.append(entry[0])
    kept, too_many = _largest(tracks, config.max_objects)
    return VideoObjects(
        video=video,
        tracks=kept,
        dropped=(*dropped, *too_many),
        failed=tuple(failed),
        unreadable=tuple(unreadable),
    )


def drop_reason(track: ObjectTrack, stability: float, config: SourceConfig) -> str:
    """Return why a filter drops a track, or "" if it is kept.

    Args:
        track: The object.
        stability: Its mean stability score, fraction 0-1.
        config: The filters.
    """
    largest = max(track.areas_px, default=0)
    if largest == 0:
        return "never visible: every mask is empty"
    if largest < config.min_area_px:
        return f"too small: largest mask {largest} px, min_area_px is {config.min_area_px}"
    if track.visible_rows < config.min_visible_frames:
        return f"too short: visible in {track.visible_rows} annotated frames, min is {config.min_visible_frames}"
    if stability < config.min_stability:
        return f"unstable: mean stability score {stability:.3f}, min_stability is {config.min_stability}"
    return ""


def read_ids(path: Path) -> frozenset[str]:
    """Read a text file with one video id per line; empty lines and lines that start with # are ignored.

    Raises:
        RecordError: If it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(path, "", f"cannot be read: {error}", "give a text file with one video id per line") from None
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _listing(source: Path, config: SourceConfig) -> Iterator[VideoFile | Unreadable]:
    if (source / sav_val.FRAMES_FOLDER).is_dir():
        return sav_val.discover(source)
    sources: frozenset[Source] = frozenset(("manual", "auto"))
    return sav_train.discover(source, sources if config.annotations == "both" else frozenset((config.annotations,)))


def _largest(tracks: list[ObjectTrack], limit: int) -> tuple[tuple[ObjectTrack, ...], tuple[Dropped, ...]]:
    if not limit or len(tracks) <= limit:
        return tuple(tracks), ()
    by_size = sorted(tracks, key=lambda track: (-max(track.areas_px), track.key))
    kept = {track.key for track in by_size[:limit]}
    reason = f"not among the {limit} largest objects of its video"
    dropped = tuple(Dropped(track=track, stage="filter", reason=reason) for track in by_size[limit:])
    return tuple(track for track in tracks if track.key in kept), dropped
