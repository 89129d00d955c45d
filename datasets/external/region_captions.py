"""What is said of marked regions: RefCOCOg's captions with masks, and Osprey's instructions about several regions."""

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
    refuse_twice,
)
from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.refcoco import find_images
from refsav.datasets.records import Rle
from refsav.errors import RecordError

VALIDATION_FILE = "finetune_refcocog_val_with_mask.json"
FILE_FOLDERS = ("", "refcocog", "region_caption", "region_caption/refcocog")
"""Where it is looked for, below the folder that is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedRegion:
    """One region of an image and what people call it; its pixels have not been looked at."""

    region_id: str
    image: Path
    size: tuple[int, int]
    """(height, width) in pixels."""
    region: Rle
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionDialogue:
    """Regions of one image and what is said of them; its pixels have not been looked at."""

    image: Path
    size: tuple[int, int]
    """(height, width) in pixels."""
    regions: tuple[Rle, ...]
    """Called <region1>, <region2>, … in the texts."""
    turns: tuple[tuple[str, str], ...]
    """Questions and answers; none where there are descriptions."""
    descriptions: tuple[str, ...]
    """One a region; none where there are turns."""


class _Image(Published):
    id: str
    file_name: str
    height: int
    width: int
    caption: str


class RegionCaptions:
    """RefCOCOg's validation regions, each read when it is asked for."""

    name = "RefCOCOg region captions"

    def __init__(self, path: Path, images: Path) -> None:
        """Read the file. Raises RecordError."""
        self.files = (path,)
        """What the set is told by, for a digest: not the images."""
        self._images = images
        content = read_json(path, f"give the folder that holds {VALIDATION_FILE}")
        parts = [content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations")]
        if not all(isinstance(part, list) for part in parts):
            raise RecordError(path, "images, annotations", "are missing", DOWNLOAD_AGAIN)
        listed, drawn = (part or [] for part in parts)
        self._listed = [checked(_Image, one, path, f"images[{place}]") for place, one in enumerate(listed)]
        self._drawn = {str(one.get("image_id")): one.get("segmentation") for one in drawn if isinstance(one, dict)}
        self.ids = tuple(one.id for one in self._listed)
        """Region ids in the order of the file; its "images" are regions, several of one picture."""
        refuse_twice(self.ids, path, "images")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[CaptionedRegion]:
        """Go through all. Raises RecordError at the first that is not as published; `read` goes on behind it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> CaptionedRegion:
        """Give the region of this place in `ids`. Raises RecordError if it is not as published."""
        one, (path,) = self._listed[index], self.files
        where = f"images[id={one.id}]"
        size = (one.height, one.width)
        return CaptionedRegion(
            region_id=one.id,
            image=path_below(self._images, one.file_name, path, where),
            size=size,
            region=_region(self._drawn.get(one.id), size, path, where),
            caption=one.caption,
        )


def open_region_captions(folder: Path, *, images: Path | None = None) -> RegionCaptions:
    """Open RefCOCOg's validation regions.

    Args:
        folder: With `finetune_refcocog_val_with_mask.json`, or one above it.
        images: COCO's train2014; left out: looked for as for RefCOCO.

    Raises:
        RecordError: If the folder is not as published; what is missing is named.
    """
    root = next((folder / one for one in FILE_FOLDERS if (folder / one / VALIDATION_FILE).is_file()), folder)
    return RegionCaptions(root / VALIDATION_FILE, images or find_images(root))


class _Part(Published):
    segmentation: Any


class _Said(Published):
    speaker: str = Field(alias="from")
    value: str


class _Dialogue(Published):
    file_name: str
    height: int
    width: int
    annotation: tuple[_Part, ...]
    conversations: tuple[_Said, ...] = ()
    description: tuple[str, ...] = Field((), validation_alias=AliasChoices("description", "descriptions"))


class RegionDialogues:
    """One of Osprey's files, such as osprey_conversation.json, each entry read when it is asked for."""

    def __init__(self, path: Path, images: Sequence[Path]) -> None:
        """Read the file.

        Args:
            path: The file.
            images: Folders of COCO's images; an image is taken from the first that has it.

        Raises:
            RecordError: If it cannot be read.
        """
        content = read_json(path, "give one of the files of Osprey-724K")
        if not isinstance(content, list):
            raise RecordError(path, "", "is not a list of images with regions", DOWNLOAD_AGAIN)
        self.name = path.stem
        """What results call the file."""
        self.files = (path,)
        """What it is told by, for a digest: not the images."""
        self._entries, self._images = content, tuple(images)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[RegionDialogue]:
        """Go through all. Raises RecordError at the first that is not as published; `read` goes on behind it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> RegionDialogue:
        """Give one entry, counted from 0 in the order of the file. Raises RecordError if it is not as published."""
        (path,), where = self.files, f"[{index}]"
        one = checked(_Dialogue, self._entries[index], path, where)
        size = (one.height, one.width)
        candidates = [path_below(folder, one.file_name, path, where) for folder in self._images]
        found = next((image for image in candidates if image.is_file()), None)
        if found is None:
            folders = ", ".join(folder.name for folder in self._images)
            raise RecordError(path, where, f"{one.file_name} is in none of {folders}", "unpack COCO's images")
        return RegionDialogue(
            image=found,
            size=size,
            regions=tuple(_region(part.segmentation, size, path, where) for part in one.annotation),
            turns=_turns(one.conversations, path, where),
            descriptions=one.description,
        )


def _turns(said: Sequence[_Said], path: Path, where: str) -> tuple[tuple[str, str], ...]:
    """Pair questions and answers; an answer before the first question is left out, as the official loader does."""
    first = next((place for place, one in enumerate(said) if one.speaker == "human"), len(said))
    questions, answers = said[first::2], said[first + 1 :: 2]
    if any(one.speaker != "human" for one in questions) or any(one.speaker != "gpt" for one in answers):
        raise RecordError(path, where, "human and gpt do not take turns", DOWNLOAD_AGAIN)
    return tuple((question.value, answer.value) for question, answer in zip(questions, answers, strict=False))


def _region(value: object, size: tuple[int, int], path: Path, where: str) -> Rle:
    try:
        return read_segmentation(value, size)
    except ValueError as error:
        raise RecordError(path, where, str(error), DOWNLOAD_AGAIN) from None
