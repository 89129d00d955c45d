"""A video that is written frame by frame and that every browser plays: H.264 in an mp4 file."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from refsav.datasets.frames import Image

ENCODER = {
    "preset": "veryfast",
    "crf": "20",
    "x264-params": "threads=1",  # with more, the bytes depend on the machine
}
SECONDS_BETWEEN_KEYS = 2
"""A player can jump to key frames only."""

BT601 = 6
"""ITU-T H.273's number of the matrix that OpenCV converts with: untold, browsers take another one for large videos."""

USUAL_DENOMINATOR = 1001
"""Of the rates of television: 24000/1001, 30000/1001, 60000/1001."""


def exact_rate(rate_hz: float | Fraction) -> Fraction:
    """Frames per second as the fraction that a number such as 23.976023976 stands for."""
    return Fraction(rate_hz).limit_denominator(USUAL_DENOMINATOR)


class Film:
    """An mp4 file that frames are added to; it holds as many as were added, each for the same time."""

    def __init__(self, path: Path, size: tuple[int, int], rate_hz: float | Fraction) -> None:
        """Begin a film.

        H.264 needs even sides: to odd ones the last row or column is added once more, so that no pixel is lost.

        Args:
            path: The file; it is whole once `finish` has returned.
            size: (height, width) of every frame, in pixels.
            rate_hz: Frames per second.

        Raises:
            OSError: If the file cannot be written.
        """
        rate = exact_rate(rate_hz)
        self._padding = (size[0] % 2, size[1] % 2)
        # Browsers begin to play before all is there only if the index stands in front.
        self._container = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart"}, container_options={"fflags": "+bitexact"}
        )
        self._stream = self._container.add_stream("libx264", rate=rate, options=ENCODER)
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        context.gop_size = max(1, round(SECONDS_BETWEEN_KEYS * rate))
        context.colorspace = BT601
        context.color_range = av.video.reformatter.ColorRange.MPEG

    def add(self, frame: Image) -> None:
        """Add a frame, uint8 RGB [h, w, 3]. Raises OSError."""
        bottom, right = self._padding
        if bottom or right:
            frame = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
        planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))

    def finish(self) -> None:
        """Write what is still waiting, and the index. Raises OSError."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def give_up(self) -> None:
        """Let go of the file, whatever state it is in."""
        with suppress(OSError):
            self._container.close()
