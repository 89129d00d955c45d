"""Where the true masks of a referring video set lie: in one table of run lengths, or in pictures of object numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refsav.datasets.foreign_json import DOWNLOAD_AGAIN, read_json
from refsav.datasets.masks import encode, union
from refsav.datasets.records import Rle
from refsav.datasets.safe_pickle import read_plain_pickle
from refsav.datasets.segmentation import read_sized
from refsav.errors import RecordError
from refsav.extras import require

SAME_RELEASE = "take masks and expressions of the same release"

ROWS_KEPT = 64
"""Objects whose masks are not checked again: the expressions of a video mean the same few."""

FrameMasks = tuple[Rle | None, ...]
"""One mask a frame, None where the object is hidden."""


class TrueMasks(Protocol):
    """The masks of a set."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from, for a digest."""

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str]) -> FrameMasks:
        """Give the pixels that any of some objects covers, in each frame of a video.

        Args:
            video_id: The video.
            frames: Names of its frames, in the order in which the set lists them.
            keys: Names of the objects; none: nothing is meant, so all masks are empty.

        Raises:
            RecordError: If there are none, or they do not fit.
        """


class MaskTable:
    """`mask_dict.json` or `mask_dict.pkl`: {key: [COCO RLE or null, one a frame]}, all of a set in one file."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises RecordError."""
        table = read_plain_pickle(path) if path.suffix == ".pkl" else read_json(path)
        if not isinstance(table, dict):
            raise RecordError(path, "", "is not a table of masks by their number", DOWNLOAD_AGAIN)
        self._path = path
        self._table: Mapping[object, Any] = table
        self._row = lru_cache(ROWS_KEPT)(self._checked_row)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._path,)

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str]) -> FrameMasks:
        """See `TrueMasks`."""
        if not keys:
            return (None,) * len(frames)
        rows = [self._row(key, video_id, len(frames)) for key in keys]
        seen = [[mask for mask in masks if mask is not None] for masks in zip(*rows, strict=True)]
        if len({mask.size for masks in seen for mask in masks}) > 1:
            raise RecordError(
                self._path, f"{', '.join(keys)}", f"has masks of several sizes for {video_id}", SAME_RELEASE
            )
        return tuple(union(masks) if masks else None for masks in seen)

    def _checked_row(self, key: str, video_id: str, length: int) -> list[Rle | None]:
        row = self._table.get(key)
        if not isinstance(row, list | tuple):
            raise RecordError(self._path, key, f"has no masks, {video_id} needs them", SAME_RELEASE)
        if len(row) != length:
            raise RecordError(self._path, key, f"has masks of {len(row)} frames, {video_id} has {length}", SAME_RELEASE)
        return [self._mask(key, place, value) for place, value in enumerate(row)]

    def _mask(self, key: str, place: int, value: object) -> Rle | None:
        if value is None:
            return None
        try:
            return read_sized(value)
        except ValueError as error:
            raise RecordError(self._path, f"{key}[{place}]", str(error), DOWNLOAD_AGAIN) from None


class NumberedPictures:
    """`Annotations/<video>/<frame>.png`, whose pixels hold the number of the object that they show, 0 for none."""

    def __init__(self, folder: Path) -> None:
        """Take a folder. Raises MissingExtraError without Pillow, which alone gives numbers instead of colours."""
        require("model", "PIL")
        self._folder = folder
        self._read: Callable[[str, tuple[str, ...]], list[npt.NDArray[np.uint8]]] = lru_cache(maxsize=1)(self._pictures)

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str]) -> FrameMasks:
        """See `TrueMasks`; keys are numbers of objects."""
        wanted = [int(key) for key in keys if key.isdecimal()]
        if len(wanted) != len(keys):
            raise RecordError(self._folder / video_id, "", f"object {keys[0][:20]!r} is no number", DOWNLOAD_AGAIN)
        masks = [np.isin(picture, wanted) for picture in self._read(video_id, tuple(frames))]
        return tuple(encode(mask) if mask.any() else None for mask in masks)

    def _pictures(self, video_id: str, frames: tuple[str, ...]) -> list[npt.NDArray[np.uint8]]:
        return [_numbers(self._folder / video_id / f"{frame}.png") for frame in frames]


def _numbers(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode not in ("P", "L"):
                problem = f"has colours ({picture.mode}), not numbers of objects"
                raise RecordError(path, "", problem, "take the dataset's own PNG files")
            return np.asarray(picture, np.uint8)
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", "unpack the annotations of this video") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise RecordError(path, "", f"is not a readable PNG: {error}", DOWNLOAD_AGAIN) from None
