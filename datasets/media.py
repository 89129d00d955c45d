"""The size of a video's media tells whether what was made from it still fits; media that is gone says nothing."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from refsav.datasets.records import VideoFile

GONE = -1
"""The size of media that was deleted, lies on a disk that is not mounted, or cannot be looked at."""


def media_size(media: Path) -> int:
    """Count the bytes of an mp4 file, or of all files of a folder of frames; GONE if there are none."""
    try:
        if not media.is_dir():
            return media.stat().st_size
        sizes = [file.stat().st_size for file in media.iterdir()]
    except OSError:
        return GONE
    return sum(sizes) if sizes else GONE  # an empty folder is what a lost mount leaves


def media_sizes(videos: Iterable[VideoFile]) -> dict[str, int]:
    """Count the bytes of every video's media, by video id."""
    return {video.video_id: media_size(video.media) for video in videos}


def still_made_from(then: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Tell whether what was made from media of the sizes `then` can stay, now that they have the sizes `now`."""
    return then.keys() == now.keys() and all(size in (GONE, then[video_id]) for video_id, size in now.items())
