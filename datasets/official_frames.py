"""The frames of the official evaluation set: one folder of JPEG files a video, written once, removed when it leaves."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from refsav.datasets.frames import decode
from refsav.datasets.records import VideoFile
from refsav.datasets.samples import encode_jpeg
from refsav.files import DiskError, write_bytes

JPEG_QUALITY = 95
"""High, since masks are scored against what these frames show."""
FRAME_NAME = re.compile(r"[0-9]{5,}\.jpg")


def frame_names(indexes: Sequence[int]) -> list[str]:
    """Name frames by their increasing numbers in the video, so that the names sort as the frames follow each other."""
    digits = max(5, len(str(indexes[-1])))
    return [f"{index:0{digits}d}" for index in indexes]


def write_frames(video: VideoFile, indexes: Sequence[int], folder: Path) -> None:
    """Write some frames of a video below `folder`, and remove others of it.

    Raises:
        RecordError: If a frame cannot be decoded.
        DiskError: If a frame cannot be written.
    """
    files = [f"{name}.jpg" for name in frame_names(indexes)]
    for file, (_, image) in zip(files, decode(video.media, indexes), strict=True):
        write_bytes(folder / video.video_id / file, encode_jpeg(image, JPEG_QUALITY))
    _remove_frames(folder / video.video_id, kept=frozenset(files))


def remove_other_videos(folder: Path, kept: Collection[str]) -> None:
    """Remove the frames of all videos below `folder` but those in `kept`; what has no frame's name stays.

    No link is followed: what is outside is not ours. Raises DiskError.
    """
    try:
        if folder.is_symlink() or not folder.is_dir():
            return
        for entry in sorted(folder.iterdir()):
            if entry.name not in kept and entry.is_dir() and not entry.is_symlink():
                _remove_frames(entry, kept=frozenset())
                _remove_if_empty(entry)
        _remove_if_empty(folder)
    except OSError as error:
        raise DiskError(folder, error) from error


def _remove_frames(folder: Path, kept: Collection[str]) -> None:
    for file in folder.iterdir():
        if FRAME_NAME.fullmatch(file.name) and file.name not in kept and file.is_file() and not file.is_symlink():
            file.unlink()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
