"""GranD-f's training files for GCG: captions whose phrases have masks, in the three published layouts."""

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
    """A phrase of a caption and its mask."""

    text: str
    span: tuple[int, int]
    """Its characters in the caption, [begin, end)."""
    mask: Rle | Polygons
    """Polygons if the file does not state the image's size; `coco_segmentation.read_segmentation` converts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCaption:
    """One image, its caption, and the caption's phrases; its pixels have not been read."""

    image: Path
    caption: str
    phrases: tuple[Phrase, ...]
    """Ordered by their span in the caption; they may overlap."""


class TrainingCaptions:
    """The captions of a file, read on access."""

    def __init__(self, path: Path, kind: GcgFile, length: int, read: Callable[[int], TrainingCaption]) -> None:
        """Called by `open_gcg_training`.

        Args:
            path: The file.
            kind: Which of GranD-f's files it is.
            length: Number of its captions.
            read: Reads the caption with an index, from 0.
        """
        self.name = f"GCG {kind}"
        """The file's name in results."""
        self.files = (path,)
        """Files whose digest identifies the set; the images are not among them."""
        self._length, self._read = length, read

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[TrainingCaption]:
        """Iterate over all. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> TrainingCaption:
        """Read one caption, counted from 0 in the order of the file. Raises RecordError if it is not as published."""
        return self._read(index)


def open_gcg_training(path: Path, kind: GcgFile, images: Path) -> TrainingCaptions:
    """Open a training file of GranD-f.

    Args:
        path: The file; FILE_NAMES lists the published names.
        kind: Which of GranD-f's files it is.
        images: The folder that the file's image names are relative to.

    Raises:
        ConfigError: If there is no such kind.
        RecordError: If the file is not as published.
    """
    if kind not in get_args(GcgFile):
        raise ConfigError(f"{kind}: GranD-f has no such file", fix=f"choose one of {', '.join(get_args(GcgFile))}")
    content = read_json(path, f"give {FILE_NAMES[kind]} of GranD-f")
    if kind == "flickr":
        return _flickr(path, content, images)
    if not isinstance(content, list):
        raise RecordError(path, "", "is not a list of captions", DOWNLOAD_AGAIN)
    read_entry = _refcocog if kind == "refcocog" else _generic
    return TrainingCaptions(
        path, kind, len(content), lambda index: read_entry(path, images, f"[{index}]", content[index])
    )


class _Grounding(Published):
    token_positives: tuple[int, int]
    rle_masks: tuple[Any, ...]


class _Generic(Published):
    file_name: str
    caption: str
    groundings: dict[str, _Grounding] = Field(default_factory=dict)


def _generic(path: Path, images: Path, where: str, value: object) -> TrainingCaption:
    entry = checked(_Generic, value, path, where)
    phrases = [
        Phrase(
            text=text,
            span=grounding.token_positives,
            mask=union([_mask(mask, path, where) for mask in grounding.rle_masks]),
        )
        for text, grounding in entry.groundings.items()
        if grounding.rle_masks
    ]
    return _sorted(path_below(images, entry.file_name, path, where), entry.caption.strip('"').strip(), phrases)


class _Reference(Published):
    sentence: str
    segmentation: Polygons


class _Refcocog(Published):
    img_file_name: str
    caption: str
    refs: tuple[_Reference, ...] = ()


def _refcocog(path: Path, images: Path, where: str, value: object) -> TrainingCaption:
    """Read an entry {number: caption}; sentences that do not occur in the caption are left out."""
    inner = next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else value
    entry = checked(_Refcocog, inner, path, where)
    caption = entry.caption.strip('"').strip().lower()
    begins = [(caption.find(ref.sentence.lower()), ref) for ref in entry.refs]
    phrases = [
        Phrase(text=ref.sentence, span=(begin, begin + len(ref.sentence)), mask=ref.segmentation)
        for begin, ref in begins
        if begin >= 0
    ]
    return _sorted(path_below(images, entry.img_file_name, path, where), caption, phrases)


class _FlickrImage(Published):
    id: str
    file_name: str
    caption: str


class _FlickrObject(Published):
    tokens_positive: tuple[tuple[int, int], ...]
    sam_mask: Any
    ignore: bool = False


def _flickr(path: Path, content: object, images: Path) -> TrainingCaptions:
    lists = [content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations")]
    if not all(isinstance(values, list) for values in lists):
        raise RecordError(path, "images, annotations", "are missing", DOWNLOAD_AGAIN)
    images_listed, annotations = (values or [] for values in lists)
    entries = [checked(_FlickrImage, value, path, f"images[{n}]") for n, value in enumerate(images_listed)]
    objects: dict[str, list[Any]] = {}
    for value in annotations:
        objects.setdefault(str(value.get("image_id")) if isinstance(value, dict) else "", []).append(value)

    def read(index: int) -> TrainingCaption:
        entry = entries[index]
        where = f"images[id={entry.id}]"
        phrases = []
        for found in (checked(_FlickrObject, value, path, where) for value in objects.get(entry.id, [])):
            if found.tokens_positive and not found.ignore:
                begin, end = found.tokens_positive[0]
                mask = _mask(found.sam_mask, path, where)
                phrases.append(Phrase(text=entry.caption[begin:end], span=(begin, end), mask=mask))
        return _sorted(path_below(images, entry.file_name, path, where), entry.caption, phrases)

    return TrainingCaptions(path, "flickr", len(entries), read)


def _sorted(image: Path, caption: str, phrases: list[Phrase]) -> TrainingCaption:
    return TrainingCaption(image=image, caption=caption, phrases=tuple(sorted(phrases, key=lambda phrase: phrase.span)))


def _mask(value: object, path: Path, where: str) -> Rle:
    try:
        return read_sized(value)
    except ValueError as error:
        raise RecordError(path, where, str(error), DOWNLOAD_AGAIN) from None
