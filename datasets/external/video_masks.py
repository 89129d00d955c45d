"""Where the true masks of a referring video set lie: in one table of run lengths, or in pictures of object numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refsav.datasets.external.checked_json import DOWNLOAD_AGAIN, read_json
from refsav.datasets.external.coco_segmentation import read_sized
from refsav.datasets.external.safe_pickle import read_plain_pickle
from refsav.datasets.masks import encode, union
from refsav.datasets.records import Rle
from refsav.errors import RecordError
from refsav.extras import require

SAME_RELEASE = "take masks and expressions of the same release"

MASKS_KEPT = 8192
"""Masks that are not checked again: the expressions of a video mean the same few objects."""

PICTURES_KEPT = 1024
"""Pictures that are not decoded again, kept as the masks of their objects: some kilobytes each."""

FrameMasks = tuple[Rle | None, ...]
"""One mask a frame, None where the object is hidden."""


class TrueMasks(Protocol):
    """The masks of a set."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from, for a digest."""

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], places: Sequence[int]) -> FrameMasks:
        """Give the pixels that any of some objects covers, in some frames of a video; no others are looked at.

        Args:
            video_id: The video.
            frames: Names of its frames, in the order in which the set lists them.
            keys: Names of the objects; none: nothing is meant, so all masks are empty.
            places: Of the frames that are wanted, in that order.

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
        self._mask = lru_cache(MASKS_KEPT)(self._checked_mask)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._path,)

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], places: Sequence[int]) -> FrameMasks:
        """See `TrueMasks`."""
        rows = [self._row(key, video_id, len(frames), places) for key in keys]
        seen = [[mask for row in rows if (mask := row[number]) is not None] for number in range(len(places))]
        if len({mask.size for masks in seen for mask in masks}) > 1:
            raise RecordError(
                self._path, f"{', '.join(keys)}", f"has masks of several sizes for {video_id}", SAME_RELEASE
            )
        return tuple(union(masks) if masks else None for masks in seen)

    def _row(self, key: str, video_id: str, length: int, places: Sequence[int]) -> list[Rle | None]:
        row = self._table.get(key)
        if not isinstance(row, list | tuple):
            raise RecordError(self._path, key, f"has no masks, {video_id} needs them", SAME_RELEASE)
        if len(row) != length:
            raise RecordError(self._path, key, f"has masks of {len(row)} frames, {video_id} has {length}", SAME_RELEASE)
        return [self._mask(key, place) for place in places]

    def _checked_mask(self, key: str, place: int) -> Rle | None:
        value = self._table[key][place]
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
        self._objects: Callable[[Path], Mapping[int, Rle]] = lru_cache(PICTURES_KEPT)(_objects)

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], places: Sequence[int]) -> FrameMasks:
        """See `TrueMasks`; keys are numbers of objects."""
        wanted = [int(key) for key in keys if key.isdecimal()]
        if len(wanted) != len(keys):
            raise RecordError(self._folder / video_id, "", f"object {keys[0][:20]!r} is no number", DOWNLOAD_AGAIN)
        pictures = [self._objects(self._folder / video_id / f"{frames[place]}.png") for place in places]
        seen = [[picture[number] for number in wanted if number in picture] for picture in pictures]
        return tuple(union(masks) if masks else None for masks in seen)


def _objects(path: Path) -> Mapping[int, Rle]:
    numbers = _numbers(path)
    present = np.flatnonzero(np.bincount(numbers.reshape(-1), minlength=256))
    return {int(number): encode(numbers == number) for number in present if number}


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
