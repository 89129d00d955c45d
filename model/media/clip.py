"""How a model gets its frames: from an image, a video, a folder of pictures, or from memory."""

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from operator import index as as_index
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import PIL.Image

from refsav.datasets.frames import USUAL_RATE_HZ, Image, decode
from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN, InputError
from refsav.model.media.images import ImageLike, decode_image, image_size, probe_image, to_rgb
from refsav.model.media.video_files import GIVE_IMAGE_OR_VIDEO, probe_video

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
"""What counts as a frame in a folder, in small letters or capitals."""

MAX_BUFFERED_BYTES = 256 * 2**20
"""Decoded frames that may be in memory at once while a file is read in another order than it is stored in."""

_MIN_BUFFERED_FRAMES = 8
"""Frames held whatever their size: a video is decoded from the last key frame on for each group."""

_Read = TypeVar("_Read")


@runtime_checkable
class Clip(Protocol):
    """One image (`count` 1) or the frames of a video, read when they are asked for, never all at once.

    Frames keep their own size. Where they differ, in a folder or a list, that of frame 0 counts for what is made of the
    whole clip.
    """

    @property
    def count(self) -> int:
        """Number of frames, at least 1."""

    @property
    def height(self) -> int:
        """Height of frame 0 in pixels."""

    @property
    def width(self) -> int:
        """Width of frame 0 in pixels."""

    @property
    def rate_hz(self) -> float:
        """Frames per second; 24 where nothing tells it."""

    @property
    def name(self) -> str:
        """What outputs are named after: the file without its ending, or the folder; "frames" for those in memory."""

    def frames(self, indices: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """Give (index, uint8 RGB [h, w, 3]) in the order asked for; a frame is not to be written to.

        Increasing indices read a file once. Any other order, backwards for instance, decodes groups of frames that fit
        into MAX_BUFFERED_BYTES. A file is opened anew by each call: ask for many frames at once.

        Raises:
            InputError: If an index is not in 0 to `count` - 1, or a frame in memory cannot be used.
            RecordError: If a frame on disk cannot be read.
        """


def open_clip(path: Path) -> Clip:
    """Open an image file, a video file or a folder of frames; the content says which it is, not the name.

    An image is what Pillow reads, upright by its EXIF orientation; a GIF, PNG, WebP or AVIF that moves is a video. The
    frames of a folder are its .jpg, .jpeg, .png and .webp files, numbers in their names in order of value, hidden files
    left out. The frames of a video file come as they are stored: a display rotation that a phone wrote is not applied,
    neither to them nor to `height` and `width`.

    Raises:
        RecordError: If it is missing, or none of them.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", "give a picture, a video or a folder of pictures") from None
    except (OSError, ValueError) as error:
        raise RecordError(
            path, "", f"cannot be read: {getattr(error, 'strerror', error)}", GIVE_IMAGE_OR_VIDEO
        ) from None
    if stat.S_ISDIR(status.st_mode):
        return _open_folder(path)
    if not stat.S_ISREG(status.st_mode):
        raise RecordError(path, "", "is neither a file nor a folder", GIVE_IMAGE_OR_VIDEO)
    if status.st_size == 0:
        raise RecordError(path, "", "is empty", FETCH_AGAIN)
    picture = probe_image(path)
    media = probe_video(path) if picture is None else picture
    return _Frames(
        count=media.frame_count,
        height=media.height,
        width=media.width,
        rate_hz=media.rate_hz,
        name=path.stem,
        read=partial(decode if picture is None else decode_image, path),
        held=max(_MIN_BUFFERED_FRAMES, MAX_BUFFERED_BYTES // (media.height * media.width * 3)),
    )


def open_frames(files: Sequence[Path], name: str) -> Clip:
    """Make a clip of picture files in the order given; `name` is what outputs are named after.

    Raises:
        RecordError: If the first one cannot be read; the others are looked at when their turn comes.
    """
    first = probe_image(files[0]) if files[0].exists() else None
    if first is None:
        problem = "is not a readable picture" if files[0].exists() else "is missing"
        raise RecordError(files[0], "", problem, FETCH_AGAIN)
    return _Frames(
        count=len(files),
        height=first.height,
        width=first.width,
        rate_hz=USUAL_RATE_HZ,
        name=name,
        read=partial(_decode_listed, tuple(files)),
        held=1,
    )


def as_clip(frames: Sequence[ImageLike] | Clip) -> Clip:
    """Make a clip of frames in memory: RGB arrays or Pillow images, each converted when it is asked for (`to_rgb`).

    A clip is given back as it is. An array [t, h, w, channels] is a sequence of frames.

    Raises:
        InputError: If there are none, or one of them is no picture.
    """
    if isinstance(frames, Clip):
        return frames
    if isinstance(frames, str | bytes | Path):
        raise InputError(f"{frames!r} is no list of frames", "open a file or a folder with open_clip")
    if isinstance(frames, PIL.Image.Image) or (isinstance(frames, np.ndarray) and frames.ndim != 4):
        raise InputError("one picture is no list of frames", "put it into a list: [picture]")
    pictures = tuple(frames)
    if not pictures:
        raise InputError("there are no frames", "give at least one")
    sizes = [_named(index, image_size, picture) for index, picture in enumerate(pictures)]
    height, width = sizes[0]
    return _Frames(
        count=len(pictures),
        height=height,
        width=width,
        rate_hz=USUAL_RATE_HZ,
        name="frames",
        read=partial(_convert_listed, pictures),
        held=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """A clip over anything that gives frames in increasing order."""

    count: int
    height: int
    width: int
    rate_hz: float
    name: str
    read: Callable[[Sequence[int]], Iterator[tuple[int, Image]]] = field(repr=False)
    """Gives the frames of strictly increasing indices."""
    held: int
    """Frames that one call of `read` may collect; 1 where each is read by itself anyway."""

    def frames(self, indices: Iterable[int]) -> Iterator[tuple[int, Image]]:
        wanted = [as_index(index) for index in indices]
        for index in wanted:
            if not 0 <= index < self.count:
                raise InputError(f"{self.name} has no frame {index}", f"ask for frames from 0 to {self.count - 1}")
        if all(before < after for before, after in pairwise(wanted)):
            return self.read(wanted)
        return self._in_order(wanted)

    def _in_order(self, wanted: list[int]) -> Iterator[tuple[int, Image]]:
        for start in range(0, len(wanted), self.held):
            group = wanted[start : start + self.held]
            frames = dict(self.read(sorted(set(group))))
            for index in group:
                yield index, frames[index]
            frames.clear()  # before the next group is decoded


def _open_folder(folder: Path) -> Clip:
    return open_frames(_pictures_in(folder), folder.resolve().name if folder.name in ("", "..") else folder.name)


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    """List the frames of a folder; also a link that leads to nothing: without it, those behind it would move up."""
    try:
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()
        ]
    except OSError as error:
        raise RecordError(folder, "", f"cannot be listed: {error.strerror}", "make the folder readable") from None
    if not files:
        endings = ", ".join(IMAGE_SUFFIXES)
        raise RecordError(folder, "", f"holds no pictures ({endings})", "give the folder that holds the frames")
    return tuple(sorted(files, key=_natural))


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Order img2 before img10; the name itself decides between img1 and img01."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path.name.lower()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, path.name


def _decode_listed(files: Sequence[Path], indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    for index in indices:
        for _, frame in decode_image(files[index]):
            yield index, frame


def _convert_listed(pictures: Sequence[ImageLike], indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    for index in indices:
        yield index, _named(index, to_rgb, pictures[index])


def _named(index: int, read: Callable[[ImageLike], _Read], picture: ImageLike) -> _Read:
    """Tell which frame an error is about."""
    try:
        return read(picture)
    except InputError as error:
        raise InputError(f"frame {index}: {error.problem}", error.fix) from None
