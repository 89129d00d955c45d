"""Frames out of a video file or a folder of JPEGs: only those that are asked for, each decoded once."""

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

USUAL_RATE_HZ = 24.0
"""SA-V's frame rate: what a folder of pictures has, and a file that tells none."""

SLOWEST_HZ, FASTEST_HZ = 0.1, 1000.0
"""A header that tells another rate is damaged, or means something else by it."""

FETCH_AGAIN = "copy or download the file again; the other videos are not affected"


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a video says of itself before any frame is decoded."""

    frame_count: int
    height: int
    width: int
    rate_hz: float
    """Frames per second; SA-V's 24 where the media tells none."""


def probe(media: Path) -> MediaInfo:
    """Count the frames of an mp4 file or a folder of JPEGs without decoding them.

    Raises:
        RecordError: If it is missing, no video, or has no frames.
    """
    if media.is_dir():
        files = _jpeg_files(media)
        first = _read_jpeg(files[0])
        return MediaInfo(len(files), first.shape[0], first.shape[1], USUAL_RATE_HZ)
    with _open(media) as container:
        stream = _video_stream(container, media)
        index = _PacketIndex.of(container, media)
        context = stream.codec_context
        return MediaInfo(len(index.times), context.height, context.width, _rate_hz(stream.average_rate))


def decode(media: Path, indexes: Collection[int]) -> Iterator[tuple[int, Image]]:
    """Yield (index, uint8 RGB [H, W, 3]) for the wanted frames, in increasing order.

    A frame's index is its place in presentation order. Groups of pictures that hold no wanted frame are skipped,
    and the file is left as soon as the last wanted frame is out.

    Raises:
        RecordError: If the media cannot be read, or ends before a wanted frame.
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
        place_of = {time: place for place, time in enumerate(index.times)}
        remaining = iter(wanted)
        target = next(remaining)
        _seek(container, media, index.seek_time(target), target)
        while True:
            reached = -1
            for frame in _frames_from_here(container, media, target):
                reached = place_of.get(frame.pts, -1)
                if reached < target:
                    continue
                if reached > target:
                    raise RecordError(media, f"frame {target}", "the frame is damaged and was skipped", FETCH_AGAIN)
                yield target, frame.to_ndarray(format="rgb24")
                following = next(remaining, None)
                if following is None:
                    return
                target = following
                if index.key_place(target) > reached:
                    _seek(container, media, index.seek_time(target), target)
                    break
            else:
                raise _too_short(media, target, reached + 1)


@dataclass(frozen=True, slots=True)
class _PacketIndex:
    """Times of all frames and places of the key frames, read from the packets' headers without decoding."""

    times: list[int]
    """Presentation time of every frame, sorted: a frame's index is its place here."""
    keys: list[tuple[int, int]]
    """(presentation time, decoding time) of every key frame, sorted; a file is sought by decoding time."""

    @classmethod
    def of(cls, container: InputContainer, media: Path) -> "_PacketIndex":
        times: list[int] = []
        keys: list[tuple[int, int]] = []
        try:
            for packet in container.demux(video=0):
                if packet.pts is None or not packet.size:
                    continue
                if not packet.is_discard:  # an edit list cuts it off: decoded for those after it, never shown
                    times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
        except av.error.FFmpegError as error:
            raise RecordError(media, "", f"is cut short or damaged: {_reason(error)}", FETCH_AGAIN) from error
        if not times:
            raise RecordError(media, "", "has no frames", FETCH_AGAIN)
        return cls(sorted(times), sorted(keys))

    def _key_before(self, index: int) -> tuple[int, int]:
        place = bisect_right(self.keys, self.times[index], key=lambda key: key[0])
        return self.keys[place - 1] if place else (self.times[0], self.times[0])

    def key_place(self, index: int) -> int:
        """Index of the last key frame at or before frame `index`."""
        return bisect_right(self.times, self._key_before(index)[0]) - 1

    def seek_time(self, index: int) -> int:
        """Where to seek so that decoding reaches frame `index` soonest."""
        return self._key_before(index)[1]


def _frames_from_here(container: InputContainer, media: Path, target: int) -> Iterator[Any]:
    try:
        yield from container.decode(video=0)
    except av.error.FFmpegError as error:
        raise RecordError(media, f"frame {target}", f"cannot be decoded: {_reason(error)}", FETCH_AGAIN) from error


def _open(media: Path) -> InputContainer:
    try:
        path = media.absolute() if ":" in str(media) else media  # FFmpeg takes "a:b" for the file b over protocol a
        return av.open(str(path), metadata_errors="replace")
    except av.error.FileNotFoundError:
        raise RecordError(media, "", "the video is missing", "put it beside its annotations, or remove them") from None
    except (av.error.FFmpegError, OSError) as error:
        raise RecordError(media, "", f"cannot be opened as a video: {_reason(error)}", FETCH_AGAIN) from error


def _video_stream(container: InputContainer, media: Path) -> Any:  # noqa: ANN401 - av has no public name for it
    if not container.streams.video:
        raise RecordError(media, "", "has no video stream", FETCH_AGAIN)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise RecordError(media, "", "is a video in a coding that FFmpeg does not know", "convert it to H.264")
    return stream


def _seek(container: InputContainer, media: Path, time: int, target: int) -> None:
    try:
        container.seek(time, stream=container.streams.video[0], backward=True)
    except av.error.FFmpegError as error:
        raise RecordError(media, f"frame {target}", f"cannot be reached: {_reason(error)}", FETCH_AGAIN) from error


def _rate_hz(told: SupportsFloat | None) -> float:
    """Frames per second as a file's header tells them, if they can be meant."""
    rate_hz = float(told) if told is not None else 0.0
    return rate_hz if SLOWEST_HZ <= rate_hz <= FASTEST_HZ else USUAL_RATE_HZ  # a rate that is no number is in no range


def _jpeg_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise RecordError(folder, "", "holds no .jpg frames", "unpack the frames of this video, or remove the folder")
    return files


def _read_jpeg(path: Path) -> Image:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise RecordError(path, "", "is not a readable JPEG", FETCH_AGAIN)
    return picture.astype(np.uint8, copy=False)


def _too_short(media: Path, index: int, count: int) -> RecordError:
    return RecordError(media, f"frame {index}", f"the video ends after {count} frames", FETCH_AGAIN)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
