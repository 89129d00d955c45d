"""H.264 videos in mp4 files that every browser plays, written frame by frame; the same frames give the same bytes."""

import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from refsav.datasets.frames import Image

BT601 = 6
"""The ITU-T H.273 number of OpenCV's YUV matrix; without it, browsers assume another one for large videos."""

LARGEST_DENOMINATOR = 1001
"""The denominator of television frame rates: 24000/1001, 30000/1001, 60000/1001."""


@dataclass(frozen=True, kw_only=True, slots=True)
class H264:
    """How a video is encoded; the defaults are for videos that people watch at full size."""

    preset: str = "veryfast"
    crf: int = 20
    """Constant rate factor: the lower, the better the quality and the larger the file."""
    x264_params: str = "threads=1"
    """One thread: with more, the bytes depend on the machine."""
    key_frame_interval_s: int | None = 2
    """Seconds between key frames, to which alone a player can jump. None leaves them to `x264_params`."""
    tags_colours: bool = True
    """Whether the file's header names its colour matrix and range."""


def exact_rate(rate_hz: float | Fraction) -> Fraction:
    """Convert a frame rate such as 23.976023976 to the exact fraction, here 24000/1001."""
    return Fraction(rate_hz).limit_denominator(LARGEST_DENOMINATOR)


class VideoWriter:
    """Writes frames to an mp4 file at a constant frame rate."""

    def __init__(
        self, file: Path | io.BytesIO, size: tuple[int, int], rate_hz: float | Fraction, encoding: H264 | None = None
    ) -> None:
        """Start a video.

        H.264 needs an even height and width: the last row or column of an odd one is repeated, so no pixel is lost.

        Args:
            file: A path, or a buffer; it is complete once `finish` has returned.
            size: (height, width) of every frame, in pixels.
            rate_hz: Frames per second.
            encoding: Quality and speed; None for the defaults.

        Raises:
            OSError: If the file cannot be written.
        """
        encoding, rate = encoding or H264(), exact_rate(rate_hz)
        self._padding = (size[0] % 2, size[1] % 2)
        # Browsers start to play before the download ends only if the index is at the front; moving it there needs a
        # file that can be read again.
        options = {"movflags": "+faststart"} if isinstance(file, Path) else {}
        self._container = av.open(
            str(file) if isinstance(file, Path) else file,
            "w",
            format="mp4",
            options=options,
            container_options={"fflags": "+bitexact"},
        )
        x264 = {"preset": encoding.preset, "crf": str(encoding.crf), "x264-params": encoding.x264_params}
        self._stream = self._container.add_stream("libx264", rate=rate, options=x264)
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        if encoding.key_frame_interval_s is not None:
            context.gop_size = max(1, round(encoding.key_frame_interval_s * rate))
        if encoding.tags_colours:
            context.colorspace = BT601
            context.color_range = av.video.reformatter.ColorRange.MPEG

    def add(self, frame: Image) -> None:
        """Add a frame, uint8 RGB [h, w, 3]. Raises OSError."""
        bottom, right = self._padding
        if bottom or right:
            frame = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
        # PyAV's own colour conversion takes ten times as long, and its bytes differ between runs.
        planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))

    def finish(self) -> None:
        """Write the frames that the encoder still buffers, and the index. Raises OSError."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def abort(self) -> None:
        """Close the incomplete file after an error."""
        with suppress(OSError):
            self._container.close()


def encode_mp4(frames: Iterable[Image], size: tuple[int, int], rate_hz: float | Fraction, encoding: H264) -> bytes:
    """Encode frames as an mp4 file in memory.

    Args:
        frames: The video, each frame uint8 RGB [h, w, 3].
        size: (height, width) of every frame, in pixels.
        rate_hz: Frames per second.
        encoding: Quality and speed.
    """
    file = io.BytesIO()
    writer = VideoWriter(file, size, rate_hz, encoding)
    try:
        for frame in frames:
            writer.add(frame)
    except BaseException:
        writer.abort()
        raise
    writer.finish()
    return file.getvalue()
