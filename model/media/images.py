"""Convert images to uint8 RGB: arrays, Pillow images, and image files with all their frames.

Values that are not 8-bit RGB are converted as follows:

- grey: the same value in all three channels; alpha is dropped without a background;
- palette, CMYK, YCbCr: by Pillow's conversion, which ignores colour profiles;
- 16 bits: the upper 8 bits, as Pillow does for 16-bit RGB; bool and 1 bit: 0 and 255;
- float arrays: 0 is black, 1 is white; other values are refused;
- 32-bit integer and float image files, whose formats do not define white: white is the first of 1 (float only), 255 and
  65535 that no value exceeds. If all are exceeded, or a value is negative, the image's smallest value is black and its
  largest white.
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

from refsav.datasets.frames import DEFAULT_RATE_HZ, Image, MediaInfo
from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN, InputError

ImageLike = npt.NDArray[Any] | PIL.Image.Image
"""An image in memory: an array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4], or a Pillow image."""

ARRAYS = "give uint8 0-255, uint16, bool or float 0-1, as [h, w], [h, w, 1], [h, w, 3] (RGB) or [h, w, 4] (RGBA)"

_ANIMATED = {"AVIF", "GIF", "PNG", "WEBP"}
"""Formats in which further images are later frames; in others they are pages, layers or previews."""

_NOT_READ_HERE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow recognises but needs other programs to read."""

_SHORTEST_DURATION_MS = 10
"""Browsers show frames of this duration or less for 100 ms."""

_SIDES_SWAPPED = {5, 6, 7, 8}
"""EXIF orientations that swap height and width."""

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
"""Exceptions that Pillow's readers raise on damaged files."""

_filters = threading.RLock()  # Python keeps one list of warning filters for all threads


def image_size(image: ImageLike) -> tuple[int, int]:
    """Return the (height, width) of an image in memory, in pixels, without reading its values.

    Raises:
        InputError: If it has another type or shape than an image, or no pixels.
    """
    if isinstance(image, PIL.Image.Image):
        width, height = image.size
    elif not isinstance(image, np.ndarray):
        raise InputError(f"a {type(image).__name__} is not an image", "give a numpy array or a Pillow image")
    elif image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise InputError(f"an array of shape {list(image.shape)} is not an image", ARRAYS)
    elif image.dtype.kind not in "bf" and not (image.dtype.kind == "u" and image.dtype.itemsize <= 2):
        raise InputError(f"an array of {image.dtype} is not an image", ARRAYS)
    else:
        height, width = image.shape[:2]
    if height < 1 or width < 1:
        raise InputError(f"an image of {height}x{width} pixels is empty", "leave it out")
    return height, width


def to_rgb(image: ImageLike) -> Image:
    """Convert an image in memory to uint8 RGB.

    Of an animated Pillow image, the current frame is converted. Its EXIF orientation is not applied, so that masks have
    the image's `size`.

    Returns:
        uint8 RGB [h, w, 3]; the array itself if it has this type and shape.

    Raises:
        InputError: If it is not an image, or contains values that are not colours.
    """
    image_size(image)
    if isinstance(image, np.ndarray):
        return _three_channels(_array_to_8_bits(image))
    try:
        with _unwarned():
            return _image_to_rgb(image)
    except _DAMAGE as error:
        raise InputError(f"the image cannot be read: {_reason(error)}", FETCH_AGAIN) from error


def probe_image(path: Path) -> MediaInfo | None:
    """Read the size and the number of frames of an image file.

    The format is detected from the content, not from the name; only TGA, which has no signature, must be named .tga.
    GIF, PNG, WebP and AVIF files may contain several frames; of other formats, the first image is used.

    Returns:
        The size after the EXIF orientation is applied, and the rate from the first frame's duration (24 Hz, SA-V's
        rate, for a single image). None if the file is not an image.

    Raises:
        RecordError: If it has more pixels than Pillow allows, or is damaged.
    """
    with _reading(path):
        try:
            image = _open(path)
        except PIL.UnidentifiedImageError:
            return None
        with image:
            lying = image.format != "TIFF" and _orientation(image) in _SIDES_SWAPPED  # TIFF's reader swaps them itself
            height, width = image.size if lying else image.size[::-1]
            count = _frame_count(image)
            return MediaInfo(count, height, width, DEFAULT_RATE_HZ if count == 1 else _rate_hz(image))


def decode_image(path: Path, indexes: Collection[int] = (0,)) -> Iterator[tuple[int, Image]]:
    """Decode frames of an image file, in increasing order.

    Args:
        path: The image file.
        indexes: Which frames, from 0; a file that is not animated has only frame 0.

    Yields:
        (index, frame), the frame as uint8 RGB [h, w, 3], upright by the EXIF orientation.

    Raises:
        RecordError: If the file is not an image, is damaged, or ends before a requested frame.
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
    image.load()  # some formats know the duration only then
    duration_ms = float(image.info.get("duration") or 0)
    return 1000 / duration_ms if duration_ms > _SHORTEST_DURATION_MS else 10.0


def _orientation(image: PIL.Image.Image) -> object:
    try:  # a PNG is decoded for it, since EXIF may follow the pixels
        return image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return None  # the image itself may be intact


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    image.load()  # a TIFF is turned upright here
    return ImageOps.exif_transpose(image) if _orientation(image) in range(2, 9) else image


def _image_to_rgb(image: PIL.Image.Image) -> Image:
    if image.mode in ("I", "F"):
        return _three_channels(_unbounded_to_8_bits(np.asarray(image)))
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips values above 255
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
        raise InputError("contains NaN values", "replace them, for example with 0 (black)")
    if low < 0 or high > 1:
        fix = "divide by the value of white, or give uint8"
        raise InputError(f"contains values from {low:g} to {high:g}; floats must be 0 (black) to 1 (white)", fix)
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)


def _unbounded_to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale int32 or float32 [h, w], whose formats do not define white, to 0-255; see the module's list."""
    black, white = float(values.min()), float(values.max())
    if not np.isfinite(black) or not np.isfinite(white):
        raise InputError("contains NaN or infinite values", "replace them, for example with 0 (black)")
    if black >= 0:
        common = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        black, white = next(((0.0, limit) for limit in common if white <= limit), (black, white))
    scaled = (values.astype(np.float64) - black) * (255 / (white - black or 1))
    return np.rint(scaled).astype(np.uint8)


def _three_channels(array: npt.NDArray[np.uint8]) -> Image:
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


@contextmanager
def _unwarned() -> Iterator[None]:
    """Suppress Pillow's warnings about sizes, palettes and metadata; they do not affect the pixels."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _reading(path: Path, where: str = "") -> Iterator[None]:
    """Raise errors of the block as RecordError about this file and this place in it."""
    try:
        with _unwarned():
            yield
    except PIL.Image.DecompressionBombError:
        limit_mpx = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise RecordError(path, where, f"has more than {limit_mpx:.0f} million pixels", "scale it down") from None
    except InputError as error:
        raise RecordError(path, where, error.problem, error.fix) from None
    except PIL.UnidentifiedImageError:
        raise RecordError(path, where, "is not a readable image", FETCH_AGAIN) from None
    except _DAMAGE as error:
        raise RecordError(path, where, f"cannot be decoded as an image: {_reason(error)}", FETCH_AGAIN) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
