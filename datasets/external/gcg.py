"""GranD-f's val and test sets for grounded conversation generation (GCG): images, captions, and masks of phrases."""

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
    refuse_duplicates,
)
from refsav.datasets.external.coco_segmentation import read_sized
from refsav.datasets.records import Rle
from refsav.errors import ConfigError, RecordError

SPLITS = ("val", "test")
FILE_FOLDERS = ("", "val_test", "annotations/val_test", "GranDf/annotations/val_test", "annotations/gcg_val_test")
IMAGE_FOLDERS = ("GranDf_HA_images/val_test", "images/grandf/val_test", "images/GranDf_HA_images/val_test", "val_test")
"""Subfolders of the given folder that are searched for the two files and for the images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedImage:
    """One image with its true caption and masks; its pixels have not been read."""

    image_id: str
    image: Path
    caption: str
    labels: tuple[str, ...]
    """Phrases of the caption that have a mask, in order."""
    masks: tuple[Rle, ...]
    """Mask i belongs to label i; the official scripts match them by order, too."""


class _Caption(Published):
    image_id: str
    caption: str
    labels: tuple[str, ...]


class GcgSet:
    """The images of a split, read on access."""

    def __init__(self, captions: Path, masks: Path, images: Path, split: str) -> None:
        """Read the two annotation files.

        Args:
            captions: `{split}_gcg_coco_caption_gt.json`.
            masks: `{split}_gcg_coco_mask_gt.json`.
            images: The folder of the images.
            split: val or test.

        Raises:
            RecordError: If a file cannot be read, or is not as published.
        """
        self.name = f"GranD-f {split}"
        """The set's name in results."""
        self.files = (captions, masks)
        """Files whose digest identifies the set; the images are not among them."""
        self._images = images
        entries = _annotations(captions)
        self._captions = [checked(_Caption, entry, captions, f"annotations[{n}]") for n, entry in enumerate(entries)]
        self._masks: dict[str, list[Any]] = {}
        for entry in _annotations(masks):
            if isinstance(entry, dict):
                self._masks.setdefault(str(entry.get("image_id")), []).append(entry.get("segmentation"))
        self.ids = tuple(caption.image_id for caption in self._captions)
        """Image ids in the order of the file."""
        refuse_duplicates(self.ids, captions, "annotations")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[CaptionedImage]:
        """Iterate over all images. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> CaptionedImage:
        """Read the image `ids[index]`. Raises RecordError if it is not as published."""
        entry = self._captions[index]
        where = f"annotations[image_id={entry.image_id}]"
        try:
            masks = tuple(read_sized(mask) for mask in self._masks.get(entry.image_id, []))
        except ValueError as error:
            raise RecordError(self.files[1], where, str(error), DOWNLOAD_AGAIN) from None
        if len({mask.size for mask in masks}) > 1:
            raise RecordError(self.files[1], where, "has masks of several sizes", DOWNLOAD_AGAIN)
        return CaptionedImage(
            image_id=entry.image_id,
            image=path_below(self._images, f"{entry.image_id}.jpg", self.files[0], where),
            caption=entry.caption,
            labels=entry.labels,
            masks=masks,
        )


def open_gcg(folder: Path, split: str, *, images: Path | None = None) -> GcgSet:
    """Open a split of GranD-f.

    Args:
        folder: The folder with `val_gcg_coco_caption_gt.json` and `val_gcg_coco_mask_gt.json`, or a folder above it
            (see FILE_FOLDERS).
        split: val or test.
        images: The folder `GranDf_HA_images/val_test`; None searches IMAGE_FOLDERS.

    Raises:
        ConfigError: If there is no such split.
        RecordError: If the folder is not as published; names what is missing.
    """
    if split not in SPLITS:
        raise ConfigError(f"GCG {split}: there is no such split", fix=f"choose {' or '.join(SPLITS)}")
    name = f"{split}_gcg_coco_caption_gt.json"
    root = next((folder / below for below in FILE_FOLDERS if (folder / below / name).is_file()), folder)
    image_folder = images or next((folder / below for below in IMAGE_FOLDERS if (folder / below).is_dir()), None)
    if image_folder is None:
        problem = f"has no images: none of {', '.join(IMAGE_FOLDERS)} exists"
        raise RecordError(folder, "", problem, "give their folder, GranDf_HA_images/val_test, with --images")
    return GcgSet(root / name, root / f"{split}_gcg_coco_mask_gt.json", image_folder, split)


def _annotations(path: Path) -> list[Any]:
    content = read_json(path, "give the folder that GranD-f was unpacked into")
    found = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise RecordError(path, "annotations", "is missing", DOWNLOAD_AGAIN)
    return found
