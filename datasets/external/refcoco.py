"""RefCOCO, RefCOCO+ and RefCOCOg as published: `refs(unc).p`, `instances.json`, and the images of COCO 2014."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from refsav.datasets.external.checked_json import DOWNLOAD_AGAIN, Published, checked, path_below, read_json
from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.safe_pickle import read_plain_pickle
from refsav.datasets.records import Rle
from refsav.errors import ConfigError, RecordError

RefCocoSet = Literal["refcoco", "refcoco+", "refcocog"]

SPLITS: Mapping[tuple[RefCocoSet, str], tuple[str, ...]] = {
    ("refcoco", "unc"): ("train", "val", "testA", "testB"),
    ("refcoco", "google"): ("train", "val", "test"),
    ("refcoco+", "unc"): ("train", "val", "testA", "testB"),
    ("refcocog", "umd"): ("train", "val", "test"),
    ("refcocog", "google"): ("train", "val"),
}
"""(set, authors of its splits) to the splits; a set's first entry is its default."""

IMAGE_FOLDERS = (
    "images/mscoco/images/train2014",
    "images/train2014",
    "train2014",
    "coco/train2014",
    "coco2014/train2014",
    "glamm_data/images/coco2014/train2014",
)
"""Subfolders that are searched for the images, below the set's folder and the two folders above it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferringSentence:
    """One sentence that refers to one object."""

    sentence_id: int
    object_id: int
    """The id of COCO's annotation; sentences about one object share it."""
    text: str
    truth: Rle
    """The object's true mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferredImage:
    """One image with all sentences of a split about it; its pixels have not been read."""

    image_id: int
    image: Path
    size: tuple[int, int]
    """(height, width) in pixels."""
    split: str
    sentences: tuple[ReferringSentence, ...]


class _Sentence(Published):
    sent: str
    sent_id: int


class _Ref(Published):
    ann_id: int
    image_id: int
    split: str
    sentences: tuple[_Sentence, ...]


class _Image(Published):
    file_name: str
    height: int
    width: int


class RefCoco:
    """The images of some splits of a set, read on access."""

    def __init__(
        self, folder: Path, name: RefCocoSet, splits: tuple[str, ...], split_by: str, images: Path | None
    ) -> None:
        """Read the set's two files; called by `open_refcoco`, which checks the arguments.

        Args:
            folder: The folder with `refs(unc).p` and `instances.json`.
            name: Which set.
            splits: The splits to read.
            split_by: The authors of the splits: unc, umd or google.
            images: COCO's train2014; None searches IMAGE_FOLDERS.

        Raises:
            RecordError: If a file cannot be read, or is not as published.
        """
        self.name = f"{name} ({split_by})"
        """The set's name in results."""
        self.files = (folder / f"refs({split_by}).p", folder / "instances.json")
        """Files whose digest identifies the set; the images are not among them."""
        instances = read_json(self.files[1], "unpack the set: instances.json belongs next to its refs")
        self._images, self._objects = (_by_id(self.files[1], instances, key) for key in ("images", "annotations"))
        self._refs = self._read_refs(splits)
        self.keys: tuple[tuple[str, int], ...] = tuple(self._refs)
        """(split, image id) in the order of the splits and of the file."""
        self._folder = images or find_images(folder)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[ReferredImage]:
        """Iterate over all images. Raises RecordError at the first that is not as published; `read` can skip it."""
        return map(self.read, range(len(self)))

    def read(self, index: int) -> ReferredImage:
        """Read the image `keys[index]` with its sentences and masks.

        Raises:
            RecordError: If it is not as published, or an object has no mask.
        """
        split, image_id = self.keys[index]
        refs, where = self._refs[split, image_id], f"images[id={image_id}]"
        if image_id not in self._images:
            raise RecordError(self.files[1], where, "is missing, but the refs use it", DOWNLOAD_AGAIN)
        image = checked(_Image, self._images[image_id], self.files[1], where)
        size = (image.height, image.width)
        return ReferredImage(
            image_id=image_id,
            image=path_below(self._folder, image.file_name, self.files[1], where),
            size=size,
            split=split,
            sentences=tuple(
                ReferringSentence(sentence_id=sentence.sent_id, object_id=ref.ann_id, text=sentence.sent, truth=truth)
                for ref, truth in ((ref, self._truth(ref.ann_id, size)) for ref in refs)
                for sentence in ref.sentences
            ),
        )

    def _truth(self, object_id: int, size: tuple[int, int]) -> Rle:
        where = f"annotations[id={object_id}]"
        if object_id not in self._objects:
            raise RecordError(self.files[1], where, "is missing, but the refs use it", DOWNLOAD_AGAIN)
        try:
            return read_segmentation(self._objects[object_id].get("segmentation"), size)
        except ValueError as error:
            raise RecordError(self.files[1], f"{where}.segmentation", str(error), DOWNLOAD_AGAIN) from None

    def _read_refs(self, splits: tuple[str, ...]) -> dict[tuple[str, int], list[_Ref]]:
        refs = read_plain_pickle(self.files[0])
        if not isinstance(refs, list):
            raise RecordError(self.files[0], "", "is not a list of refs", DOWNLOAD_AGAIN)
        found: dict[str, dict[tuple[str, int], list[_Ref]]] = {split: {} for split in splits}
        for number, value in enumerate(refs):
            ref = checked(_Ref, value, self.files[0], f"[{number}]")
            if ref.split in found:
                found[ref.split].setdefault((ref.split, ref.image_id), []).append(ref)
        for split, images in found.items():
            if not images:
                raise RecordError(self.files[0], "", f"has no entry of split {split}", DOWNLOAD_AGAIN)
        return {key: refs for images in found.values() for key, refs in images.items()}


def open_refcoco(
    folder: Path, name: RefCocoSet, splits: tuple[str, ...] = (), *, split_by: str = "", images: Path | None = None
) -> RefCoco:
    """Open RefCOCO, RefCOCO+ or RefCOCOg.

    Args:
        folder: The folder with `refs(unc).p` and `instances.json`, or the folder above it.
        name: Which set.
        splits: Some of the set's SPLITS; empty for all except train.
        split_by: The authors of the splits (refer API, `splitBy`); empty for the default: unc for RefCOCO and RefCOCO+,
            umd for RefCOCOg.
        images: COCO's train2014; None searches IMAGE_FOLDERS.

    Raises:
        ConfigError: If there is no such set or split.
        RecordError: If the folder is not as published; names what is missing.
    """
    authors = split_by or next((authors for known_name, authors in SPLITS if known_name == name), "")
    known = SPLITS.get((name, authors), ())
    wanted = splits or tuple(split for split in known if split != "train")
    if name not in get_args(RefCocoSet) or not known or not set(wanted) <= set(known):
        choices = "; ".join(f"{known_name} by {by}: {', '.join(names)}" for (known_name, by), names in SPLITS.items())
        raise ConfigError(f"{name} by {authors}: no splits {', '.join(wanted)}", fix=f"choose from {choices}")
    refs_name = f"refs({authors}).p"
    root = folder if (folder / refs_name).is_file() else folder / name
    if not (root / refs_name).is_file():
        problem, fix = f"is missing, and so is {name}/{refs_name}", "give the folder that the set was unpacked into"
        raise RecordError(folder / refs_name, "", problem, fix)
    return RefCoco(root, name, wanted, authors, images)


def _by_id(path: Path, content: object, key: str) -> dict[int, Mapping[str, Any]]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RecordError(path, key, "is missing", DOWNLOAD_AGAIN)
    return {entry["id"]: entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), int)}


def find_images(folder: Path) -> Path:
    """Find COCO's train2014 near a folder. Raises RecordError if none of IMAGE_FOLDERS exists."""
    resolved = folder.resolve()
    for root in (resolved, *resolved.parents[:2]):
        for name in IMAGE_FOLDERS:
            if (root / name).is_dir():
                return root / name
    problem = f"has no images of COCO 2014 near it: none of {', '.join(IMAGE_FOLDERS)} exists"
    raise RecordError(folder, "", problem, "give their folder, train2014, with --images")
