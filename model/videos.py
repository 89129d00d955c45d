"""Video files as a user may give them: what is none is refused, whatever FFmpeg would make of it."""

import codecs
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from av.error import FFmpegError

from refsav.datasets import frames
from refsav.datasets.frames import Image, MediaInfo
from refsav.errors import RecordError
from refsav.model.errors import FETCH_AGAIN

GIVE = "give a picture, a video or a folder of pictures; if it is one, copy or download it again"

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
        raise RecordError(path, "", "is text, neither a picture nor a video", GIVE)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:  # FFmpeg would give one tile of it as a video
        raise RecordError(path, "", "is a HEIF picture, which is not read", "save it as JPEG or PNG")
    with _telling(path):
        try:
            info = frames.probe(_local(path))
        except RecordError as error:
            raise RecordError(path, error.where, f"is no picture, and it {error.problem}", GIVE) from error
    if info.height < 1 or info.width < 1:
        raise RecordError(path, "", "is no picture, and as a video it has no size", GIVE)
    return info


def decode_video(path: Path, indexes: Collection[int]) -> Iterator[tuple[int, Image]]:
    """Yield (index, uint8 RGB [h, w, 3]) for the wanted frames, as they are stored, in increasing order.

    A display rotation, as phones write it, is not applied.

    Raises:
        RecordError: If a wanted frame cannot be read.
    """
    with _telling(path):
        yield from frames.decode(_local(path), indexes)


def _local(path: Path) -> Path:
    """FFmpeg takes what stands before a colon for a protocol, unless the path begins with a slash."""
    return path.absolute() if ":" in str(path) else path


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what PyAV raises on unusual files into an error that names the file."""
    try:
        yield
    except FFmpegError as error:
        raise RecordError(path, "", f"cannot be read as a video: {error.strerror}", FETCH_AGAIN) from error
    except UnicodeDecodeError as error:
        fix = "write the file anew without them: ffmpeg -i IN -map_metadata -1 -c copy OUT"
        raise RecordError(path, "", "has a title or other remarks that are not UTF-8", fix) from error
    except AttributeError as error:  # PyAV has no codec context for the stream
        raise RecordError(
            path, "", "is a video in a coding that FFmpeg does not know", "convert it to H.264"
        ) from error


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which may end inside a character
    except UnicodeDecodeError:
        return False
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)
