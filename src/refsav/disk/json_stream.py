"""JSON objects and arrays that are written entry by entry, so that only one entry is in memory."""

import json
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Protocol


class Writable(Protocol):
    """Anything that accepts text, such as an open text file."""

    def write(self, text: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class JsonLayout:
    """What stands around the entries, and how a value becomes text.

    The defaults put one entry on a line and write ASCII only: the official loader opens files in the encoding of the
    machine.
    """

    start: str = "\n"
    """Between the opening bracket and the first entry."""
    separator: str = ",\n"
    """Between two entries."""
    end: str = "\n"
    """Between the last entry and the closing bracket."""
    empty: str = ""
    """Between the brackets if there is no entry."""
    _: KW_ONLY
    dumps: Callable[[object], str] = json.dumps


ONE_A_LINE = JsonLayout()


class _Entries:
    """The entries between two brackets; the opening bracket is written at once."""

    def __init__(self, stream: Writable, brackets: str, layout: JsonLayout) -> None:
        self.stream = stream
        self._closing = brackets[1]
        self._layout = layout
        self._empty = True
        stream.write(brackets[0])

    def _next(self) -> None:
        self.stream.write(self._layout.start if self._empty else self._layout.separator)
        self._empty = False

    def close(self) -> None:
        """Write the closing bracket; the stream stays open."""
        self.stream.write((self._layout.empty if self._empty else self._layout.end) + self._closing)


class JsonObject(_Entries):
    """A JSON object that is being written."""

    def __init__(self, stream: Writable, layout: JsonLayout = ONE_A_LINE) -> None:
        super().__init__(stream, "{}", layout)

    def add(self, key: str, value: object) -> None:
        """Write one entry."""
        self.add_key(key)
        self.stream.write(self._layout.dumps(value))

    def add_key(self, key: str) -> None:
        """Write the key of an entry whose value the caller then writes to the stream."""
        self._next()
        self.stream.write(f"{self._layout.dumps(key)}: ")


class JsonArray(_Entries):
    """A JSON array that is being written."""

    def __init__(self, stream: Writable, layout: JsonLayout = ONE_A_LINE) -> None:
        super().__init__(stream, "[]", layout)

    def append(self, value: object) -> None:
        """Write one entry."""
        self.append_text(self._layout.dumps(value))

    def append_text(self, text: str) -> None:
        """Write one entry, or its beginning, that is JSON already."""
        self._next()
        self.stream.write(text)
