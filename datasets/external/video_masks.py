"""The true masks of a referring video set: in one table of RLEs, or in indexed PNG files of object numbers."""

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

MASKS_CACHED = 8192
"""Validated masks in the cache: the expressions of a video refer to the same few objects."""

IMAGES_CACHED = 1024
"""Decoded PNG files in the cache, kept as the masks of their objects: some kilobytes each."""

FrameMasks = tuple[Rle | None, ...]
"""One mask per frame, None where the object is hidden."""


class GroundTruthMasks(Protocol):
    """The true masks of a set."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files whose digest identifies the masks."""

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], positions: Sequence[int]) -> FrameMasks:
        """Read the union of some objects' masks in some frames of a video; no other masks are decoded.

        Args:
            video_id: The video.
            frames: Names of its frames, in the order in which the set lists them.
            keys: Keys of the objects' masks; empty if the expression refers to no object, which gives empty masks.
            positions: Indexes in `frames` of the requested frames.

        Returns:
            One mask per position; None where no object is visible.

        Raises:
            RecordError: If masks are missing, or do not match the video.
        """


class MaskTable:
    """All masks of a set in one file, `mask_dict.json` or `mask_dict.pkl`: {key: [COCO RLE or null, one per frame]}."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises RecordError."""
        table = read_plain_pickle(path) if path.suffix == ".pkl" else read_json(path)
        if not isinstance(table, dict):
            raise RecordError(path, "", "is not a table of masks by their keys", DOWNLOAD_AGAIN)
        self._path = path
        self._table: Mapping[object, Any] = table
        self._mask = lru_cache(MASKS_CACHED)(self._checked_mask)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._path,)

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], positions: Sequence[int]) -> FrameMasks:
        """See `GroundTruthMasks`."""
        rows = [self._row(key, video_id, len(frames), positions) for key in keys]
        visible = [[mask for row in rows if (mask := row[number]) is not None] for number in range(len(positions))]
        if len({mask.size for masks in visible for mask in masks}) > 1:
            raise RecordError(
                self._path, f"{', '.join(keys)}", f"has masks of several sizes for {video_id}", SAME_RELEASE
            )
        return tuple(union(masks) if masks else None for masks in visible)

    def _row(self, key: str, video_id: str, length: int, positions: Sequence[int]) -> list[Rle | None]:
        row = self._table.get(key)
        if not isinstance(row, list | tuple):
            raise RecordError(self._path, key, f"has no masks, {video_id} needs them", SAME_RELEASE)
        if len(row) != length:
            raise RecordError(self._path, key, f"has masks of {len(row)} frames, {video_id} has {length}", SAME_RELEASE)
        return [self._mask(key, position) for position in positions]

    def _checked_mask(self, key: str, position: int) -> Rle | None:
        value = self._table[key][position]
        if value is None:
            return None
        try:
            return read_sized(value)
        except ValueError as error:
            raise RecordError(self._path, f"{key}[{position}]", str(error), DOWNLOAD_AGAIN) from None


class IndexedPngMasks:
    """`Annotations/<video>/<frame>.png`: each pixel's value is the number of the object that it shows, 0 for none."""

    def __init__(self, folder: Path) -> None:
        """Use the PNG files below `folder`.

        Raises:
            MissingExtraError: If Pillow is not installed; OpenCV returns a palette's colours, not its indexes.
        """
        require("model", "PIL")
        self._folder = folder
        self._objects: Callable[[Path], Mapping[int, Rle]] = lru_cache(IMAGES_CACHED)(_objects)

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def of(self, video_id: str, frames: Sequence[str], keys: Sequence[str], positions: Sequence[int]) -> FrameMasks:
        """See `GroundTruthMasks`; keys are object numbers."""
        wanted = [int(key) for key in keys if key.isdecimal()]
        if len(wanted) != len(keys):
            raise RecordError(self._folder / video_id, "", f"object {keys[0][:20]!r} is not a number", DOWNLOAD_AGAIN)
        images = [self._objects(self._folder / video_id / f"{frames[position]}.png") for position in positions]
        visible = [[objects[number] for number in wanted if number in objects] for objects in images]
        return tuple(union(masks) if masks else None for masks in visible)


def _objects(path: Path) -> Mapping[int, Rle]:
    numbers = _numbers(path)
    present = np.flatnonzero(np.bincount(numbers.reshape(-1), minlength=256))
    return {int(number): encode(numbers == number) for number in present if number}


def _numbers(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode not in ("P", "L"):
                problem = f"has colours ({image.mode}), not object numbers"
                raise RecordError(path, "", problem, "take the dataset's own PNG files")
            return np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", "unpack the annotations of this video") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise RecordError(path, "", f"is not a readable PNG: {error}", DOWNLOAD_AGAIN) from None
