"""Files that are kept elsewhere, through fsspec: in a bucket (s3://, gs://) or in a folder of another disk."""

import errno
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from refsav.disk.files import appearing
from refsav.errors import ConfigError, RefSavError
from refsav.extras import require

AT_ONCE = 16
"""Files on their way at a time."""
TRIES = 4
"""How often a request is made that gets no answer, beside what client libraries try by themselves: for a minute."""
EXTRAS = {"s3": ("s3", "s3fs"), "s3a": ("s3", "s3fs"), "gs": ("gcs", "gcsfs"), "gcs": ("gcs", "gcsfs")}
"""Extra and package that a kind of address needs."""
OURS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Errors of the disk here, not of the storage."""


class StorageError(RefSavError):
    """The storage does not have, take or give something."""


class UnreachableError(StorageError):
    """The storage did not answer; it may the next time."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the storage lists it."""

    size: int
    """In bytes."""
    token: str
    """Changes with the content: an ETag, or the time of the last change where there is none."""


class Storage:
    """Files below one address, by their names relative to it. A file is there whole or not at all."""

    def __init__(self, url: str) -> None:
        """Prepare for an address; asks nothing of it yet.

        Args:
            url: Anything that fsspec knows and that can be listed: s3://bucket/folder, gs://bucket/folder, a path.

        Raises:
            MissingExtraError: If a package for this kind of address is missing.
            ConfigError: If fsspec does not know it.
        """
        self.url = url.rstrip("/")
        if extra := EXTRAS.get(url.partition("://")[0]):
            require(*extra)
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            fix = "give s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or a path"
            raise ConfigError(f"runner.storage = {url!r}: {error}\n  fix: {fix}") from None
        if isinstance(self._files, LocalFileSystem):
            self.url = self._root  # a relative path means another place elsewhere

    def __str__(self) -> str:
        return self.url

    def require(self, place: str) -> None:
        """Make sure that it answers: list a folder, which may be missing, without trying again. Raises StorageError."""
        with self._told(""):
            self._files.find(self._place(place))

    def listed(self, places: Iterable[str]) -> dict[str, StoredFile]:
        """List files by name: those below each folder (its name ends with /, "" is everything), and single files.

        Raises:
            StorageError: If it cannot be listed.
        """
        found: dict[str, StoredFile] = {}
        for listed in self._each(self._list, places):
            found |= listed
        return found

    def fetch(self, names: Iterable[str], folder: Path) -> None:
        """Bring files below a folder, each by rename. Raises StorageError, DiskError."""
        self._each(lambda name: self._fetch(name, folder), names)

    def leave(self, names: Iterable[str], folder: Path) -> dict[str, StoredFile]:
        """Put files from below a folder here, and tell how they are listed. Raises StorageError."""
        files = list(names)
        return dict(zip(files, self._each(lambda name: self._leave(name, folder), files), strict=True))

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is no error. Raises StorageError."""
        self._each(self._remove, names)

    def write(self, name: str, content: object) -> datetime:
        """Put a small JSON file here; give the time of it as the storage has it. Raises StorageError."""
        self._asked(lambda: self._write(name, json.dumps(content).encode()), name)
        return self.written_at(name)

    def read(self, name: str) -> Any:  # noqa: ANN401 - JSON holds anything
        """Read a small JSON file. Raises StorageError."""
        return json.loads(self._asked(lambda: self._files.cat_file(self._place(name)), name))

    def written_at(self, name: str) -> datetime:
        """When a file was written, by the storage's clock. Raises StorageError."""
        written: datetime = self._asked(lambda: self._files.modified(self._place(name)), name)
        return written

    def _each(self, work: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [*pool.map(lambda name: self._asked(lambda: work(name), name), names)]

    def _asked(self, work: Callable[[], Any], name: str) -> Any:  # noqa: ANN401 - what the work gives
        """Do something that asks the storage, some times if it does not answer."""
        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=2, max=20),
            retry=retry_if_exception_type(UnreachableError),
            reraise=True,
        )
        for attempt in tries:
            with attempt, self._told(name):
                return work()
        raise AssertionError("tenacity ends with a result or an exception")

    def _list(self, place: str) -> dict[str, StoredFile]:
        with self._told(place):
            if place and not place.endswith("/"):
                try:
                    listed = {self._place(place): self._files.info(self._place(place))}
                except FileNotFoundError:
                    listed = {}
            else:
                listed = self._files.find(self._place(place), detail=True)
        files = {key: info for key, info in listed.items() if info["type"] == "file"}
        return {self._name(key): _as_listed(info) for key, info in files.items()}

    def _name(self, key: str) -> str:
        """A file's name below the address. A bucket takes any key: one may point out of the folder it is fetched to."""
        name = key[len(self._root) :].lstrip("/")
        if ".." in name.split("/"):
            fix = "remove it, and see who else writes there"
            raise StorageError(f"{self.url}: holds a file whose name points elsewhere: {name!r}\n  fix: {fix}")
        return name

    def _fetch(self, name: str, folder: Path) -> None:
        with appearing(folder / name) as temporary, self._told(name):
            self._files.get_file(self._place(name), str(temporary))

    def _leave(self, name: str, folder: Path) -> StoredFile:
        if isinstance(self._files, LocalFileSystem):
            with appearing(Path(self._place(name))) as temporary:
                self._files.put_file(str(folder / name), str(temporary))
        else:
            self._files.put_file(str(folder / name), self._place(name))
        return _as_listed(self._files.info(self._place(name)))

    def _write(self, name: str, content: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            with appearing(Path(self._place(name))) as temporary:
                temporary.write_bytes(content)
        else:
            self._files.pipe_file(self._place(name), content)

    def _remove(self, name: str) -> None:
        try:
            self._files.rm_file(self._place(name))
        except FileNotFoundError:
            return

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Turn what client libraries raise, each of its own kind, into one error that tells what to do."""
        place = f"{self.url}/{name}".rstrip("/")
        try:
            yield
        except RefSavError:
            raise
        except FileNotFoundError as error:
            fix = "make the bucket, or correct runner.storage"
            raise StorageError(f"{place}: is not there: {error}\n  fix: {fix}") from error
        except PermissionError as error:
            fix = "put credentials that may list, read, write and delete there into the environment (docs/ray.md)"
            raise StorageError(f"{place}: access is refused: {error}\n  fix: {fix}") from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OURS:
                raise
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            fix = "see that the storage runs, and that its address and credentials are in the environment (docs/ray.md)"
            raise UnreachableError(f"{place}: cannot be reached: {told}\n  fix: {fix}, then run it again") from error


def _as_listed(info: dict[str, Any]) -> StoredFile:
    token = next((info[key] for key in ("ETag", "md5Hash", "etag", "mtime") if info.get(key)), "")
    return StoredFile(size=info["size"], token=str(token).strip('"'))
