"""The frames of the official evaluation set: one folder of JPEG files per video, written once, removed with the video.

A hidden marker file next to a video's folder records what its frames were made from; it is written last, so a folder
with a marker is complete.
"""

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
"""Increase this when frames are written in another way, so that existing ones are rewritten."""
JPEG_QUALITY = 95
"""High, because models that are scored see only these frames."""
FRAME_NAME = re.compile(r"[0-9]{5,}\.jpg")
MARKER_NAME = re.compile(rf"\.({VIDEO_ID.pattern})\.json")


def frame_names(indexes: Sequence[int]) -> list[str]:
    """Name frames by their increasing numbers in the video, zero-padded so that the names sort in frame order."""
    digits = max(5, len(str(indexes[-1])))
    return [f"{index:0{digits}d}" for index in indexes]


def write_frames(video: VideoFile, indexes: Sequence[int], folder: Path) -> int:
    """Write frames of a video below `folder`, unless they exist and were made from the same media.

    Existing frames of a video whose media is missing are kept.

    Args:
        video: The source video.
        indexes: Increasing frame numbers in the video, from 0.
        folder: The folder that gets one folder per video.

    Returns:
        The current size of the video's media in bytes; GONE if it is missing.

    Raises:
        RecordError: If a frame cannot be decoded.
        DiskError: If a frame cannot be written.
    """
    size = media_size(video.media)
    names = frame_names(indexes)
    frames, marker = folder / video.video_id, _marker(folder, video.video_id)
    made_from = _MadeFrom(inputs=_digest_of_inputs(names), media=size)
    if _is_complete(marker, made_from, frames, names):
        return size
    try:
        marker.unlink(missing_ok=True)  # if the process is killed now, the folder counts as incomplete
    except OSError as error:
        raise DiskError(marker, error) from error
    for name, (_, image) in zip(names, decode(video.media, indexes), strict=True):
        write_bytes(frames / f"{name}.jpg", encode_frame(image, JPEG_QUALITY))
    _remove_frames(frames, kept=frozenset(names))
    write_bytes(marker, _MADE_FROM.dump_json(made_from))
    return size


def remove_other_videos(folder: Path, kept: Collection[str]) -> None:
    """Remove the frames and markers of all videos below `folder` except those in `kept`.

    Files that are not named like a frame stay, and links are not followed, because they were not written by RefSAV.
    Raises DiskError.
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
class _MadeFrom:
    """What a video's frames were made from; the content of the marker."""

    inputs: str
    """Digest of the frame names and the encoding."""
    media: int
    """Size of the media, in bytes."""


_MADE_FROM = TypeAdapter(_MadeFrom)


def _digest_of_inputs(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([FORMAT, JPEG_QUALITY, *names]).encode()).hexdigest()


def _is_complete(marker: Path, made_from: _MadeFrom, frames: Path, names: Sequence[str]) -> bool:
    try:
        recorded = _MADE_FROM.validate_json(marker.read_bytes())
        files = {file.name for file in frames.iterdir()}
    except (OSError, ValidationError):
        return False
    same = recorded.inputs == made_from.inputs and made_from.media in (GONE, recorded.media)
    return same and files.issuperset(f"{name}.jpg" for name in names)


def _marker(folder: Path, video_id: str) -> Path:
    """Return the marker's path; it is hidden, so that a listing of the folder shows videos only."""
    return folder / f".{video_id}.json"
