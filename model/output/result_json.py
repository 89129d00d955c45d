"""`result.json`, and what goes into it: written object by object, so that a long video needs no more memory."""

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
"""What tells our `result.json` from somebody else's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputInfo:
    """What is told of the image or video that was shown to a model."""

    name: str
    """As `result.json` tells it: a path or a file's name."""
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
        """Describe a clip, an image if it has a single frame; `name` is the clip's own unless another one is given."""
        return cls(
            name=name or clip.name,
            size=(clip.height, clip.width),
            count=clip.count,
            rate_hz=clip.rate_hz if clip.count > 1 else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskAnswer:
    """What a model answered, before its masks are known."""

    text: str
    task: str
    """What it was asked to do, for example "segment" or "chat"."""
    phrases: tuple[str, ...] | None
    """What each object is called, "" without a name; None if their number is not known before the first masks."""
    settings: Mapping[str, object]
    """Whatever else is kept with the result; must fit into JSON."""


class ObjectMasks:
    """The masks of one object, taken frame by frame: as pictures, and as lines that wait to become JSON."""

    def __init__(self, folder: Path, lines: Path, phrase: str) -> None:
        """Begin an object.

        Args:
            folder: Where its pictures go; is made.
            lines: A file for the encoded masks.
            phrase: What the object is called.

        Raises:
            OSError: If one of them cannot be made.
        """
        self.phrase = phrase
        self.areas_px = array("q")
        """Mask area of each frame so far."""
        self.lines = lines
        self._folder = folder
        folder.mkdir(parents=True)
        self._stream = lines.open("w", encoding="ascii")
        self._masks = JsonArray(self._stream, JsonLayout("\n    ", ",\n    ", "\n   "))

    def add(self, mask: Mask) -> None:
        """Take the mask of the next frame, bool [h, w]. Raises OSError."""
        index, area_px = len(self.areas_px), int(np.count_nonzero(mask))
        (self._folder / f"{index:05d}.png").write_bytes(encode_mask_png(mask))
        rle = encode(mask) if area_px else None
        self._masks.append({"size": rle.size, "counts": rle.counts} if rle else None)
        self.areas_px.append(area_px)

    def close(self) -> None:
        """End the array of masks and close its file, unless that is done already. Raises OSError."""
        if not self._stream.closed:
            self._masks.close()
            self._stream.close()


def write_result(path: Path, shown: InputInfo, answer: TaskAnswer, objects: Sequence[ObjectMasks]) -> None:
    """Write `result.json`; the objects must be closed. Raises OSError."""
    head = {
        "version": __version__,
        "input": shown.name,
        "task": answer.task,
        "text": answer.text,
        "settings": dict(answer.settings),
        "height": shown.size[0],
        "width": shown.size[1],
        "frames": shown.count,
        "rate_hz": None if shown.rate_hz is None else float(shown.rate_hz),
    }
    with path.open("w", encoding="utf-8", errors="backslashreplace") as stream:  # half a character becomes its escape
        result = JsonObject(stream, JsonLayout("\n  ", ",\n  ", "\n", dumps=_json))
        for key, value in head.items():
            result.add(key, value)
        result.add_key("objects")
        entries = JsonArray(stream, JsonLayout("\n   ", ",\n   ", "\n  "))
        for its in objects:
            entries.append_text(f'{{"phrase": {_json(its.phrase)}, "area_px": {its.areas_px.tolist()}, "masks": ')
            with its.lines.open(encoding="ascii") as lines:
                shutil.copyfileobj(lines, stream)
            stream.write("}")
        entries.close()
        result.close()
        stream.write("\n")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def is_result(path: Path) -> bool:
    """Whether a file is a `result.json` that we have written."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.keys() >= KEYS
