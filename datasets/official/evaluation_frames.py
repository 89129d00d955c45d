"""The frames of the official evaluation set: one folder of JPEG files a video, written once, removed when it leaves."""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.frames import decode
from refsav.datasets.media import GONE, media_size
from refsav.datasets.records import VideoFile
from refsav.datasets.sav.train_layout import VIDEO_ID
from refsav.datasets.shards.samples import encode_frame
from refsav.disk.files import DiskError, write_bytes

FORMAT = 1
"""Raised when frames are written in another way, so that older ones are written anew."""
JPEG_QUALITY = 95
"""High, since masks are scored against what these frames show."""
FRAME_NAME = re.compile(r"[0-9]{5,}\.jpg")
MARKER_NAME = re.compile(rf"\.({VIDEO_ID.pattern})\.json")


def frame_names(indexes: Sequence[int]) -> list[str]:
    """Name frames by their increasing numbers in the video, so that the names sort as the frames follow each other."""
    digits = max(5, len(str(indexes[-1])))
    return [f"{index:0{digits}d}" for index in indexes]


def write_frames(video: VideoFile, indexes: Sequence[int], folder: Path) -> int:
    """Write some frames of a video below `folder`, unless they are there and were made from the same media.

    Frames of a video that the source has lost are kept.

    Returns:
        The size of the video's media now, in bytes; GONE if the source has lost it.

    Raises:
        RecordError: If a frame cannot be decoded.
        DiskError: If a frame cannot be written.
    """
    size = media_size(video.media)
    names = frame_names(indexes)
    frames, marker = folder / video.video_id, _marker(folder, video.video_id)
    made = _Made(inputs=_digest_of_inputs(names), media=size)
    if _is_there(marker, made, frames, names):
        return size
    try:
        marker.unlink(missing_ok=True)  # what a kill leaves now is not taken for whole
    except OSError as error:
        raise DiskError(marker, error) from error
    for name, (_, image) in zip(names, decode(video.media, indexes), strict=True):
        write_bytes(frames / f"{name}.jpg", encode_frame(image, JPEG_QUALITY))
    _remove_frames(frames, kept=frozenset(names))
    write_bytes(marker, _MADE.dump_json(made))
    return size


def remove_other_videos(folder: Path, kept: Collection[str]) -> None:
    """Remove the frames of all videos below `folder` but those in `kept`; what has no frame's name stays.

    No link is followed: what is outside is not ours. Raises DiskError.
    """
    try:
        if folder.is_symlink() or not folder.is_dir():
            return
        for entry in sorted(folder.iterdir()):
            marked = MARKER_NAME.fullmatch(entry.name)
            if entry.is_symlink() or (marked[1] if marked else entry.name) in kept:
                continue
            if entry.is_dir():
                _remove_frames(entry, kept=frozenset())
                _remove_if_empty(entry)
            elif marked:
                entry.unlink()
        _remove_if_empty(folder)
    except OSError as error:
        raise DiskError(folder, error) from error


def _remove_frames(folder: Path, kept: Collection[str]) -> None:
    try:
        for file in folder.iterdir():
            ours = FRAME_NAME.fullmatch(file.name) and file.is_file() and not file.is_symlink()
            if ours and file.stem not in kept and not folder.is_symlink():
                file.unlink()
    except OSError as error:
        raise DiskError(folder, error) from error


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@dataclass(frozen=True, slots=True)
class _Made:
    """What a video's frames were made from; kept beside their folder, which then holds all of them."""

    inputs: str
    media: int


_MADE = TypeAdapter(_Made)


def _digest_of_inputs(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([FORMAT, JPEG_QUALITY, *names]).encode()).hexdigest()


def _is_there(marker: Path, made: _Made, frames: Path, names: Sequence[str]) -> bool:
    try:
        there = _MADE.validate_json(marker.read_bytes())
        files = {file.name for file in frames.iterdir()}
    except (OSError, ValidationError):
        return False
    same = there.inputs == made.inputs and made.media in (GONE, there.media)
    return same and files.issuperset(f"{name}.jpg" for name in names)


def _marker(folder: Path, video_id: str) -> Path:
    """Hidden, so that the folder shows videos only."""
    return folder / f".{video_id}.json"
