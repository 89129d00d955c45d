"""A short video of one object: every annotated frame, small, with the object outlined."""

from collections.abc import Iterable, Iterator, Sequence

from refsav.annotators.stages.views import outlined
from refsav.datasets.frames import Image
from refsav.datasets.records import ObjectTrack
from refsav.datasets.video_writer import H264, encode_mp4

OUTLINE_SHARE = 0.006
ENCODING = H264(
    preset="superfast",
    crf=30,
    x264_params="threads=1:scenecut=0:keyint=999",
    key_frame_interval_s=None,
    tags_colours=False,  # previews are too small for a browser to assume another matrix
)


def outlined_frames(frames: Sequence[Image], track: ObjectTrack) -> Iterator[Image]:
    """Draw the outline on the first annotated frames of an object's video; none where the object is hidden."""
    for frame, rle in zip(frames, track.masks, strict=False):
        yield outlined(frame, rle, OUTLINE_SHARE) if rle else frame


def encode_preview(frames: Iterable[Image], size: tuple[int, int], rate_hz: float) -> bytes:
    """Encode a preview as an mp4 file.

    Args:
        frames: The video, uint8 RGB [H, W, 3].
        size: (height, width) of every frame, in pixels; an odd last row or column is left out.
        rate_hz: Frames per second.
    """
    height, width = (max(2, side - side % 2) for side in size)
    return encode_mp4((frame[:height, :width] for frame in frames), (height, width), rate_hz, ENCODING)
