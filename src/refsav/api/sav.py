"""SA-V videos and masklets, read video by video."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from refsav.api.video_object import VideoObject
from refsav.datasets.records import Unreadable
from refsav.datasets.sav.source import SourceConfig, discover, read_video

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SavVideo:
    """One video with its annotated objects."""

    video_id: str
    media: Path
    objects: tuple[VideoObject, ...]


def read_sav(
    source: str | Path, config: SourceConfig | None = None, *, on_problem: Callable[[str], None] = _log.warning
) -> Iterator[SavVideo]:
    """Read SA-V's training layout or its val and test layout, one video in memory.

    Args:
        source: Folder with the videos and their annotations, in any depth of folders.
        config: Which annotations to read and which objects to leave out; by default `BuildConfig().source`, which
            leaves out objects that are never larger than 25 pixels.
        on_problem: Called with one line for every file or object that cannot be read; logs a warning by default.

    Raises:
        RecordError: If `source` is not a folder.
    """
    used = config or SourceConfig()
    for entry in discover(Path(source), used):
        if isinstance(entry, Unreadable):
            on_problem(entry.error)
            continue
        found = read_video(entry, used)
        for error in (*(one.error for one in found.unreadable), *(one.error for one in found.failed)):
            on_problem(error)
        objects = tuple(VideoObject(track=track, media=entry.media) for track in found.tracks)
        yield SavVideo(video_id=entry.video_id, media=entry.media, objects=objects)
