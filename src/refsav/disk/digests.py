"""Digests of many files, kept with size and time of their last change: only what has changed is read again."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.disk.files import sha256_of, write_text
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFile:
    """A file, or a folder of files, as it was when it was last read."""

    size: int
    """In bytes; of a folder, of all of its files."""
    changed_ns: int
    """Time of the last change; of a folder, of the file that was changed last."""
    sha256: str


class Digests:
    """SHA-256 of files below one folder. Not for several threads at once."""

    def __init__(self, path: Path, root: Path) -> None:
        """Read what was kept, if anything was; a file that cannot be used costs reading everything once.

        Args:
            path: Where it is kept.
            root: Folder of the files; a source that has moved keeps its digests.
        """
        self._path = path
        self._root = root
        self._before = _read(path)
        self._now: dict[str, KnownFile] = {}

    def of(self, file: Path) -> str:
        """Hex SHA-256 of a file, or of a folder's files and their names. Raises RecordError."""
        name = self._name(file)
        if name not in self._now:
            try:
                self._now[name] = _look_at(file, self._before.get(name))
            except OSError as error:
                raise RecordError(file, "", f"cannot be read: {error.strerror}", "restore the file") from error
        return self._now[name].sha256

    def before(self, file: Path) -> str:
        """Give what it was when digests were last kept; "" for a file that was not known."""
        known = self._before.get(self._name(file))
        return known.sha256 if known else ""

    def keep(self) -> None:
        """Keep all digests, also of files that were not requested: they may come back. Raises DiskError."""
        known = {**self._before, **self._now}
        if known != self._before:
            write_text(self._path, json.dumps({name: _as_list(known[name]) for name in sorted(known)}, indent=0) + "\n")
            self._before = known

    def _name(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()


def _look_at(file: Path, known: KnownFile | None) -> KnownFile:
    files = sorted(_files_below(file)) if file.is_dir() else [file]
    stats = [one.stat() for one in files]
    size = sum(stat.st_size for stat in stats)
    changed_ns = max((stat.st_mtime_ns for stat in stats), default=0)
    if known and (known.size, known.changed_ns) == (size, changed_ns):
        return known
    if files == [file]:
        sha256 = sha256_of(file)
    else:
        content = [[one.relative_to(file).as_posix(), sha256_of(one)] for one in files]
        sha256 = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return KnownFile(size=size, changed_ns=changed_ns, sha256=sha256)


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _as_list(known: KnownFile) -> list[object]:
    return [known.size, known.changed_ns, known.sha256]


def _read(path: Path) -> Mapping[str, KnownFile]:
    try:
        content = _KEPT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
    return {
        name: KnownFile(size=size, changed_ns=changed_ns, sha256=sha256)
        for name, (size, changed_ns, sha256) in content.items()
    }


_KEPT = TypeAdapter(dict[str, tuple[int, int, str]])
