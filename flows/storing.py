"""A run that is kept in a storage while a flow works on it: who holds it, what comes and goes when (docs/ray.md)."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from refsav.annotators.plan import Bundle
from refsav.datasets.lease import Lease, leased
from refsav.datasets.run import RunDirectory
from refsav.datasets.shards import ShardPlan
from refsav.datasets.storage import Storage, StorageError
from refsav.datasets.stored_run import StoredRun
from refsav.flows.build_config import RunnerConfig
from refsav.stopping import StoppedError, ended_by

REPLIES_KEPT_EVERY_S = 5.0
GIVEN_UP_WITHIN_S = 180.0
"""How long a bundle may stay with a machine that Ray has given up; its claim ends before that."""
OF_BUNDLES = ("journal/", "logs/", "expressions/", "dropped/", "failed/", "unreadable/", "measures/")
"""What the tasks of bundles leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a task reads and writes of a run: names of files, and of folders with a / at the end."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    bundle: str = ""
    """The bundle whose journal grows meanwhile: nobody else may work on it."""


@dataclass(frozen=True, slots=True)
class _Held:
    stored: StoredRun
    lease: Lease
    away: str
    """The storage's address, if tasks run where the run directory is out of reach."""


_HELD: dict[Path, _Held] = {}
"""Runs that flows of this process hold in their storage."""


def refuse_storage(config: RunnerConfig) -> None:
    """Raise what would keep a run from its storage.

    Raises:
        MissingExtraError: If the package for this kind of storage is missing.
        ConfigError: If there is no such kind.
        StorageError: If it does not answer, or refuses.
    """
    if config.storage:
        Storage(config.storage).require()


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
    storage.require()
    with leased(storage, "run") as lease:
        stored = StoredRun(storage, run)
        stored.take_up()
        stored.keep()
        _HELD[run] = _Held(stored, lease, storage.url if config.kind == "ray" else "")
        try:
            yield
        finally:
            del _HELD[run]


def leave(run: Path) -> None:
    """Bring what this flow has made or removed to the storage. Raises LockedError, StorageError."""
    if held := _HELD.get(run):
        held.lease.require()
        held.stored.leave()
        held.stored.keep()


def take_up(run: Path, places: Sequence[str]) -> None:
    """Fetch what tasks elsewhere have left. Raises StorageError, DiskError."""
    if held := _HELD.get(run):
        held.stored.take_up(places)
        held.stored.keep()


def away(run: Path) -> str:
    """Tell tasks the storage that they work from, if they run where the run directory is out of reach; else ""."""
    held = _HELD.get(run)
    return held.away if held else ""


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
    if not storage:
        held = _HELD.get(run)
        with _replies_kept(held.stored, needs) if held else nullcontext():
            yield RunDirectory(run)
        if held:
            held.lease.require()
            held.stored.leave(needs.writes)
        return
    far = Storage(storage)
    with (
        tempfile.TemporaryDirectory(prefix="refsav-", ignore_cleanup_errors=True) as folder,
        leased(far, needs.bundle, GIVEN_UP_WITHIN_S) if needs.bundle else nullcontext(),
    ):
        scratch = Path(folder) / run.name
        scratch.mkdir()
        stored = StoredRun(far, scratch)
        stored.take_up(needs.reads)
        with _replies_kept(stored, needs):
            yield RunDirectory(scratch)
        stored.leave(needs.writes)


@contextmanager
def _replies_kept(stored: StoredRun, needs: Needs) -> Iterator[None]:
    """Bring a bundle's journal to the storage every few seconds; end the work if that cannot be done any more."""
    if not needs.bundle:
        yield
        return
    journal = (f"journal/{needs.bundle}.jsonl",)
    done, ended = threading.Event(), threading.Event()
    failures: list[StorageError] = []

    def keep() -> None:
        while not done.wait(REPLIES_KEPT_EVERY_S):
            try:
                stored.leave(journal)
            except StorageError as error:
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
            stored.leave(journal)


def of_bundle(bundle: str) -> Needs:
    """What the description of a bundle's objects reads and writes."""
    parts = [f"{folder}/{bundle}.parquet" for folder in ("expressions", "dropped", "unreadable", "measures", "failed")]
    writes = (*parts, f"failed/{bundle}.retry", f"journal/{bundle}.jsonl", f"logs/{bundle}.jsonl")
    return Needs(reads=(f"bundles/{bundle}.json", *writes), writes=writes, bundle=bundle)


def of_shard(plan: ShardPlan, run: Path) -> Needs:
    """What the writing of a shard reads and writes."""
    parts = tuple(part.relative_to(run).as_posix() for part in plan.parts)
    folder = f"shards/{plan.shards}"
    return Needs(reads=parts, writes=(f"{folder}/{plan.name}", f"{folder}/.{plan.name}.json"))


def of_pictures(bundle: Bundle) -> Needs:
    """What the drawing of a bundle's pictures reads and writes."""
    parts = tuple(f"{folder}/{bundle.name}.parquet" for folder in ("expressions", "dropped", "failed"))
    writes = (f"report/data/{bundle.name}.js", *(f"report/media/{video.video_id}/" for video in bundle.videos))
    return Needs(reads=(*parts, *writes), writes=writes)
