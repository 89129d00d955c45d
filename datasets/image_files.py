"""One picture file as an image."""

from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.frames import FETCH_AGAIN, Image
from refsav.errors import RecordError

AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
"""Masks belong to the pixels of a file, whatever its EXIF data says of how to hold it."""


def read_picture(path: Path) -> Image:
    """Read a picture as uint8 RGB [H, W, 3].

    Raises:
        RecordError: If it is missing or cannot be read.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(content, AS_STORED) if len(content) else None
    except FileNotFoundError:
        raise RecordError(path, "", "the picture is missing", "unpack the dataset's images, all of them") from None
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", FETCH_AGAIN) from error
    except cv2.error as error:
        raise RecordError(path, "", f"cannot be decoded: {error.err}", FETCH_AGAIN) from error
    if picture is None:
        raise RecordError(path, "", "is not a readable picture", FETCH_AGAIN)
    return picture.astype(np.uint8, copy=False)
