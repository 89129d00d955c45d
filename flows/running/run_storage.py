"""A run in a bucket or a shared folder: locked for one flow, downloaded, and uploaded step by step (docs/ray.md)."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from refsav.datasets.run.lease import LEASES_FOLDER, Lease, hold_lease
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.run.storage import Storage, StorageError
from refsav.datasets.run.stored_run import ALL, StoredRun
from refsav.disk.files import DiskError
from refsav.disk.lock import LockedError
from refsav.errors import RefSavError
from refsav.flows.config.build import RunnerConfig
from refsav.flows.reporting.progress import print_line
from refsav.flows.running.task_files import TaskFiles
from refsav.plural import plural
from refsav.processes.cancellation import StoppedError, ended_by

UPLOAD_REPLIES_EVERY_S = 5.0
BUNDLE_LEASE_S = 180.0
"""Seconds after which the lock of a bundle expires when the machine of its task is lost."""


@dataclass(frozen=True, slots=True)
class _WorkingCopy:
    """A copy of a run in which a flow or a task works, and the lock that allows it to upload."""

    stored: StoredRun
    lease: Lease | None
    root: Path

    def upload(self, places: Sequence[str]) -> None:
        """Raise LockedError if another machine has taken over the lock, StorageError."""
        if self.lease:
            self.lease.require_held()
        self.stored.push(places)


_LOCKED: dict[Path, _WorkingCopy] = {}
"""Runs that flows of this process have locked in their storage."""


def require_storage(config: RunnerConfig) -> None:
    """Check that the storage of a run, if it has one, can be used.

    Raises:
        MissingExtraError: If the package for this kind of storage is missing.
        ConfigError: If there is no such kind.
        StorageError: If it does not answer, or denies access.
    """
    if config.storage:
        Storage(config.storage).check_access(LEASES_FOLDER)


@contextmanager
def locked_in_storage(run: Path, config: RunnerConfig) -> Iterator[None]:
    """Lock a run in its storage for this flow, and download what other machines have uploaded.

    Does nothing for a run without a storage.

    Raises:
        LockedError: If another machine builds into it; the message names the machine.
        ConfigError: If the storage holds another run.
        StorageError: If it cannot be used.
    """
    if not config.storage:
        yield
        return
    storage = Storage(config.storage)
    storage.check_access(LEASES_FOLDER)
    with hold_lease(storage, "run") as lease:
        stored = StoredRun(storage, run)
        if fetched := stored.pull():
            print_line(f"{fetched} {plural(fetched, 'file')} fetched from {storage}")
        stored.save_record()
        _LOCKED[run] = _WorkingCopy(stored, lease, run)
        try:
            yield
        finally:
            del _LOCKED[run]


def upload(run: Path) -> None:
    """Upload what this flow has written, and delete what it has removed. Raises LockedError, StorageError."""
    if copy := _LOCKED.get(run):
        copy.upload(ALL)
        copy.stored.save_record()


def download(run: Path, places: Sequence[str]) -> None:
    """Download what tasks on other machines have uploaded. Raises StorageError, DiskError."""
    if copy := _LOCKED.get(run):
        copy.stored.pull(places)
        copy.stored.save_record()


def remote_storage(run: Path, config: RunnerConfig) -> str:
    """Return the storage that tasks work from, if they run where the run directory cannot be reached; else ""."""
    return Storage(config.storage).url if run in _LOCKED and config.kind == "ray" else ""


@contextmanager
def task_directory(run: Path, storage: str, files: TaskFiles) -> Iterator[RunDirectory]:
    """Yield the run directory that a task works in, and upload what it has written.

    Args:
        run: The run directory of the flow.
        storage: Result of `remote_storage`; unless it is empty the task works in a temporary copy on its own machine.
        files: What the task reads and writes.

    Raises:
        LockedError: If another machine works on the bundle.
        StorageError: If a file cannot be downloaded or uploaded.
        DiskError: If a file cannot be written.
    """
    locked = _LOCKED.get(run)
    if not storage and not locked:
        yield RunDirectory(run)
        return
    with ExitStack() as stack:
        copy = locked or _temporary_copy(stack, run, storage, files)
        with _replies_uploaded(copy, files):
            yield RunDirectory(copy.root)
        copy.upload(files.writes)


def _temporary_copy(stack: ExitStack, run: Path, storage: str, files: TaskFiles) -> _WorkingCopy:
    """Download what a task reads into a folder of this machine."""
    remote = Storage(storage)
    try:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="refsav-", ignore_cleanup_errors=True))
        root = Path(folder) / run.name
        root.mkdir()
    except OSError as error:
        raise DiskError(Path(tempfile.gettempdir()), error) from error
    lease = stack.enter_context(hold_lease(remote, files.bundle, BUNDLE_LEASE_S)) if files.bundle else None
    stored = StoredRun(remote, root)
    stored.pull(files.reads)
    return _WorkingCopy(stored, lease, root)


@contextmanager
def _replies_uploaded(copy: _WorkingCopy, files: TaskFiles) -> Iterator[None]:
    """Upload a bundle's journal every few seconds; stop the task when that fails, as its replies would be lost."""
    if not files.bundle:
        yield
        return
    journal = (f"journal/{files.bundle}.jsonl",)
    done, ended = threading.Event(), threading.Event()
    failures: list[RefSavError] = []

    def upload_repeatedly() -> None:
        while not done.wait(UPLOAD_REPLIES_EVERY_S):
            try:
                copy.upload(journal)
            except (StorageError, LockedError) as error:
                failures.append(error)
                ended.set()
                return

    uploading = threading.Thread(target=upload_repeatedly, daemon=True)
    uploading.start()
    try:
        with ended_by(ended):
            yield
    except StoppedError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        done.set()
        uploading.join()
        if not failures:
            copy.upload(journal)
