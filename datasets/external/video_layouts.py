"""The supported referring video sets, and where each set's files are in its published folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from refsav.datasets.external.checked_json import read_json
from refsav.datasets.external.referring_videos import ExpressionLayout, ExpressionVideos
from refsav.datasets.external.video_masks import GroundTruthMasks, IndexedPngMasks, MaskTable
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
"""Each set's own split names. The masks of MeViS valid and Ref-YouTube-VOS valid are on test servers only."""

VOID = "255"
"""Object number of void pixels, which DAVIS' annotators left undecided; a table of masks does not include them."""

DAVIS_ANNOTATORS = 4
"""Two people, who each wrote one expression after the first frame and one after the full video."""


def open_expressions(name: ExpressionSet, folder: Path, split: str) -> ExpressionVideos:
    """Open a referring video set.

    Args:
        name: Which set.
        folder: The set's folder as published; docs/benchmarking.md shows each.
        split: One of the set's SPLITS.

    Raises:
        ConfigError: If there is no such set or split.
        RecordError: If the folder is not as published; names what is missing.
        MissingExtraError: If masks are PNG files and Pillow is not installed.
    """
    if name not in get_args(ExpressionSet) or split not in SPLITS[name]:
        known = ", ".join(f"{known_name} ({', '.join(SPLITS[known_name])})" for known_name in get_args(ExpressionSet))
        raise ConfigError(f"{name} {split}: there is no such set", fix=f"choose one of {known}")
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
    frames = root / "JPEGImages"
    return ExpressionLayout(
        name=f"ReVOS {split}",
        expressions=root / expressions,
        frames=frames if frames.is_dir() else root,  # both layouts have been released
        masks=MaskTable(root / "mask_dict.json"),
        kinds={0: "referring", 1: "reasoning"},
    )


def _ref_youtube_vos(folder: Path, split: str) -> ExpressionLayout:
    expressions, tests = (folder / "meta_expressions" / part / "meta_expressions.json" for part in (split, "test"))
    masks, keys = (None, "count") if split == "valid" else _youtube_masks(folder, split)
    test_videos = read_json(tests).get("videos", {}) if split == "valid" and tests.is_file() else {}
    return ExpressionLayout(
        name=f"Ref-YouTube-VOS {split}",
        expressions=expressions,
        frames=_folder(folder / split / "JPEGImages"),
        masks=masks,
        keys=keys,
        kinds={},
        excluded=frozenset(test_videos),  # the file of valid lists the test videos too
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


def _youtube_masks(folder: Path, split: str) -> tuple[GroundTruthMasks, str]:
    """Find masks in the layout of Ref-YouTube-VOS: a table that others have derived from them, or the PNG files."""
    tables = [folder / split / "mask_dict.pkl", *([folder / "mask_dict.pkl"] if split == "train" else [])]
    for path in tables:
        if path.is_file():
            return MaskTable(path), "count"
    annotations = folder / split / "Annotations"
    if not annotations.is_dir():
        problem = "is missing, and so is mask_dict.pkl next to it"
        raise RecordError(annotations, "", problem, "unpack the annotations, or put mask_dict.pkl there")
    return IndexedPngMasks(annotations), "obj_id"


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
