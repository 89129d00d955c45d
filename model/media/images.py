"""Pictures of every kind as uint8 RGB: arrays, Pillow images, picture files with all their frames.

What becomes of values that are not 8-bit RGB:

- grey, with or without alpha: the same value in all three channels; alpha is dropped, nothing is painted behind it;
- palette, CMYK, YCbCr: Pillow's conversion, which does not look at colour profiles;
- 16 bits: the upper 8 of them, as Pillow does for 16-bit RGB; bool and 1 bit: 0 and 255;
- float arrays: 0 (black) to 1 (white), anything outside is refused;
- 32-bit integer and float pictures, where no format says what is white: the first of 1 (float only), 255 and 65535 that
  no value exceeds; if there is none, or a value is negative, the picture's own smallest to largest value.
"""

import struct
import threading
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ExifTags, ImageOps

from refsav.datasets.frames import USUAL_RATE_HZ, Image, MediaInfo
from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN, InputError

ImageLike = npt.NDArray[Any] | PIL.Image.Image
"""One frame as a user holds it in memory."""

ARRAYS = "give uint8 0-255, uint16, bool or float 0-1, as [h, w], [h, w, 1], [h, w, 3] (RGB) or [h, w, 4] (RGBA)"

_ANIMATED = {"AVIF", "GIF", "PNG", "WEBP"}
"""Formats whose further images are later frames; in others they are pages, layers or previews."""

_NOT_READ_HERE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Pillow knows them by their signature, but leaves reading them to other programs."""

_SLOWEST_BLINK_MS = 10
"""Browsers show frames of no longer duration for 100 ms."""

_SIDES_SWAPPED = {5, 6, 7, 8}
"""EXIF orientations that lie on their side."""

_DAMAGE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged files."""

_filters = threading.RLock()  # Python keeps one list of warning filters for all threads


def image_size(picture: ImageLike) -> tuple[int, int]:
    """Give the (height, width) in pixels of a frame in memory, without looking at its values.

    Raises:
        InputError: If it is no picture: of another type or shape, or without pixels.
    """
    if isinstance(picture, PIL.Image.Image):
        width, height = picture.size
    elif not isinstance(picture, np.ndarray):
        raise InputError(f"a {type(picture).__name__} is no picture", "give a numpy array or a Pillow image")
    elif picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3, 4)):
        raise InputError(f"an array of shape {list(picture.shape)} is no picture", ARRAYS)
    elif picture.dtype.kind not in "bf" and not (picture.dtype.kind == "u" and picture.dtype.itemsize <= 2):
        raise InputError(f"an array of {picture.dtype} is no picture", ARRAYS)
    else:
        height, width = picture.shape[:2]
    if height < 1 or width < 1:
        raise InputError(f"a picture of {height}x{width} pixels holds nothing", "leave it out")
    return height, width


def to_rgb(picture: ImageLike) -> Image:
    """Convert a frame in memory to uint8 RGB [h, w, 3]; an array that is so already is not copied.

    Pillow images are taken as they lie, of animations the current frame: an EXIF orientation is not applied, so that
    masks have the size that the image tells.

    Raises:
        InputError: If it is no picture, or holds values that mean no colour.
    """
    image_size(picture)
    if isinstance(picture, np.ndarray):
        return _three_channels(_array_to_8_bits(picture))
    try:
        with _unwarned():
            return _image_to_rgb(picture)
    except _DAMAGE as error:
        raise InputError(f"the image cannot be read: {_reason(error)}", FETCH_AGAIN) from error


def probe_image(path: Path) -> MediaInfo | None:
    """Tell size and number of frames of a picture file; None if it is no picture.

    What a file is, its content says, not its name; only TGA, which has no signature, must be named .tga. The size is
    that after its EXIF orientation. GIF, PNG, WebP and AVIF may hold several frames, at the rate that the first one's
    duration tells, SA-V's 24 Hz stands for a single picture; of other formats the first image counts.

    Raises:
        RecordError: If it has more pixels than Pillow lets pass, or is damaged.
    """
    with _reading(path):
        try:
            image = _open(path)
        except PIL.UnidentifiedImageError:
            return None
        with image:
            lying = image.format != "TIFF" and _orientation(image) in _SIDES_SWAPPED  # TIFF's reader swaps by itself
            height, width = image.size if lying else image.size[::-1]
            count = _frame_count(image)
            return MediaInfo(count, height, width, USUAL_RATE_HZ if count == 1 else _rate_hz(image))


def decode_image(path: Path, indexes: Collection[int] = (0,)) -> Iterator[tuple[int, Image]]:
    """Yield (index, uint8 RGB [h, w, 3]) for the wanted frames of a picture file, upright, in increasing order.

    Raises:
        RecordError: If it cannot be read as a picture, or ends before a wanted frame.
    """
    with _reading(path):
        image = _open(path)
        count = _frame_count(image)
    with image:
        for index in sorted(set(indexes)):
            with _reading(path, f"frame {index}" if count > 1 else ""):
                if index >= count:
                    raise EOFError(f"it has no frame {index}")
                if count > 1:
                    image.seek(index)
                frame = _image_to_rgb(_upright(image))
            yield index, frame


def _open(path: Path) -> PIL.Image.Image:
    PIL.Image.init()
    formats = set(PIL.Image.ID) - _NOT_READ_HERE
    if path.suffix.lower() != ".tga":
        formats.discard("TGA")
    return PIL.Image.open(path, formats=sorted(formats))


def _frame_count(image: PIL.Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1


def _rate_hz(image: PIL.Image.Image) -> float:
    image.load()  # some formats tell the duration only then
    duration_ms = float(image.info.get("duration") or 0)
    return 1000 / duration_ms if duration_ms > _SLOWEST_BLINK_MS else 10.0


def _orientation(image: PIL.Image.Image) -> object:
    try:  # a PNG is decoded for it, since EXIF may lie behind the pixels
        return image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return None  # the picture itself may be whole


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    image.load()  # TIFF turns itself here
    return ImageOps.exif_transpose(image) if _orientation(image) in range(2, 9) else image


def _image_to_rgb(image: PIL.Image.Image) -> Image:
    if image.mode in ("I", "F"):
        return _three_channels(_unbounded_to_8_bits(np.asarray(image)))
    if image.mode.startswith("I;16"):  # Pillow's own conversion cuts everything above 255 off
        return _three_channels(_array_to_8_bits(np.asarray(image)))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _array_to_8_bits(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u":
        return (array >> 8).astype(np.uint8)
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise InputError("holds values that are no numbers (NaN)", "replace them, with 0 for black")
    if low < 0 or high > 1:
        fix = "divide by the value that stands for white, or give uint8"
        raise InputError(f"holds values from {low:g} to {high:g}, while floats mean 0 (black) to 1 (white)", fix)
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)


def _unbounded_to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale int32 or float32 [h, w] of which no format says what is white."""
    black, white = float(values.min()), float(values.max())
    if not np.isfinite(black) or not np.isfinite(white):
        raise InputError("holds values that are no finite numbers", "replace them, with 0 for black")
    if black >= 0:
        usual = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        black, white = next(((0.0, usual_white) for usual_white in usual if white <= usual_white), (black, white))
    scaled = (values.astype(np.float64) - black) * (255 / (white - black or 1))
    return np.rint(scaled).astype(np.uint8)


def _three_channels(array: npt.NDArray[np.uint8]) -> Image:
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep Pillow's remarks on large sizes, palettes and metadata from being printed: they change no pixel."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _reading(path: Path, where: str = "") -> Iterator[None]:
    """Tell of whatever happens inside as of this file, and this place in it."""
    try:
        with _unwarned():
            yield
    except PIL.Image.DecompressionBombError:
        limit_mpx = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise RecordError(path, where, f"has more than {limit_mpx:.0f} million pixels", "scale it down") from None
    except InputError as error:
        raise RecordError(path, where, error.problem, error.fix) from None
    except PIL.UnidentifiedImageError:
        raise RecordError(path, where, "is not a readable picture", FETCH_AGAIN) from None
    except _DAMAGE as error:
        raise RecordError(path, where, f"cannot be read as a picture: {_reason(error)}", FETCH_AGAIN) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
