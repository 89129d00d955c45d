"""A run that is kept in a storage while a flow works on it: who holds it, what comes and goes when (docs/ray.md)."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from refsav.datasets.run.lease import FOLDER, Lease, leased
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.run.storage import Storage, StorageError
from refsav.datasets.run.stored_run import ALL, StoredRun
from refsav.errors import RefSavError
from refsav.files import DiskError
from refsav.flows.config.build import RunnerConfig
from refsav.flows.reporting.progress import say
from refsav.flows.running.task_files import Needs
from refsav.lock import LockedError
from refsav.plural import plural
from refsav.stopping import StoppedError, ended_by

REPLIES_KEPT_EVERY_S = 5.0
GIVEN_UP_WITHIN_S = 180.0
"""How long a bundle may stay with a machine that Ray has given up; its claim ends before that."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where a flow or a task works, and what allows it to leave something in the storage."""

    stored: StoredRun
    lease: Lease | None
    root: Path

    def leave(self, places: Sequence[str]) -> None:
        """Raise LockedError if somebody else works on it by now, StorageError."""
        if self.lease:
            self.lease.require()
        self.stored.leave(places)


_HELD: dict[Path, _Desk] = {}
"""Runs that flows of this process hold in their storage."""


def refuse_storage(config: RunnerConfig) -> None:
    """Raise what would keep a run from its storage.

    Raises:
        MissingExtraError: If the package for this kind of storage is missing.
        ConfigError: If there is no such kind.
        StorageError: If it does not answer, or refuses.
    """
    if config.storage:
        Storage(config.storage).require(FOLDER)


@contextmanager
def held_in_storage(run: Path, config: RunnerConfig) -> Iterator[None]:
    """Hold a run in its storage for this flow alone, and bring what others have left there; nothing without a storage.

    Raises:
        LockedError: If somebody else builds into it; the message names who.
        ConfigError: If the storage holds another run.
        StorageError: If it cannot be used.
    """
    if not config.storage:
        yield
        return
    storage = Storage(config.storage)
    storage.require(FOLDER)
    with leased(storage, "run") as lease:
        stored = StoredRun(storage, run)
        if fetched := stored.take_up():
            say(f"{fetched} {plural(fetched, 'file')} fetched from {storage}")
        stored.keep()
        _HELD[run] = _Desk(stored, lease, run)
        try:
            yield
        finally:
            del _HELD[run]


def leave(run: Path) -> None:
    """Bring what this flow has made or removed to the storage. Raises LockedError, StorageError."""
    if held := _HELD.get(run):
        held.leave(ALL)
        held.stored.keep()


def take_up(run: Path, places: Sequence[str]) -> None:
    """Fetch what tasks elsewhere have left. Raises StorageError, DiskError."""
    if held := _HELD.get(run):
        held.stored.take_up(places)
        held.stored.keep()


def away(run: Path, config: RunnerConfig) -> str:
    """Tell tasks the storage that they work from, if they run where the run directory is out of reach; else ""."""
    return Storage(config.storage).url if run in _HELD and config.kind == "ray" else ""


@contextmanager
def at_hand(run: Path, storage: str, needs: Needs) -> Iterator[RunDirectory]:
    """Give a task the run to work in, and leave what it has made in the storage, if there is one.

    Args:
        run: The run directory.
        storage: What `away` gave: the task then works in a folder of its own machine.
        needs: What it reads and writes.

    Raises:
        LockedError: If somebody else works on the bundle.
        StorageError: If the storage does not have, take or give something.
        DiskError: If a file cannot be written.
    """
    held = _HELD.get(run)
    if not storage and not held:
        yield RunDirectory(run)
        return
    with ExitStack() as stack:
        desk = held or _desk_away(stack, run, storage, needs)
        with _replies_kept(desk, needs):
            yield RunDirectory(desk.root)
        desk.leave(needs.writes)


def _desk_away(stack: ExitStack, run: Path, storage: str, needs: Needs) -> _Desk:
    """A folder of this machine with what the task reads."""
    far = Storage(storage)
    try:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="refsav-", ignore_cleanup_errors=True))
        root = Path(folder) / run.name
        root.mkdir()
    except OSError as error:
        raise DiskError(Path(tempfile.gettempdir()), error) from error
    lease = stack.enter_context(leased(far, needs.bundle, GIVEN_UP_WITHIN_S)) if needs.bundle else None
    stored = StoredRun(far, root)
    stored.take_up(needs.reads)
    return _Desk(stored, lease, root)


@contextmanager
def _replies_kept(desk: _Desk, needs: Needs) -> Iterator[None]:
    """Bring a bundle's journal to the storage every few seconds; end the work if that cannot be done any more."""
    if not needs.bundle:
        yield
        return
    journal = (f"journal/{needs.bundle}.jsonl",)
    done, ended = threading.Event(), threading.Event()
    failures: list[RefSavError] = []

    def keep() -> None:
        while not done.wait(REPLIES_KEPT_EVERY_S):
            try:
                desk.leave(journal)
            except (StorageError, LockedError) as error:
                failures.append(error)
                ended.set()
                return

    keeping = threading.Thread(target=keep, daemon=True)
    keeping.start()
    try:
        with ended_by(ended):
            yield
    except StoppedError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        done.set()
        keeping.join()
        if not failures:
            desk.leave(journal)
