"""Media sizes in bytes, by which a build detects that a video has changed since its outputs were made from it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from refsav.datasets.records import VideoFile

GONE = -1
"""Stands for the size of media that was deleted, is on an unmounted disk, or is not accessible."""


def media_size(media: Path) -> int:
    """Return the bytes of an mp4 file, or of all files of a folder of frames; GONE if there are none."""
    try:
        if not media.is_dir():
            return media.stat().st_size
        sizes = [file.stat().st_size for file in media.iterdir()]
    except OSError:
        return GONE
    return sum(sizes) if sizes else GONE  # an unmounted disk leaves an empty folder


def media_sizes(videos: Iterable[VideoFile]) -> dict[str, int]:
    """Return the bytes of every video's media by video id; GONE for missing media."""
    return {video.video_id: media_size(video.media) for video in videos}


def media_unchanged(then: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Return whether outputs made from media of the sizes `then` are still valid for media of the sizes `now`.

    Media that is missing now counts as unchanged, so that outputs stay when a disk is not mounted.
    """
    return then.keys() == now.keys() and all(size in (GONE, then[video_id]) for video_id, size in now.items())
