"""Video files as a user may give them: what is none is refused, whatever FFmpeg would make of it."""

import codecs
from pathlib import Path

from refsav.datasets import frames
from refsav.datasets.frames import MediaInfo
from refsav.errors import RecordError

GIVE_IMAGE_OR_VIDEO = "give a picture, a video or a folder of pictures; if it is one, copy or download it again"

_HEAD_BYTES = 65536
_HEIF_BRANDS = {b"heic", b"heim", b"heis", b"heix", b"mif1"}


def probe_video(path: Path) -> MediaInfo:
    """Tell size, rate and number of frames of a file that is no picture; the size is that of frames as they are stored.

    Raises:
        RecordError: If it is no video, or cannot be read as one.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _is_text(head):  # FFmpeg would draw it, or open the files that it lists
        raise RecordError(path, "", "is text, neither a picture nor a video", GIVE_IMAGE_OR_VIDEO)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:  # FFmpeg would give one tile of it as a video
        raise RecordError(path, "", "is a HEIF picture, which is not read", "save it as JPEG or PNG")
    try:
        info = frames.probe(path)
    except RecordError as error:
        raise RecordError(path, error.where, f"is no picture, and it {error.problem}", GIVE_IMAGE_OR_VIDEO) from error
    if info.height < 1 or info.width < 1:
        raise RecordError(path, "", "is no picture, and as a video it has no size", GIVE_IMAGE_OR_VIDEO)
    return info


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which may end inside a character
    except UnicodeDecodeError:
        return False
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)
