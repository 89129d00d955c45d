"""Check that a file is a video; files that FFmpeg opens although they are not videos are refused."""

import codecs
from pathlib import Path

from refsav.datasets import frames
from refsav.datasets.frames import MediaInfo
from refsav.errors import RecordError

GIVE_IMAGE_OR_VIDEO = "give an image, a video or a folder of images; if it is one, copy or download it again"

_HEAD_BYTES = 65536
_HEIF_BRANDS = {b"heic", b"heim", b"heis", b"heix", b"mif1"}


def probe_video(path: Path) -> MediaInfo:
    """Read size, frame rate and number of frames of a video file.

    Args:
        path: A file that `probe_image` does not recognise.

    Returns:
        The size is that of the stored frames, without a display rotation.

    Raises:
        RecordError: If it is not a video, or cannot be decoded.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _is_text(head):  # FFmpeg would render it as subtitles, or open the files that it lists
        raise RecordError(path, "", "is text, not an image or a video", GIVE_IMAGE_OR_VIDEO)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:  # FFmpeg would read one tile of it as a video
        raise RecordError(path, "", "is a HEIF image, which is not supported", "save it as JPEG or PNG")
    try:
        info = frames.probe(path)
    except RecordError as error:
        problem = f"is not an image, and as a video it {error.problem}"
        raise RecordError(path, error.where, problem, GIVE_IMAGE_OR_VIDEO) from error
    if info.height < 1 or info.width < 1:
        raise RecordError(path, "", "is not an image, and as a video it has no size", GIVE_IMAGE_OR_VIDEO)
    return info


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the head may end within a character
    except UnicodeDecodeError:
        return False
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)
