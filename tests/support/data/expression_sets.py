"""Small synthetic referring video sets in the published layouts: moving boxes."""

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco

HEIGHT, WIDTH, FRAMES = 48, 64, 6

Boxes = Mapping[str, Sequence[int]]
"""Objects of a video by their number: the left edge of a box of 12 pixels, one a frame, -1 where it is hidden."""

VIDEOS: Mapping[str, Boxes] = {
    "b_second": {"1": (2, 6, 10, 14, 18, 22), "2": (40, 40, 40, -1, -1, 40)},
    "a_first": {"1": (30, 26, 22, 18, 14, 10), "2": (0, 0, 4, 4, 8, 8)},
}
"""Not in the order of their names: sets number their masks by sorted names."""

NAMES = tuple(f"{5 * frame:05d}" for frame in range(FRAMES))


def truth(video: str, *objects: str) -> npt.NDArray[np.bool_]:
    """bool [T, h, w] of one or several objects."""
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    for number in objects:
        for frame, left in enumerate(VIDEOS[video][number]):
            if left >= 0:
                top = 4 if number == "1" else 28
                masks[frame, top : top + 12, left : left + 12] = True
    return masks


def write_frames(folder: Path, names: Sequence[str] = NAMES) -> None:
    """Write the pictures of all videos: object 1 red, object 2 blue, on grey."""
    for video in VIDEOS:
        (folder / video).mkdir(parents=True)
        for frame, name in enumerate(names):
            picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for number, colour in (("1", (0, 0, 220)), ("2", (220, 0, 0))):
                picture[truth(video, number)[frame]] = colour
            cv2.imwrite(str(folder / video / f"{name}.jpg"), picture)


def rle(mask: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """A mask as pycocotools has it, with bytes; None if it is empty."""
    return coco.encode(np.asfortranarray(mask, np.uint8)) if mask.any() else None


def as_json(encoded: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same as JSON has it."""
    return None if encoded is None else {"size": encoded["size"], "counts": encoded["counts"].decode()}


def write_json(path: Path, content: object) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def change_json(path: Path, how: Callable[[Any], None]) -> None:
    """Change what a file holds."""
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def _with_anno_ids(folder: Path, expressions: Path, masks: Path, *, prefix: str = "", typed: bool, size: bool) -> None:
    """Ref-SAV, MeViS, ReVOS: expressions name rows of a table of masks; a third expression means both objects."""
    videos: dict[str, Any] = {}
    table: dict[str, Any] = {}
    for video, boxes in VIDEOS.items():
        first = len(table)
        for number in boxes:
            table[str(len(table))] = [as_json(rle(mask)) for mask in truth(video, number)]
        meant = {"0": [0], "1": [1], "2": [0, 1]}
        entries = {
            exp_id: {
                "exp": ("red box", "what is blue?", "both boxes")[int(exp_id)],
                "obj_id": objects,
                "anno_id": [first + one for one in objects],
                **({"type_id": int(exp_id == "1")} if typed else {}),
            }
            for exp_id, objects in meant.items()
        }
        videos[prefix + video] = {
            "expressions": entries,
            "vid_id": len(videos),
            "frames": list(NAMES),
            **({"height": HEIGHT, "width": WIDTH} if size else {}),
        }
    write_json(folder / expressions, {"videos": videos})
    write_json(folder / masks, table)


def write_ref_sav(folder: Path) -> Path:
    """ref_sav_eval/: expressions 0 and 2 are long, 1 is short."""
    _with_anno_ids(folder, Path("meta_expressions_valid.json"), Path("mask_dict.json"), typed=True, size=True)
    write_frames(folder / "videos")
    return folder


def write_mevis(folder: Path) -> Path:
    """mevis/valid_u with masks, mevis/valid without."""
    for split in ("valid_u", "valid"):
        expressions, masks = Path(split, "meta_expressions.json"), Path(split, "mask_dict.json")
        _with_anno_ids(folder, expressions, masks, typed=False, size=False)
        write_frames(folder / split / "JPEGImages")
    (folder / "valid/mask_dict.json").unlink()

    def hide(content: Any) -> None:
        for video in content["videos"].values():
            for entry in video["expressions"].values():
                del entry["anno_id"], entry["obj_id"]

    change_json(folder / "valid/meta_expressions.json", hide)
    return folder


def write_revos(folder: Path) -> Path:
    """revos/, whose video ids are paths."""
    _with_anno_ids(
        folder, Path("meta_expressions_valid_.json"), Path("mask_dict.json"), prefix="UVO/all/", typed=True, size=True
    )
    write_frames(folder / "UVO/all")
    return folder


def _as_youtube(folder: Path, split: str, annotators: Sequence[str], *, table: bool) -> None:
    """Ref-YouTube-VOS and Ref-DAVIS17: expressions name objects; masks are PNG files with a palette, or a pickle."""
    videos: dict[str, Any] = {}
    for video, boxes in VIDEOS.items():
        said = [(number, f"{who} {number}") for number in boxes for who in annotators]
        entries = {str(place): {"exp": text, "obj_id": number} for place, (number, text) in enumerate(said)}
        videos[video] = {"expressions": entries, "frames": list(NAMES)}
    write_json(folder / f"meta_expressions/{split}/meta_expressions.json", {"videos": videos})
    write_frames(folder / split / "JPEGImages")
    if table:
        ordered = [
            (video, videos[video]["expressions"][exp_id]["obj_id"])
            for video in sorted(videos)
            for exp_id in sorted(videos[video]["expressions"])
        ]
        rows = {str(place): [rle(mask) for mask in truth(*pair)] for place, pair in enumerate(ordered)}
        (folder / split / "mask_dict.pkl").write_bytes(pickle.dumps(rows))
        return
    for video in VIDEOS:
        (folder / split / "Annotations" / video).mkdir(parents=True)
        for frame, name in enumerate(NAMES):
            numbers = truth(video, "1")[frame] + 2 * truth(video, "2")[frame].astype(np.uint8)
            picture = Image.fromarray(numbers.astype(np.uint8), mode="P")
            picture.putpalette([0, 0, 0, 236, 95, 103, 249, 145, 87])
            picture.save(folder / split / "Annotations" / video / f"{name}.png")


def write_ref_youtube_vos(folder: Path, *, table: bool = False) -> Path:
    """rvos/train with masks; rvos/valid without, whose file lists a test video too."""
    _as_youtube(folder, "train", ("first", "full"), table=table)
    _as_youtube(folder, "valid", ("first", "full"), table=table)
    write_json(folder / "meta_expressions/test/meta_expressions.json", {"videos": {"a_first": {}}})
    return folder


def write_ref_davis17(folder: Path, *, table: bool = True) -> Path:
    """davis17/valid: four expressions an object, twelve of each video numbered as text."""
    _as_youtube(folder, "valid", ("first one", "full one", "first two", "full two"), table=table)
    return folder
