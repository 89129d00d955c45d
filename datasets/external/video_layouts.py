"""The referring video sets that there are, each as it is published: what lies where in its folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from refsav.datasets.external.checked_json import read_json
from refsav.datasets.external.referring_videos import ExpressionLayout, ExpressionVideos
from refsav.datasets.external.video_masks import MaskTable, NumberedPictures, TrueMasks
from refsav.datasets.official.evaluation_export import EXPRESSIONS_FILE, FRAMES_FOLDER, LONG, MASKS_FILE, SHORT
from refsav.errors import ConfigError, RecordError

ExpressionSet = Literal["ref-sav", "mevis", "revos", "ref-youtube-vos", "ref-davis17"]

SPLITS: Mapping[ExpressionSet, tuple[str, ...]] = {
    "ref-sav": ("valid",),
    "mevis": ("train", "valid_u", "valid"),
    "revos": ("train", "valid"),
    "ref-youtube-vos": ("train", "valid"),
    "ref-davis17": ("train", "valid"),
}
"""Splits by their own names. Of MeViS valid and Ref-YouTube-VOS valid only test servers know the masks."""

VOID = "255"
"""Number of pixels that DAVIS' annotators left undecided; a table of masks does not have them."""

DAVIS_ANNOTATORS = 4
"""Two people, each after the first frame alone and after the whole video."""


def open_expressions(name: ExpressionSet, folder: Path, split: str) -> ExpressionVideos:
    """Open a set.

    Args:
        name: Which set.
        folder: As published; docs/benchmarking.md shows each.
        split: One of SPLITS.

    Raises:
        ConfigError: If there is no such set or split.
        RecordError: If the folder is not as published; what is missing is named.
        MissingExtraError: If masks are PNG files and Pillow is not installed.
    """
    if name not in get_args(ExpressionSet) or split not in SPLITS[name]:
        known = ", ".join(f"{one} ({', '.join(SPLITS[one])})" for one in get_args(ExpressionSet))
        raise ConfigError(f"{name} {split}: there is no such set\n  fix: choose one of {known}")
    if not folder.is_dir():
        raise RecordError(folder, "", "there is no such folder", "give the folder that the set was unpacked into")
    return ExpressionVideos(_LAYOUTS[name](folder, split))


def _ref_sav(folder: Path, split: str) -> ExpressionLayout:
    root = _first_with(EXPRESSIONS_FILE, folder, folder / "ref_sav_eval")
    return ExpressionLayout(
        name=f"Ref-SAV {split}",
        expressions=root / EXPRESSIONS_FILE,
        frames=_folder(root / FRAMES_FOLDER),
        masks=MaskTable(root / MASKS_FILE),
        kinds={LONG: "long", SHORT: "short"},
    )


def _mevis(folder: Path, split: str) -> ExpressionLayout:
    root = _first_with("meta_expressions.json", folder / split, *([folder] if folder.name == split else []))
    return ExpressionLayout(
        name=f"MeViS {split}",
        expressions=root / "meta_expressions.json",
        frames=_folder(root / "JPEGImages"),
        masks=None if split == "valid" else MaskTable(root / "mask_dict.json"),
        kinds={},
    )


def _revos(folder: Path, split: str) -> ExpressionLayout:
    expressions = f"meta_expressions_{split}_.json"
    root = _first_with(expressions, folder, folder / "ReVOS")
    pictures = root / "JPEGImages"
    return ExpressionLayout(
        name=f"ReVOS {split}",
        expressions=root / expressions,
        frames=pictures if pictures.is_dir() else root,  # released in both ways
        masks=MaskTable(root / "mask_dict.json"),
        kinds={0: "referring", 1: "reasoning"},
    )


def _ref_youtube_vos(folder: Path, split: str) -> ExpressionLayout:
    expressions, tests = (folder / "meta_expressions" / one / "meta_expressions.json" for one in (split, "test"))
    masks, keys = (None, "count") if split == "valid" else _youtube_masks(folder, split)
    content = read_json(tests).get("videos", {}) if split == "valid" and tests.is_file() else {}
    return ExpressionLayout(
        name=f"Ref-YouTube-VOS {split}",
        expressions=expressions,
        frames=_folder(folder / split / "JPEGImages"),
        masks=masks,
        keys=keys,
        kinds={},
        without=frozenset(content),  # the file of valid lists the test videos too
    )


def _ref_davis17(folder: Path, split: str) -> ExpressionLayout:
    masks, keys = _youtube_masks(folder, split)
    return ExpressionLayout(
        name=f"Ref-DAVIS17 {split}",
        expressions=folder / "meta_expressions" / split / "meta_expressions.json",
        frames=_folder(folder / split / "JPEGImages"),
        masks=masks,
        keys=keys,
        kinds={},
        void_key=VOID if keys == "obj_id" else "",
        annotators=DAVIS_ANNOTATORS,
    )


def _youtube_masks(folder: Path, split: str) -> tuple[TrueMasks, str]:
    """Masks in the layout of Ref-YouTube-VOS: a table that others have made of them, or the pictures themselves."""
    tables = [folder / split / "mask_dict.pkl", *([folder / "mask_dict.pkl"] if split == "train" else [])]
    for path in tables:
        if path.is_file():
            return MaskTable(path), "count"
    pictures = folder / split / "Annotations"
    if not pictures.is_dir():
        problem = "is missing, and so is mask_dict.pkl beside it"
        raise RecordError(pictures, "", problem, "unpack the annotations, or put mask_dict.pkl there")
    return NumberedPictures(pictures), "obj_id"


def _first_with(name: str, *folders: Path) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder
    others = "".join(f", nor in {folder.name}/" for folder in folders[1:])
    raise RecordError(folders[0] / name, "", f"is missing{others}", "give the folder that the set was unpacked into")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise RecordError(path, "", "is missing", "unpack the frames of the set")
    return path


_LAYOUTS: Mapping[ExpressionSet, Callable[[Path, str], ExpressionLayout]] = {
    "ref-sav": _ref_sav,
    "mevis": _mevis,
    "revos": _revos,
    "ref-youtube-vos": _ref_youtube_vos,
    "ref-davis17": _ref_davis17,
}
