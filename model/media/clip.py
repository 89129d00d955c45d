"""A clip: the frames that a model is given, from an image, a video, a folder of images, or from memory."""

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

from refsav.datasets.frames import DEFAULT_RATE_HZ, Image, decode
from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN, InputError
from refsav.model.media.images import ImageLike, decode_image, image_size, probe_image, to_rgb
from refsav.model.media.video_files import GIVE_IMAGE_OR_VIDEO, probe_video

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
"""File names with these endings are frames of a folder, in lower or upper case."""

MAX_BUFFERED_BYTES = 256 * 2**20
"""Most bytes of decoded frames in memory while a file is read in an order other than that of the file."""

_MIN_BUFFERED_FRAMES = 8
"""Frames that are buffered even if they are larger: to read a group, a video is decoded from the last key frame on."""

_Read = TypeVar("_Read")


@runtime_checkable
class Clip(Protocol):
    """One image (`count` 1) or the frames of a video; they are read on request, never all at once.

    Frames keep their own sizes. Where these differ, in a folder or a list, masks and overlays have the size of frame 0.
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
        """Frames per second; 24 if it is unknown."""

    @property
    def name(self) -> str:
        """Name for outputs: the file's name without its ending, the folder's name, or "frames" for frames in memory."""

    def frames(self, indices: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """Yield frames in the requested order.

        Increasing indices read a file once. In any other order, for example backwards, groups of frames that fit into
        MAX_BUFFERED_BYTES are decoded. Each call opens the file again, so request many frames in one call.

        Args:
            indices: Which frames, from 0 to `count` - 1.

        Yields:
            (index, frame), the frame as uint8 RGB [h, w, 3]. Do not write to it.

        Raises:
            InputError: If an index is not in 0 to `count` - 1, or a frame in memory cannot be used.
            RecordError: If a frame on disk cannot be read.
        """


def open_clip(path: Path) -> Clip:
    """Open an image file, a video file or a folder of frames; the file's content decides which, not its name.

    Images are read with Pillow and turned upright by their EXIF orientation; an animated GIF, PNG, WebP or AVIF is a
    video. The frames of a folder are its .jpg, .jpeg, .png and .webp files except hidden ones, sorted with the numbers
    in their names by value. The frames of a video file are given as stored: a display rotation, as phones write it, is
    applied neither to them nor to `height` and `width`.

    Raises:
        RecordError: If the path does not exist, or is not an image, a video or a folder of images.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", "give an image, a video or a folder of images") from None
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
    image = probe_image(path)
    media = probe_video(path) if image is None else image
    return _Frames(
        count=media.frame_count,
        height=media.height,
        width=media.width,
        rate_hz=media.rate_hz,
        name=path.stem,
        read=partial(decode if image is None else decode_image, path),
        buffered=max(_MIN_BUFFERED_FRAMES, MAX_BUFFERED_BYTES // (media.height * media.width * 3)),
    )


def open_frames(files: Sequence[Path], name: str) -> Clip:
    """Make a clip of image files, in the given order.

    Args:
        files: At least one image file, a frame each.
        name: Name for outputs.

    Raises:
        RecordError: If the first file cannot be read; the others are read on request.
    """
    first = probe_image(files[0]) if files[0].exists() else None
    if first is None:
        problem = "is not a readable image" if files[0].exists() else "is missing"
        raise RecordError(files[0], "", problem, FETCH_AGAIN)
    return _Frames(
        count=len(files),
        height=first.height,
        width=first.width,
        rate_hz=DEFAULT_RATE_HZ,
        name=name,
        read=partial(_decode_listed, tuple(files)),
        buffered=1,
    )


def as_clip(frames: Sequence[ImageLike] | Clip) -> Clip:
    """Make a clip of frames in memory; each frame is converted on request (`to_rgb`).

    Args:
        frames: RGB arrays [h, w, 3], Pillow images, or one array [t, h, w, 3]; see `images` for other kinds. A clip
            is returned unchanged.

    Raises:
        InputError: If there are no frames, or one of them is not an image.
    """
    if isinstance(frames, Clip):
        return frames
    if isinstance(frames, str | bytes | Path):
        raise InputError(f"{frames!r} is not a list of frames", "open a file or a folder with open_clip")
    if isinstance(frames, PIL.Image.Image) or (isinstance(frames, np.ndarray) and frames.ndim != 4):
        raise InputError("one image is not a list of frames", "put it into a list: [image]")
    images = tuple(frames)
    if not images:
        raise InputError("there are no frames", "give at least one")
    sizes = [_with_index(index, image_size, image) for index, image in enumerate(images)]
    height, width = sizes[0]
    return _Frames(
        count=len(images),
        height=height,
        width=width,
        rate_hz=DEFAULT_RATE_HZ,
        name="frames",
        read=partial(_convert_listed, images),
        buffered=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """A clip over any function that reads frames in increasing order."""

    count: int
    height: int
    width: int
    rate_hz: float
    name: str
    read: Callable[[Sequence[int]], Iterator[tuple[int, Image]]] = field(repr=False)
    """Yields the frames of strictly increasing indices."""
    buffered: int
    """Frames that may be buffered from one call of `read`; 1 if frames can be read one by one."""

    def frames(self, indices: Iterable[int]) -> Iterator[tuple[int, Image]]:
        wanted = [as_index(index) for index in indices]
        for index in wanted:
            if not 0 <= index < self.count:
                raise InputError(f"{self.name} has no frame {index}", f"request frames from 0 to {self.count - 1}")
        if all(before < after for before, after in pairwise(wanted)):
            return self.read(wanted)
        return self._in_order(wanted)

    def _in_order(self, wanted: list[int]) -> Iterator[tuple[int, Image]]:
        for start in range(0, len(wanted), self.buffered):
            group = wanted[start : start + self.buffered]
            frames = dict(self.read(sorted(set(group))))
            for index in group:
                yield index, frames[index]
            frames.clear()  # before the next group is decoded


def _open_folder(folder: Path) -> Clip:
    return open_frames(_images_in(folder), folder.resolve().name if folder.name in ("", "..") else folder.name)


def _images_in(folder: Path) -> tuple[Path, ...]:
    """List the frames of a folder, broken links included: without them, later frames would be renumbered."""
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
        raise RecordError(folder, "", f"contains no images ({endings})", "give the folder that contains the frames")
    return tuple(sorted(files, key=_natural_order))


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    """Sort key that puts img2 before img10; img1 and img01 are ordered by the name itself."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path.name.lower()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, path.name


def _decode_listed(files: Sequence[Path], indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    for index in indices:
        for _, frame in decode_image(files[index]):
            yield index, frame


def _convert_listed(images: Sequence[ImageLike], indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    for index in indices:
        yield index, _with_index(index, to_rgb, images[index])


def _with_index(index: int, read: Callable[[ImageLike], _Read], image: ImageLike) -> _Read:
    """Read an image; an error names its index."""
    try:
        return read(image)
    except InputError as error:
        raise InputError(f"frame {index}: {error.problem}", error.fix) from None
