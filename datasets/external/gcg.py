"""GranD-f's val and test set: images, what is said of each, and masks of what is named there (GCG)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.datasets.external.checked_json import (
    DOWNLOAD_AGAIN,
    Published,
    checked,
    path_below,
    read_json,
    refuse_twice,
)
from refsav.datasets.external.coco_segmentation import read_sized
from refsav.datasets.records import Rle
from refsav.errors import ConfigError, RecordError

SPLITS = ("val", "test")
FILE_FOLDERS = ("", "val_test", "annotations/val_test", "GranDf/annotations/val_test", "annotations/gcg_val_test")
IMAGE_FOLDERS = ("GranDf_HA_images/val_test", "images/grandf/val_test", "images/GranDf_HA_images/val_test", "val_test")
"""Where the two files and the images are looked for, below the folder that is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedImage:
    """One image and what a model should say and draw; its pixels have not been looked at."""

    image_id: str
    image: Path
    caption: str
    labels: tuple[str, ...]
    """Phrases of the caption that have a mask, in order."""
    masks: tuple[Rle, ...]
    """Of the labels, by their places; the official scripts rely on nothing else."""


class _Caption(Published):
    image_id: str
    caption: str
    labels: tuple[str, ...]


class GcgSet:
    """The images of a split, each read when it is asked for."""

    def __init__(self, captions: Path, masks: Path, images: Path, split: str) -> None:
        """Read the two files. Raises RecordError."""
        self.name = f"GranD-f {split}"
        """What results call the set."""
        self.files = (captions, masks)
        """Files that the set is told by, for a digest: not the images."""
        self._images = images
        listed = _annotations(captions)
        self._captions = [checked(_Caption, one, captions, f"annotations[{n}]") for n, one in enumerate(listed)]
        self._masks: dict[str, list[Any]] = {}
        for one in _annotations(masks):
            if isinstance(one, dict):
                self._masks.setdefault(str(one.get("image_id")), []).append(one.get("segmentation"))
        self.ids = tuple(one.image_id for one in self._captions)
        """Image ids in the order of the file."""
        refuse_twice(self.ids, captions, "annotations")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[CaptionedImage]:
        """Go through all images. Raises RecordError at the first that is not as published; `read` goes on behind it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> CaptionedImage:
        """Give the image of this place in `ids`. Raises RecordError if it is not as published."""
        one = self._captions[index]
        where = f"annotations[image_id={one.image_id}]"
        try:
            masks = tuple(read_sized(mask) for mask in self._masks.get(one.image_id, []))
        except ValueError as error:
            raise RecordError(self.files[1], where, str(error), DOWNLOAD_AGAIN) from None
        if len({mask.size for mask in masks}) > 1:
            raise RecordError(self.files[1], where, "has masks of several sizes", DOWNLOAD_AGAIN)
        return CaptionedImage(
            image_id=one.image_id,
            image=path_below(self._images, f"{one.image_id}.jpg", self.files[0], where),
            caption=one.caption,
            labels=one.labels,
            masks=masks,
        )


def open_gcg(folder: Path, split: str, *, images: Path | None = None) -> GcgSet:
    """Open a split.

    Args:
        folder: With `val_gcg_coco_caption_gt.json` and `val_gcg_coco_mask_gt.json`, or one above it (FILE_FOLDERS).
        split: val or test.
        images: `GranDf_HA_images/val_test`; left out: looked for in IMAGE_FOLDERS.

    Raises:
        ConfigError: If there is no such split.
        RecordError: If the folder is not as published; what is missing is named.
    """
    if split not in SPLITS:
        raise ConfigError(f"GCG {split}: there is no such split\n  fix: choose {' or '.join(SPLITS)}")
    name = f"{split}_gcg_coco_caption_gt.json"
    root = next((folder / one for one in FILE_FOLDERS if (folder / one / name).is_file()), folder)
    pictures = images or next((folder / one for one in IMAGE_FOLDERS if (folder / one).is_dir()), None)
    if pictures is None:
        problem = f"holds no images: none of {', '.join(IMAGE_FOLDERS)}"
        raise RecordError(folder, "", problem, "give their folder, GranDf_HA_images/val_test, with --images")
    return GcgSet(root / name, root / f"{split}_gcg_coco_mask_gt.json", pictures, split)


def _annotations(path: Path) -> list[Any]:
    content = read_json(path, "give the folder that GranD-f was unpacked into")
    found = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise RecordError(path, "annotations", "is missing", DOWNLOAD_AGAIN)
    return found
