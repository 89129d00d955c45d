"""Two-way synchronization of a run's folder with the storage that keeps it.

Changes and deletions on one side since the last synchronization are applied to the other. If a file has changed on both
sides, the storage's version wins, because another machine has resumed from there. Of a journal the longer version wins:
both start with the same replies, and every reply was paid for.
"""

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.run.lease import LEASES_FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.run.storage import Storage, StoredFile
from refsav.disk.files import DiskError, write_text
from refsav.errors import ConfigError

ALL = ("",)
SETTINGS = "run.toml"
"""Uploaded last: a storage without it does not hold a run."""
ANSWERS = "review/answers.jsonl"


@dataclass(frozen=True, slots=True)
class SyncedFile:
    """A file's state when it was last equal in folder and storage."""

    size: int
    """In bytes."""
    changed_ns: int
    """Modification time in the folder, in nanoseconds."""
    token: str
    """The storage's token of the content (`StoredFile.token`)."""


NEVER_SYNCED = SyncedFile(-1, 0, "")


class StoredRun:
    """A run's folder that is kept in a storage. Thread-safe."""

    def __init__(self, storage: Storage, root: Path) -> None:
        """Read the record of the last synchronization.

        Args:
            storage: The storage that keeps the run.
            root: The run's folder.
        """
        self._storage = storage
        self._root = root
        self._record = RunDirectory(root).stored
        self._lock = threading.Lock()
        record = _read_record(self._record)
        self._is_tied = record is not None and record.storage == storage.url
        recorded = record.files if record and self._is_tied else {}
        self._synced = {name: SyncedFile(*file) for name, file in recorded.items()}

    def pull(self, prefixes: Sequence[str] = ALL) -> int:
        """Apply the storage's changes to the folder.

        Args:
            prefixes: Names of folders, which end with /, and of files, relative to the run; "" is the complete run.

        Returns:
            The number of files downloaded.

        Raises:
            ConfigError: If folder and storage hold two different runs, or both have new review answers.
            StorageError: If a file cannot be downloaded.
            DiskError: If a file cannot be written.
        """
        remote, local = self._remote_files(prefixes), self._local_files(prefixes)
        if prefixes == ALL:
            self._refuse_other_run(remote.keys(), local.keys())
            if SETTINGS not in remote:  # new, emptied or incomplete: everything in the folder counts as changed
                self._synced = dict.fromkeys(remote, NEVER_SYNCED)
                return 0
        known = self._known(prefixes)
        changed = [
            name
            for name, stored in remote.items()
            if (name not in known or known[name].token != stored.token)
            and not (_is_journal(name) and local.get(name, (0, 0))[0] > stored.size)
        ]
        if ANSWERS in changed and ANSWERS in local:
            self._refuse_to_lose_answers(remote[ANSWERS], local[ANSWERS], known.get(ANSWERS))
        removed = [
            name
            for name, synced in known.items()
            if name not in remote and not (_is_journal(name) and _differs(local.get(name), synced))
        ]
        for is_removal, names in _in_safe_order(changed, removed):
            if is_removal:
                self._remove_local(names)
            else:
                self._storage.download(names, self._root)
                self._note_synced({name: remote[name] for name in names})
        self._forget(known.keys() - remote.keys())
        return len(changed)

    def push(self, prefixes: Sequence[str] = ALL) -> None:
        """Apply the folder's changes to the storage.

        Args:
            prefixes: Names of folders, which end with /, and of files, relative to the run; "" is the complete run.

        Raises:
            StorageError: If a file cannot be uploaded or removed.
        """
        local, known = self._local_files(prefixes), self._known(prefixes)
        changed = [name for name, state in local.items() if name not in known or _differs(state, known[name])]
        for is_removal, names in _in_safe_order(changed, known.keys() - local.keys()):
            if is_removal:
                self._storage.remove(names)
                self._forget(names)
            else:
                self._note_synced(self._storage.upload(names, self._root), local)

    def save_record(self) -> None:
        """Record which files are synchronized; without the record, the next pull downloads more. Raises DiskError."""
        with self._lock:
            files = {name: [file.size, file.changed_ns, file.token] for name, file in sorted(self._synced.items())}
        write_text(self._record, json.dumps({"storage": self._storage.url, "files": files}, indent=0) + "\n")

    def _refuse_other_run(self, remote: Collection[str], local: Collection[str]) -> None:
        if SETTINGS in remote and SETTINGS in local and not self._is_tied:
            problem = f"this folder holds a run, and {self._storage} holds another run or a copy of it"
            fix = "build into an empty folder, which is filled from the storage, or choose another storage"
            raise ConfigError(problem, fix=fix, path=self._root)
        strange = [] if SETTINGS in remote else sorted(set(remote) - set(local))
        if strange:
            problem = f"holds no run, but other files, for example {strange[0]}"
            raise ConfigError(problem, fix="choose an empty folder of the storage", path=str(self._storage))

    def _refuse_to_lose_answers(self, stored: StoredFile, local: tuple[int, int], synced: SyncedFile | None) -> None:
        """Refuse to overwrite reviewers' answers, which cannot be regenerated, with the storage's version."""
        if _differs(local, synced) if synced else local[0] != stored.size:
            problem = f"has changed both here and in {self._storage}"
            fix = "move the file away, build, and add its answers again (refsav review pull or import)"
            raise ConfigError(problem, fix=fix, path=self._root / ANSWERS)

    def _known(self, prefixes: Sequence[str]) -> dict[str, SyncedFile]:
        """Return the recorded state of these folders and files."""
        folders = tuple(prefix for prefix in prefixes if not prefix or prefix.endswith("/"))
        with self._lock:
            below = {name: file for name, file in self._synced.items() if name.startswith(folders)} if folders else {}
            return below | {name: self._synced[name] for name in prefixes if name in self._synced}

    def _remote_files(self, prefixes: Iterable[str]) -> dict[str, StoredFile]:
        return {name: stored for name, stored in self._storage.list_files(prefixes).items() if _is_synced(Path(name))}

    def _local_files(self, prefixes: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return size (bytes) and modification time (nanoseconds) of the files in the folder."""
        found: dict[str, tuple[int, int]] = {}
        for prefix in prefixes:
            path = self._root / prefix
            for file in path.rglob("*") if path.is_dir() else [path]:
                name = file.relative_to(self._root)
                if file.is_file() and _is_synced(name):
                    stat = file.stat()
                    found[name.as_posix()] = (stat.st_size, stat.st_mtime_ns)
        return found

    def _note_synced(
        self, stored: Mapping[str, StoredFile], local: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        """Remember that these files are equal on both sides.

        Args:
            stored: The files as the storage lists them.
            local: Their state before they were uploaded, so that a file that grew during the upload counts as changed;
                None for their state now.
        """
        local = self._local_files(stored) if local is None else local
        with self._lock:
            self._synced |= {name: SyncedFile(*local[name], file.token) for name, file in stored.items()}

    def _forget(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._synced.pop(name, None)

    def _remove_local(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                (self._root / name).unlink(missing_ok=True)
            except OSError as error:
                raise DiskError(self._root / name, error) from error


def _in_safe_order(changed: Iterable[str], removed: Iterable[str]) -> Iterator[tuple[bool, list[str]]]:
    """Yield (is_removal, names) in an order in which an interruption at any point leaves a run that a build can resume.

    A bundle is done when its failed part exists, so that part is written last and removed first; the bundle's retry
    file, which lists what the part held, is written before that removal. A hidden file marks the file or folder that it
    is named after as complete, so it is treated in the same way.
    """
    ranks: list[list[str]] = [[], [], [], [], []]
    for name in changed:
        ranks[_rank(name)].append(name)
    removals = sorted(removed)
    marks = [name for name in removals if _rank(name) in (2, 3)]
    steps = [(False, ranks[0]), (True, marks), *((False, rank) for rank in ranks[1:4])]
    steps += [(True, [name for name in removals if name not in set(marks)]), (False, ranks[4])]
    return ((is_removal, sorted(names)) for is_removal, names in steps if names)


def _rank(name: str) -> int:
    """Return the step at which a changed file is transferred: retry files, other files, marks, failed parts, state."""
    path = Path(name)
    if path.parent.name == "failed" and path.suffix in (".retry", ".parquet"):
        return 0 if path.suffix == ".retry" else 3
    if name == SETTINGS or path.parts[0] == ".state":
        return 4
    return 2 if path.name.startswith(".") or name.startswith("report/data/") else 1


def _is_journal(name: str) -> bool:
    return name.startswith("journal/")


def _differs(state: tuple[int, int] | None, synced: SyncedFile) -> bool:
    return state is not None and state != (synced.size, synced.changed_ns)


def _is_synced(name: Path) -> bool:
    """Return whether a file is synchronized: all of a run except the folder's own files and temporary files."""
    run = RunDirectory(Path())
    own = name.name == ".lock" or name in (run.stored, run.part_digests) or f"{name.parts[0]}/" == LEASES_FOLDER
    return not own and not (name.suffix == ".part" and any(part.startswith(".") for part in name.parts))


@dataclass(frozen=True, slots=True)
class _Record:
    storage: str
    files: dict[str, tuple[int, int, str]]


_RECORD = TypeAdapter(_Record)


def _read_record(path: Path) -> _Record | None:
    try:
        return _RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
