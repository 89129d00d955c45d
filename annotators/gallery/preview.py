"""A short film of one object: every annotated frame, small, with the outline; H.264, which every browser plays."""

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from refsav.annotators.stages.views import outlined
from refsav.datasets.frames import Image
from refsav.datasets.records import ObjectTrack

OUTLINE_SHARE = 0.006
ENCODER = {
    "preset": "superfast",
    "crf": "30",
    "x264-params": "threads=1:scenecut=0:keyint=999",  # one thread: two would not give the same bytes every time
}


def outlined_frames(frames: Sequence[Image], track: ObjectTrack) -> Iterator[Image]:
    """Draw the outline on the first annotated frames of an object's video; none where the object is hidden."""
    for frame, rle in zip(frames, track.masks, strict=False):
        yield outlined(frame, rle, OUTLINE_SHARE) if rle else frame


def encode_mp4(frames: Iterable[Image], size: tuple[int, int], rate_hz: float) -> bytes:
    """Encode uint8 RGB [H, W, 3] frames as an mp4 file; the same frames give the same bytes.

    Args:
        frames: The film.
        size: (height, width) of every frame, in pixels; an odd last row or column is left out.
        rate_hz: Frames per second.
    """
    height, width = (max(2, side - side % 2) for side in size)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000), options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            # av's own colour conversion takes ten times as long and gives other bytes from time to time.
            planes = cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()
