"""Frames of a video file or a folder of JPEGs: only the requested ones are decoded, each once."""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from refsav.errors import RecordError

Image = npt.NDArray[np.uint8]
"""uint8 RGB [H, W, 3]."""

DEFAULT_RATE_HZ = 24.0
"""SA-V's frame rate, assumed for a folder of frames and for a file whose header gives no plausible rate."""

SLOWEST_HZ, FASTEST_HZ = 0.1, 1000.0
"""A rate outside this range means that the header is damaged, or that its field means something else."""

FETCH_AGAIN = "copy or download the file again; the other videos are not affected"


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Properties of a video that are known before any frame is decoded."""

    frame_count: int
    height: int
    """In pixels, as is the width."""
    width: int
    rate_hz: float
    """Frames per second; SA-V's 24 where the media gives no rate."""


def probe(media: Path) -> MediaInfo:
    """Count the frames of an mp4 file or a folder of JPEGs without decoding them.

    Raises:
        RecordError: If it is missing, is not a video, or has no frames.
    """
    if media.is_dir():
        files = _jpeg_files(media)
        first = _read_jpeg(files[0])
        return MediaInfo(len(files), first.shape[0], first.shape[1], DEFAULT_RATE_HZ)
    with _open(media) as container:
        stream = _video_stream(container, media)
        index = _PacketIndex.of(container, media)
        context = stream.codec_context
        return MediaInfo(len(index.times), context.height, context.width, _rate_hz(stream.average_rate))


def decode(media: Path, indexes: Collection[int]) -> Iterator[tuple[int, Image]]:
    """Decode the requested frames of an mp4 file or a folder of JPEGs.

    Groups of pictures (GOPs) without a requested frame are skipped; decoding stops after the last requested frame.

    Args:
        media: The mp4 file, or the folder of JPEGs.
        indexes: Frame indexes in presentation order, from 0; duplicates and order do not matter.

    Yields:
        (index, frame) in increasing order of the index; a frame is uint8 RGB [H, W, 3].

    Raises:
        RecordError: If the media cannot be read, or ends before a requested frame.
    """
    wanted = sorted(set(indexes))
    if media.is_dir():
        yield from _decode_folder(media, wanted)
    elif wanted:
        yield from _decode_file(media, wanted)


def _decode_folder(folder: Path, wanted: list[int]) -> Iterator[tuple[int, Image]]:
    files = _jpeg_files(folder)
    for index in wanted:
        if index >= len(files):
            raise _too_short(folder, index, len(files))
        yield index, _read_jpeg(files[index])


def _decode_file(media: Path, wanted: list[int]) -> Iterator[tuple[int, Image]]:
    with _open(media) as container:
        _video_stream(container, media)
        index = _PacketIndex.of(container, media)
        if wanted[-1] >= len(index.times):
            raise _too_short(media, wanted[-1], len(index.times))
        index_of_time = {time: number for number, time in enumerate(index.times)}
        remaining = iter(wanted)
        target = next(remaining)
        _seek(container, media, index.seek_time(target), target)
        while True:
            reached = -1
            for frame in _frames_from_here(container, media, target):
                reached = index_of_time.get(frame.pts, -1)
                if reached < target:
                    continue
                if reached > target:
                    raise RecordError(media, f"frame {target}", "the frame is damaged and was skipped", FETCH_AGAIN)
                yield target, frame.to_ndarray(format="rgb24")
                following = next(remaining, None)
                if following is None:
                    return
                target = following
                if index.key_frame_before(target) > reached:
                    _seek(container, media, index.seek_time(target), target)
                    break
            else:
                raise _too_short(media, target, reached + 1)


@dataclass(frozen=True, slots=True)
class _PacketIndex:
    """Times of all frames and of the key frames, read from the packets' headers without decoding."""

    times: list[int]
    """Presentation time of every frame, sorted: a frame's index is its index in this list."""
    keys: list[tuple[int, int]]
    """(presentation time, decoding time) of every key frame, sorted; seeking takes the decoding time."""

    @classmethod
    def of(cls, container: InputContainer, media: Path) -> "_PacketIndex":
        times: list[int] = []
        keys: list[tuple[int, int]] = []
        try:
            for packet in container.demux(video=0):
                if packet.pts is None or not packet.size:
                    continue
                if not packet.is_discard:  # cut off by an edit list: decoded because later frames need it, never shown
                    times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
        except av.error.FFmpegError as error:
            raise RecordError(media, "", f"is truncated or damaged: {_reason(error)}", FETCH_AGAIN) from error
        if not times:
            raise RecordError(media, "", "has no frames", FETCH_AGAIN)
        return cls(sorted(times), sorted(keys))

    def _key_before(self, index: int) -> tuple[int, int]:
        count = bisect_right(self.keys, self.times[index], key=lambda key: key[0])
        return self.keys[count - 1] if count else (self.times[0], self.times[0])

    def key_frame_before(self, index: int) -> int:
        """Index of the last key frame at or before frame `index`."""
        return bisect_right(self.times, self._key_before(index)[0]) - 1

    def seek_time(self, index: int) -> int:
        """Decoding time to seek to so that the fewest frames are decoded before frame `index`."""
        return self._key_before(index)[1]


def _frames_from_here(container: InputContainer, media: Path, target: int) -> Iterator[Any]:
    try:
        yield from container.decode(video=0)
    except av.error.FFmpegError as error:
        raise RecordError(media, f"frame {target}", f"cannot be decoded: {_reason(error)}", FETCH_AGAIN) from error


def _open(media: Path) -> InputContainer:
    try:
        path = media.absolute() if ":" in str(media) else media  # FFmpeg reads "a:b" as the file b over protocol a
        return av.open(str(path), metadata_errors="replace")
    except av.error.FileNotFoundError:
        fix = "put it next to its annotations, or remove them"
        raise RecordError(media, "", "the video is missing", fix) from None
    except (av.error.FFmpegError, OSError) as error:
        raise RecordError(media, "", f"cannot be opened as a video: {_reason(error)}", FETCH_AGAIN) from error


def _video_stream(container: InputContainer, media: Path) -> Any:  # noqa: ANN401 - av has no public name for it
    if not container.streams.video:
        raise RecordError(media, "", "has no video stream", FETCH_AGAIN)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise RecordError(media, "", "uses a video codec that FFmpeg does not know", "convert it to H.264")
    return stream


def _seek(container: InputContainer, media: Path, time: int, target: int) -> None:
    try:
        container.seek(time, stream=container.streams.video[0], backward=True)
    except av.error.FFmpegError as error:
        raise RecordError(media, f"frame {target}", f"cannot be reached: {_reason(error)}", FETCH_AGAIN) from error


def _rate_hz(header_rate: SupportsFloat | None) -> float:
    """Frames per second of a file's header; the default if the value is missing or implausible."""
    rate_hz = float(header_rate) if header_rate is not None else 0.0
    return rate_hz if SLOWEST_HZ <= rate_hz <= FASTEST_HZ else DEFAULT_RATE_HZ  # NaN lies in no range


def _jpeg_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise RecordError(folder, "", "holds no .jpg frames", "unpack the frames of this video, or remove the folder")
    return files


def _read_jpeg(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise RecordError(path, "", "is not a readable JPEG", FETCH_AGAIN)
    return image.astype(np.uint8, copy=False)


def _too_short(media: Path, index: int, count: int) -> RecordError:
    return RecordError(media, f"frame {index}", f"the video ends after {count} frames", FETCH_AGAIN)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
