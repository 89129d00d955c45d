"""Remote files through fsspec: in a bucket (s3://, gs://), or in another folder."""

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
"""Concurrent transfers."""
TRIES = 4
"""Attempts of a request that gets no answer, about a minute in total; client libraries retry on top of that."""
EXTRAS = {"s3": ("s3", "s3fs"), "s3a": ("s3", "s3fs"), "gs": ("gcs", "gcsfs"), "gcs": ("gcs", "gcsfs")}
"""URL scheme to the extra and the package that it needs."""
LOCAL_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Error numbers of the local disk, not of the storage."""


class StorageError(RefSavError):
    """A file cannot be listed, read, written or removed in the storage."""


class UnreachableError(StorageError):
    """The storage did not answer; a later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the storage lists it."""

    size: int
    """In bytes."""
    token: str
    """Changes with the content: an ETag, or the modification time if the storage has no ETags."""


class Storage:
    """Files below one URL, by their names relative to it. Files appear atomically: complete or not at all."""

    def __init__(self, url: str) -> None:
        """Prepare for a URL; sends no request yet.

        Args:
            url: Any URL that fsspec knows and can list: s3://bucket/folder, gs://bucket/folder, a path.

        Raises:
            MissingExtraError: If the package for this kind of URL is missing.
            ConfigError: If fsspec does not know this kind of URL.
        """
        self.url = url.rstrip("/")
        if extra := EXTRAS.get(url.partition("://")[0]):
            require(*extra)
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            fix = "give s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or a path"
            raise ConfigError(str(error), fix=fix, path=f"runner.storage = {url!r}") from None
        if isinstance(self._files, LocalFileSystem):
            self.url = self._root  # absolute, because a relative path changes its meaning with the working directory

    def __str__(self) -> str:
        return self.url

    def check_access(self, prefix: str) -> None:
        """Check that the storage answers: list a folder, which may be missing, in one attempt. Raises StorageError."""
        with self._as_storage_errors(""):
            self._files.find(self._key(prefix))

    def list_files(self, prefixes: Iterable[str]) -> dict[str, StoredFile]:
        """List files by name.

        Args:
            prefixes: Names of folders, which end with /, and of single files; "" lists all files.

        Raises:
            StorageError: If the storage cannot be listed.
        """
        found: dict[str, StoredFile] = {}
        for listed in self._each(self._list, prefixes):
            found |= listed
        return found

    def download(self, names: Iterable[str], folder: Path) -> None:
        """Download files into a folder, each atomically. Raises StorageError, DiskError."""
        self._each(lambda name: self._download(name, folder), names)

    def upload(self, names: Iterable[str], folder: Path) -> dict[str, StoredFile]:
        """Upload files from a folder, and return how the storage lists them. Raises StorageError."""
        files = list(names)
        return dict(zip(files, self._each(lambda name: self._upload(name, folder), files), strict=True))

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; a missing file is not an error. Raises StorageError."""
        self._each(self._remove, names)

    def write_json(self, name: str, content: object) -> datetime:
        """Write a small JSON file, and return its modification time by the storage's clock. Raises StorageError."""
        self._with_retries(lambda: self._write(name, json.dumps(content).encode()), name)
        return self.modified_at(name)

    def read_json(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Read a small JSON file. Raises StorageError."""
        return json.loads(self._with_retries(lambda: self._files.cat_file(self._key(name)), name))

    def modified_at(self, name: str) -> datetime:
        """Return when a file was last modified, by the storage's clock. Raises StorageError."""
        modified: datetime = self._with_retries(lambda: self._files.modified(self._key(name)), name)
        return modified

    def _each(self, work: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [*pool.map(lambda name: self._with_retries(lambda: work(name), name), names)]

    def _with_retries(self, work: Callable[[], Any], name: str) -> Any:  # noqa: ANN401 - the result of the work
        """Run a request to the storage; repeat it if the storage does not answer."""
        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=2, max=20),
            retry=retry_if_exception_type(UnreachableError),
            reraise=True,
        )
        for attempt in tries:
            with attempt, self._as_storage_errors(name):
                return work()
        raise AssertionError("tenacity ends with a result or an exception")

    def _list(self, prefix: str) -> dict[str, StoredFile]:
        with self._as_storage_errors(prefix):
            if prefix and not prefix.endswith("/"):
                try:
                    listed = {self._key(prefix): self._files.info(self._key(prefix))}
                except FileNotFoundError:
                    listed = {}
            else:
                listed = self._files.find(self._key(prefix), detail=True)
        files = {key: info for key, info in listed.items() if info["type"] == "file"}
        return {self._name(key): _stored_file(info) for key, info in files.items()}

    def _name(self, key: str) -> str:
        """Return a file's name relative to the URL; refuse one that leads out of a folder that it is downloaded to."""
        name = key[len(self._root) :].lstrip("/")
        if ".." in name.split("/"):  # a bucket accepts any key
            problem = f"has a file whose name leads out of the folder: {name!r}"
            raise StorageError(problem, fix="remove it, and find out who else writes there", path=self.url)
        return name

    def _download(self, name: str, folder: Path) -> None:
        with appearing(folder / name) as temporary, self._as_storage_errors(name):
            self._files.get_file(self._key(name), str(temporary))

    def _upload(self, name: str, folder: Path) -> StoredFile:
        if isinstance(self._files, LocalFileSystem):
            with appearing(Path(self._key(name))) as temporary:
                self._files.put_file(str(folder / name), str(temporary))
        else:
            self._files.put_file(str(folder / name), self._key(name))
        return _stored_file(self._files.info(self._key(name)))

    def _write(self, name: str, content: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            with appearing(Path(self._key(name))) as temporary:
                temporary.write_bytes(content)
        else:
            self._files.pipe_file(self._key(name), content)

    def _remove(self, name: str) -> None:
        try:
            self._files.rm_file(self._key(name))
        except FileNotFoundError:
            return

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _as_storage_errors(self, name: str) -> Iterator[None]:
        """Convert the various exceptions of client libraries to StorageError with a fix."""
        url = f"{self.url}/{name}".rstrip("/")
        try:
            yield
        except RefSavError:
            raise
        except FileNotFoundError as error:
            fix = "create the bucket, or correct runner.storage"
            raise StorageError(f"does not exist: {error}", fix=fix, path=url) from error
        except PermissionError as error:
            fix = "set credentials in the environment that may list, read, write and delete there (docs/ray.md)"
            raise StorageError(f"access is denied: {error}", fix=fix, path=url) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in LOCAL_DISK:
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            fix = "check that the storage is running and that its address and credentials are set in the environment "
            fix += "(docs/ray.md), then run it again"
            raise UnreachableError(f"cannot be reached: {reason}", fix=fix, path=url) from error


def _stored_file(info: dict[str, Any]) -> StoredFile:
    token = next((info[key] for key in ("ETag", "md5Hash", "etag", "mtime") if info.get(key)), "")
    return StoredFile(size=info["size"], token=str(token).strip('"'))
