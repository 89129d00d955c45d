"""Structured logs: what became of a video or an object, with the run, bundle, video and object that a line is about.

Lines go to Python's logger `refsav`; Prefect shows them next to the task that wrote them, and a build can keep them as
JSON.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refsav.disk.files import DiskError

LOGGER = logging.getLogger("refsav")
LOGGER.addHandler(logging.NullHandler())  # or Python would print warnings over the progress bars

ABOUT = ("run", "bundle", "video", "object")
"""What a line can be about; `LOGGER.info(text, extra={"run": …})` says it."""


class JsonLines(logging.Formatter):
    """A record as one JSON object: time (UTC), level, message, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        about = {name: getattr(record, name) for name in ABOUT if hasattr(record, name)}
        entry = {"time": f"{when}Z", "level": record.levelname.lower(), **about, "message": record.getMessage()}
        return json.dumps(entry, ensure_ascii=False)


@contextmanager
def json_lines(path: Path, bundle: str) -> Iterator[None]:
    """Append what is logged of one bundle to a file, one JSON object a line. Raises DiskError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise DiskError(path, error) from error
    handler.setFormatter(JsonLines())
    handler.addFilter(lambda record: getattr(record, "bundle", "") == bundle)  # others work in this process too
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        handler.close()
