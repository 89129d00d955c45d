"""Write `result.json` object by object, so that memory use does not grow with the length of a video."""

import json
import shutil
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refsav import __version__
from refsav.datasets.image_files import encode_mask_png
from refsav.datasets.masks import Mask, encode
from refsav.disk.json_stream import JsonArray, JsonLayout, JsonObject
from refsav.model.media.clip import Clip

KEYS = frozenset(("version", "input", "text", "task", "objects"))
"""Keys that identify a `result.json` of RefSAV."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputInfo:
    """The image or video that a result is about, as `result.json` describes it."""

    name: str
    """A path or a file's name."""
    size: tuple[int, int]
    """(height, width) of every frame, in pixels."""
    count: int = 1
    """Number of frames."""
    rate_hz: float | Fraction | None = None
    """Frames per second; None for an image."""

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.count < 1 or (self.rate_hz is None and self.count > 1):
            raise ValueError(f"{self} is neither an image nor a video")

    @classmethod
    def of(cls, clip: Clip, name: str = "") -> "InputInfo":
        """Describe a clip; `name` replaces the clip's name."""
        return cls(
            name=name or clip.name,
            size=(clip.height, clip.width),
            count=clip.count,
            rate_hz=clip.rate_hz if clip.count > 1 else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskAnswer:
    """The model's answer, without its masks."""

    text: str
    task: str
    """The task, for example "segment" or "ask"."""
    phrases: tuple[str, ...] | None
    """The phrase of each object, "" for one without; None if the first masks decide how many objects there are."""
    settings: Mapping[str, object]
    """Further values to keep with the result; JSON-serialisable."""


class ObjectMasks:
    """Writes the masks of one object frame by frame: as PNG files, and as lines that become a part of the JSON."""

    def __init__(self, folder: Path, lines: Path, phrase: str) -> None:
        """Start an object.

        Args:
            folder: Folder for its PNG files; it is created.
            lines: File for the encoded masks.
            phrase: The object's phrase.

        Raises:
            OSError: If the folder or the file cannot be created.
        """
        self.phrase = phrase
        self.areas_px = array("q")
        """Mask area in each frame so far, in pixels."""
        self.lines = lines
        self._folder = folder
        folder.mkdir(parents=True)
        self._stream = lines.open("w", encoding="ascii")
        self._masks = JsonArray(self._stream, JsonLayout("\n    ", ",\n    ", "\n   "))

    def add(self, mask: Mask) -> None:
        """Write the mask of the next frame, bool [h, w]. Raises OSError if it cannot be written."""
        index, area_px = len(self.areas_px), int(np.count_nonzero(mask))
        (self._folder / f"{index:05d}.png").write_bytes(encode_mask_png(mask))
        rle = encode(mask) if area_px else None
        self._masks.append({"size": rle.size, "counts": rle.counts} if rle else None)
        self.areas_px.append(area_px)

    def close(self) -> None:
        """End the array of masks and close its file, if it is open. Raises OSError if it cannot be written."""
        if not self._stream.closed:
            self._masks.close()
            self._stream.close()


def write_result(path: Path, info: InputInfo, answer: TaskAnswer, objects: Sequence[ObjectMasks]) -> None:
    """Write `result.json`.

    Args:
        path: The file.
        info: The image or video.
        answer: The model's answer.
        objects: The masks of each object, closed.

    Raises:
        OSError: If the file cannot be written.
    """
    head = {
        "version": __version__,
        "input": info.name,
        "task": answer.task,
        "text": answer.text,
        "settings": dict(answer.settings),
        "height": info.size[0],
        "width": info.size[1],
        "frames": info.count,
        "rate_hz": None if info.rate_hz is None else float(info.rate_hz),
    }
    with path.open("w", encoding="utf-8", errors="backslashreplace") as stream:  # lone surrogates are escaped
        result = JsonObject(stream, JsonLayout("\n  ", ",\n  ", "\n", dumps=_json))
        for key, value in head.items():
            result.add(key, value)
        result.add_key("objects")
        entries = JsonArray(stream, JsonLayout("\n   ", ",\n   ", "\n  "))
        for masks in objects:
            entries.append_text(f'{{"phrase": {_json(masks.phrase)}, "area_px": {masks.areas_px.tolist()}, "masks": ')
            with masks.lines.open(encoding="ascii") as lines:
                shutil.copyfileobj(lines, stream)
            stream.write("}")
        entries.close()
        result.close()
        stream.write("\n")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def is_result(path: Path) -> bool:
    """Whether a file is a `result.json` of RefSAV."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.keys() >= KEYS
