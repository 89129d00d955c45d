"""Long lists in JSON files, kept as text: half a million items stay one object, which worker processes share."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refsav.errors import RecordError

FETCH_AGAIN = "unpack or download the dataset's published file again"
_SPACE = " \t\n\r"

Item = dict[str, Any]


class JsonItems:
    """A JSON list of objects. An item is parsed on each access."""

    def __init__(self, path: Path, keep: Callable[[Item], bool] = lambda _: True) -> None:
        """Read a file and find where its items are; one item at a time is parsed.

        Args:
            path: The file.
            keep: Decides whether an item belongs to the list; `left_out` counts the others.

        Raises:
            RecordError: If the file cannot be read or is not a list of objects.
        """
        self.path = path
        self.left_out = 0
        try:
            self._text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RecordError(path, "", f"cannot be read: {error.strerror}", FETCH_AGAIN) from error
        except UnicodeDecodeError as error:
            raise RecordError(path, "", f"is not UTF-8: {error.reason}", FETCH_AGAIN) from error
        try:
            found = enumerate(_items(self._text))
            ranges = [(number, *found_at) for number, (item, found_at) in found if self._counted(keep(item))]
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            raise RecordError(path, where, f"is not a JSON list of objects: {error.msg}", FETCH_AGAIN) from error
        self._ranges: npt.NDArray[np.int64] = np.array(ranges, np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        """Number of items that belong to the list."""
        return len(self._ranges)

    def __getitem__(self, number: int) -> Item:
        """Parse one item."""
        _, start, end = self._ranges[number].tolist()
        item: Item = json.loads(self._text[start:end])
        return item

    def _counted(self, kept: bool) -> bool:
        self.left_out += not kept
        return kept

    def place(self, number: int) -> str:
        """Position of an item in the file, for error messages: `[7]`. Left-out items count too."""
        return f"[{self._ranges[number, 0]}]"

    def characters(self, number: int) -> int:
        """Length of an item's JSON text, in characters."""
        return int(self._ranges[number, 2] - self._ranges[number, 1])


def _items(text: str) -> Iterator[tuple[Item, tuple[int, int]]]:
    """Yield each item with the half-open range of its characters. Raises JSONDecodeError."""
    parse = json.JSONDecoder().raw_decode
    at = _skip_space(text, 0)
    if text[at : at + 1] != "[":
        raise json.JSONDecodeError("expected [", text, at)
    at = _skip_space(text, at + 1)
    while text[at : at + 1] != "]":
        item, end = parse(text, at)
        if not isinstance(item, dict):
            raise json.JSONDecodeError("expected an object", text, at)
        yield item, (at, end)
        at = _skip_space(text, end)
        if text[at : at + 1] == ",":
            at = _skip_space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("expected , or ]", text, at)


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE and at < len(text):
        at += 1
    return at
