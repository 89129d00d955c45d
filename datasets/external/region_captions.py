"""Texts about marked regions: RefCOCOg's region captions with masks, and Osprey's dialogues about several regions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field

from refsav.datasets.external.checked_json import (
    DOWNLOAD_AGAIN,
    Published,
    checked,
    path_below,
    read_json,
    refuse_duplicates,
)
from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.refcoco import find_images
from refsav.datasets.records import Rle
from refsav.errors import RecordError

VALIDATION_FILE = "finetune_refcocog_val_with_mask.json"
FILE_FOLDERS = ("", "refcocog", "region_caption", "region_caption/refcocog")
"""Subfolders of the given folder that are searched for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedRegion:
    """One region of an image and its caption; the image's pixels have not been read."""

    region_id: str
    image: Path
    size: tuple[int, int]
    """(height, width) in pixels."""
    region: Rle
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionDialogue:
    """Regions of one image, and a dialogue about them or descriptions; the image's pixels have not been read."""

    image: Path
    size: tuple[int, int]
    """(height, width) in pixels."""
    regions: tuple[Rle, ...]
    """The texts refer to them as <region1>, <region2>, …"""
    turns: tuple[tuple[str, str], ...]
    """(question, answer) pairs; empty if there are descriptions."""
    descriptions: tuple[str, ...]
    """One per region; empty if there are turns."""


class _Image(Published):
    id: str
    file_name: str
    height: int
    width: int
    caption: str


class RegionCaptions:
    """RefCOCOg's validation regions, read on access."""

    name = "RefCOCOg region captions"

    def __init__(self, path: Path, images: Path) -> None:
        """Read the file; image names in it are relative to the folder `images`. Raises RecordError."""
        self.files = (path,)
        """Files whose digest identifies the set; the images are not among them."""
        self._images = images
        content = read_json(path, f"give the folder that holds {VALIDATION_FILE}")
        lists = [content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations")]
        if not all(isinstance(values, list) for values in lists):
            raise RecordError(path, "images, annotations", "are missing", DOWNLOAD_AGAIN)
        regions, annotations = (values or [] for values in lists)
        self._entries = [checked(_Image, value, path, f"images[{n}]") for n, value in enumerate(regions)]
        self._masks = {
            str(value.get("image_id")): value.get("segmentation") for value in annotations if isinstance(value, dict)
        }
        self.ids = tuple(entry.id for entry in self._entries)
        """Region ids in the order of the file, whose "images" are regions: several may share an image file."""
        refuse_duplicates(self.ids, path, "images")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[CaptionedRegion]:
        """Iterate over all. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> CaptionedRegion:
        """Read the region `ids[index]`. Raises RecordError if it is not as published."""
        entry, (path,) = self._entries[index], self.files
        where = f"images[id={entry.id}]"
        size = (entry.height, entry.width)
        return CaptionedRegion(
            region_id=entry.id,
            image=path_below(self._images, entry.file_name, path, where),
            size=size,
            region=_region(self._masks.get(entry.id), size, path, where),
            caption=entry.caption,
        )


def open_region_captions(folder: Path, *, images: Path | None = None) -> RegionCaptions:
    """Open RefCOCOg's validation regions.

    Args:
        folder: The folder with `finetune_refcocog_val_with_mask.json`, or a folder above it (see FILE_FOLDERS).
        images: COCO's train2014; None searches the same subfolders as for RefCOCO.

    Raises:
        RecordError: If the folder is not as published; names what is missing.
    """
    root = next((folder / below for below in FILE_FOLDERS if (folder / below / VALIDATION_FILE).is_file()), folder)
    return RegionCaptions(root / VALIDATION_FILE, images or find_images(root))


class _Annotation(Published):
    segmentation: Any


class _Message(Published):
    speaker: str = Field(alias="from")
    value: str


class _Dialogue(Published):
    file_name: str
    height: int
    width: int
    annotation: tuple[_Annotation, ...]
    conversations: tuple[_Message, ...] = ()
    description: tuple[str, ...] = Field((), validation_alias=AliasChoices("description", "descriptions"))


class RegionDialogues:
    """One of Osprey's files, such as osprey_conversation.json; entries are read on access."""

    def __init__(self, path: Path, images: Sequence[Path]) -> None:
        """Read the file.

        Args:
            path: The file.
            images: Folders of COCO's images; an image is taken from the first folder that has it.

        Raises:
            RecordError: If it cannot be read.
        """
        content = read_json(path, "give one of the files of Osprey-724K")
        if not isinstance(content, list):
            raise RecordError(path, "", "is not a list of images with regions", DOWNLOAD_AGAIN)
        self.name = path.stem
        """The file's name in results."""
        self.files = (path,)
        """Files whose digest identifies the set; the images are not among them."""
        self._entries, self._images = content, tuple(images)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[RegionDialogue]:
        """Iterate over all. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> RegionDialogue:
        """Read one entry, counted from 0 in the order of the file. Raises RecordError if it is not as published."""
        (path,), where = self.files, f"[{index}]"
        entry = checked(_Dialogue, self._entries[index], path, where)
        size = (entry.height, entry.width)
        candidates = [path_below(folder, entry.file_name, path, where) for folder in self._images]
        found = next((image for image in candidates if image.is_file()), None)
        if found is None:
            folders = ", ".join(folder.name for folder in self._images)
            raise RecordError(path, where, f"{entry.file_name} is in none of {folders}", "unpack COCO's images")
        return RegionDialogue(
            image=found,
            size=size,
            regions=tuple(_region(annotation.segmentation, size, path, where) for annotation in entry.annotation),
            turns=_turns(entry.conversations, path, where),
            descriptions=entry.description,
        )


def _turns(messages: Sequence[_Message], path: Path, where: str) -> tuple[tuple[str, str], ...]:
    """Pair questions and answers; an answer before the first question is left out, as the official loader does."""
    first = next((n for n, message in enumerate(messages) if message.speaker == "human"), len(messages))
    questions, answers = messages[first::2], messages[first + 1 :: 2]
    if any(one.speaker != "human" for one in questions) or any(one.speaker != "gpt" for one in answers):
        raise RecordError(path, where, "human and gpt do not take turns", DOWNLOAD_AGAIN)
    return tuple((question.value, answer.value) for question, answer in zip(questions, answers, strict=False))


def _region(value: object, size: tuple[int, int], path: Path, where: str) -> Rle:
    try:
        return read_segmentation(value, size)
    except ValueError as error:
        raise RecordError(path, where, str(error), DOWNLOAD_AGAIN) from None
