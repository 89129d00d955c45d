"""A JSON object that is written entry by entry, so that only one entry is in memory."""

import json
from typing import Protocol


class Writable(Protocol):
    """Anything that takes text."""

    def write(self, text: str, /) -> object: ...


class JsonObject:
    """A JSON object on its way out. ASCII only: the official loader opens files in the machine's own encoding."""

    def __init__(self, stream: Writable) -> None:
        self._stream = stream
        self._separator = "{\n"

    def add(self, key: str, value: object) -> None:
        """Write one entry."""
        self._stream.write(f"{self._separator}{json.dumps(key)}: {json.dumps(value)}")
        self._separator = ",\n"

    def close(self) -> None:
        """End the object."""
        self._stream.write("\n}" if self._separator == ",\n" else "{}")
