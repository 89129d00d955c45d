"""GranD-f's training files (GCG): captions whose phrases have masks, in the three layouts as published."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from refsav.datasets.external.checked_json import DOWNLOAD_AGAIN, Published, checked, path_below, read_json
from refsav.datasets.external.coco_segmentation import read_sized
from refsav.datasets.masks import union
from refsav.datasets.records import Rle
from refsav.errors import ConfigError, RecordError

GcgFile = Literal["grandf", "openpsg", "refcocog", "flickr"]

FILE_NAMES: Mapping[GcgFile, str] = {
    "grandf": "GranDf_HA_GCG_train.json",
    "openpsg": "OpenPsgGCG_train.json",
    "refcocog": "RefCOCOg_GCG_train.json",
    "flickr": "flickr_mergedGT_GCG_train.json",
}

Polygons = tuple[tuple[float, ...], ...]
"""Each [x0, y0, x1, y1, …] in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """Words of a caption, and what they mean."""

    text: str
    span: tuple[int, int]
    """Where they stand in the caption, half-open."""
    mask: Rle | Polygons
    """Polygons where the file does not tell the image's size: `segmentation.read_segmentation` draws them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCaption:
    """One image, its caption, and the caption's phrases; its pixels have not been looked at."""

    image: Path
    caption: str
    phrases: tuple[Phrase, ...]
    """In the order in which they stand in the caption; they may overlap."""


class TrainingCaptions:
    """The captions of a file, each read when it is asked for."""

    def __init__(self, path: Path, kind: GcgFile, length: int, read: Callable[[int], TrainingCaption]) -> None:
        """Take what `open_gcg_training` has found."""
        self.name = f"GCG {kind}"
        """What results call the file."""
        self.files = (path,)
        """What it is told by, for a digest: not the images."""
        self._length, self._read = length, read

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[TrainingCaption]:
        """Go through all. Raises RecordError at the first that is not as published; `read` goes on behind it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> TrainingCaption:
        """Give one caption, counted from 0 in the order of the file. Raises RecordError if it is not as published."""
        return self._read(index)


def open_gcg_training(path: Path, kind: GcgFile, images: Path) -> TrainingCaptions:
    """Open a file.

    Args:
        path: The file; FILE_NAMES has their names.
        kind: Which of them.
        images: The folder that its file names start from.

    Raises:
        ConfigError: If there is no such kind.
        RecordError: If the file is not as published.
    """
    if kind not in get_args(GcgFile):
        raise ConfigError(f"{kind}: there is no such file of GranD-f\n  fix: choose {', '.join(get_args(GcgFile))}")
    content = read_json(path, f"give {FILE_NAMES[kind]} of GranD-f")
    if kind == "flickr":
        return _flickr(path, content, images)
    if not isinstance(content, list):
        raise RecordError(path, "", "is not a list of captions", DOWNLOAD_AGAIN)
    of = _of_refcocog if kind == "refcocog" else _generic
    return TrainingCaptions(path, kind, len(content), lambda index: of(path, images, f"[{index}]", content[index]))


class _Grounding(Published):
    token_positives: tuple[int, int]
    rle_masks: tuple[Any, ...]


class _Generic(Published):
    file_name: str
    caption: str
    groundings: dict[str, _Grounding] = Field(default_factory=dict)


def _generic(path: Path, images: Path, where: str, value: object) -> TrainingCaption:
    one = checked(_Generic, value, path, where)
    phrases = [
        Phrase(text=text, span=its.token_positives, mask=union([_mask(mask, path, where) for mask in its.rle_masks]))
        for text, its in one.groundings.items()
        if its.rle_masks
    ]
    return _sorted(path_below(images, one.file_name, path, where), one.caption.strip('"').strip(), phrases)


class _Reference(Published):
    sentence: str
    segmentation: Polygons


class _OfRefcocog(Published):
    img_file_name: str
    caption: str
    refs: tuple[_Reference, ...] = ()


def _of_refcocog(path: Path, images: Path, where: str, value: object) -> TrainingCaption:
    """Each entry is {number: caption}; a sentence that the caption does not hold is no phrase of it."""
    inner = next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else value
    one = checked(_OfRefcocog, inner, path, where)
    caption = one.caption.strip('"').strip().lower()
    begins = [(caption.find(its.sentence.lower()), its) for its in one.refs]
    phrases = [
        Phrase(text=its.sentence, span=(begin, begin + len(its.sentence)), mask=its.segmentation)
        for begin, its in begins
        if begin >= 0
    ]
    return _sorted(path_below(images, one.img_file_name, path, where), caption, phrases)


class _FlickrImage(Published):
    id: str
    file_name: str
    caption: str


class _FlickrObject(Published):
    tokens_positive: tuple[tuple[int, int], ...]
    sam_mask: Any
    ignore: bool = False


def _flickr(path: Path, content: object, images: Path) -> TrainingCaptions:
    parts = [content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations")]
    if not all(isinstance(part, list) for part in parts):
        raise RecordError(path, "images, annotations", "are missing", DOWNLOAD_AGAIN)
    listed, drawn = (part or [] for part in parts)
    pictures = [checked(_FlickrImage, one, path, f"images[{place}]") for place, one in enumerate(listed)]
    objects: dict[str, list[Any]] = {}
    for one in drawn:
        objects.setdefault(str(one.get("image_id")) if isinstance(one, dict) else "", []).append(one)

    def read(index: int) -> TrainingCaption:
        picture = pictures[index]
        where = f"images[id={picture.id}]"
        phrases = []
        for its in (checked(_FlickrObject, value, path, where) for value in objects.get(picture.id, [])):
            if its.tokens_positive and not its.ignore:
                begin, end = its.tokens_positive[0]
                mask = _mask(its.sam_mask, path, where)
                phrases.append(Phrase(text=picture.caption[begin:end], span=(begin, end), mask=mask))
        return _sorted(path_below(images, picture.file_name, path, where), picture.caption, phrases)

    return TrainingCaptions(path, "flickr", len(pictures), read)


def _sorted(image: Path, caption: str, phrases: list[Phrase]) -> TrainingCaption:
    return TrainingCaption(image=image, caption=caption, phrases=tuple(sorted(phrases, key=lambda phrase: phrase.span)))


def _mask(value: object, path: Path, where: str) -> Rle:
    try:
        return read_sized(value)
    except ValueError as error:
        raise RecordError(path, where, str(error), DOWNLOAD_AGAIN) from None
