"""Long lists in JSON files, kept as text: half a million items are one object to the processes that share it."""

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
    """A JSON list of objects. An item is parsed when it is asked for."""

    def __init__(self, path: Path, keep: Callable[[Item], bool] = lambda _: True) -> None:
        """Read a file and find its items, one of them parsed at a time.

        Args:
            path: The file.
            keep: Whether an item belongs to the list; those that do not are counted.

        Raises:
            RecordError: If the file cannot be read, or holds no list of objects.
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
            places = [(number, *place) for number, (item, place) in found if self._counted(keep(item))]
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            raise RecordError(path, where, f"is no list of objects in JSON: {error.msg}", FETCH_AGAIN) from error
        self._places: npt.NDArray[np.int64] = np.array(places, np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        """Count the items."""
        return len(self._places)

    def __getitem__(self, number: int) -> Item:
        """Parse one item."""
        _, begin, end = self._places[number].tolist()
        item: Item = json.loads(self._text[begin:end])
        return item

    def _counted(self, kept: bool) -> bool:
        self.left_out += not kept
        return kept

    def place(self, number: int) -> str:
        """Where an item stands in the file's list, those that were left out counted."""
        return f"[{self._places[number, 0]}]"

    def characters(self, number: int) -> int:
        """How long an item is, as it is written."""
        return int(self._places[number, 2] - self._places[number, 1])


def _items(text: str) -> Iterator[tuple[Item, tuple[int, int]]]:
    """Yield the items of a list, and where each begins and ends. Raises JSONDecodeError."""
    parse = json.JSONDecoder().raw_decode
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        raise json.JSONDecodeError("expected [", text, place)
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        item, end = parse(text, place)
        if not isinstance(item, dict):
            raise json.JSONDecodeError("expected an object", text, place)
        yield item, (place, end)
        place = _skip(text, end)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            raise json.JSONDecodeError("expected , or ]", text, place)


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in _SPACE and place < len(text):
        place += 1
    return place
