"""A run's folder and the storage that keeps it: what either has new since they were last alike goes to the other.

What was done on purpose on one side, a deletion too, is done on the other. Where both have changed, the storage's is
taken: somebody has gone on from there. But of a journal the longer one is kept: both begin alike, and it was paid for.
"""

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.run.lease import FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.run.storage import Storage, StoredFile
from refsav.disk.files import DiskError, write_text
from refsav.errors import ConfigError

ALL = ("",)
SETTINGS = "run.toml"
"""Left last: a storage without it holds no run."""
ANSWERS = "review/answers.jsonl"


@dataclass(frozen=True, slots=True)
class Alike:
    """A file as it was when folder and storage last had the same."""

    size: int
    changed_ns: int
    token: str


UNLIKE = Alike(-1, 0, "")


class StoredRun:
    """A folder of a run that is kept in a storage. Used from several threads."""

    def __init__(self, storage: Storage, root: Path) -> None:
        self._storage = storage
        self._root = root
        self._record = RunDirectory(root).stored
        self._changing = threading.Lock()
        kept = _read(self._record)
        self._is_tied = kept is not None and kept.storage == storage.url
        self._alike = {name: Alike(*one) for name, one in kept.files.items()} if kept and self._is_tied else {}

    def take_up(self, places: Sequence[str] = ALL) -> int:
        """Bring what the storage has other than the folder.

        Args:
            places: Names of folders, ending with /, and of files, below the run; "" is the whole run.

        Returns:
            How many files were fetched.

        Raises:
            ConfigError: If folder and storage hold two runs that never were one.
            StorageError: If a file cannot be fetched.
            DiskError: If it cannot be written.
        """
        there, here = self._listed(places), self._sizes(places)
        if places == ALL:
            self._refuse_strangers(there.keys(), here.keys())
            if SETTINGS not in there:  # new, emptied, or filled half: all that is here is new to it
                self._alike = dict.fromkeys(there, UNLIKE)
                return 0
        known = self._known(places)
        wanted = [
            name
            for name, stored in there.items()
            if (name not in known or known[name].token != stored.token)
            and not (_grows(name) and here.get(name, (0, 0))[0] > stored.size)
        ]
        if ANSWERS in wanted and ANSWERS in here:
            self._refuse_to_lose_answers(there[ANSWERS], here[ANSWERS], known.get(ANSWERS))
        gone = [
            name
            for name, alike in known.items()
            if name not in there and not (_grows(name) and _differs(here.get(name), alike))
        ]
        for leaving, names in _in_order(wanted, gone):
            if leaving:
                self._remove_here(names)
            else:
                self._storage.fetch(names, self._root)
                self._note({name: there[name] for name in names})
        self._forget(known.keys() - there.keys())
        return len(wanted)

    def leave(self, places: Sequence[str] = ALL) -> None:
        """Put what has changed in the folder into the storage, and remove there what was removed here.

        Raises:
            StorageError: If a file cannot be put there.
        """
        here, known = self._sizes(places), self._known(places)
        changed = [name for name, state in here.items() if name not in known or _differs(state, known[name])]
        for leaving, names in _in_order(changed, known.keys() - here.keys()):
            if leaving:
                self._storage.remove(names)
                self._forget(names)
            else:
                self._note(self._storage.leave(names, self._root), here)

    def keep(self) -> None:
        """Keep in the folder what is alike; without it more is fetched the next time. Raises DiskError."""
        with self._changing:
            files = {name: [one.size, one.changed_ns, one.token] for name, one in sorted(self._alike.items())}
        write_text(self._record, json.dumps({"storage": self._storage.url, "files": files}, indent=0) + "\n")

    def _refuse_strangers(self, there: Collection[str], here: Collection[str]) -> None:
        if SETTINGS in there and SETTINGS in here and not self._is_tied:
            raise ConfigError(
                f"{self._root}: this folder holds a run, and {self._storage} another, or a copy of it\n"
                "  fix: build into an empty folder, which is filled from the storage, or name another storage"
            )
        strange = [] if SETTINGS in there else sorted(set(there) - set(here))
        if strange:
            raise ConfigError(
                f"{self._storage}: holds no run, but other files, {strange[0]} for example\n"
                "  fix: name a folder of the storage that is empty"
            )

    def _refuse_to_lose_answers(self, stored: StoredFile, here: tuple[int, int], alike: Alike | None) -> None:
        """What people have said cannot be made again, so the storage's is not taken in its place."""
        if _differs(here, alike) if alike else here[0] != stored.size:
            raise ConfigError(
                f"{self._root / ANSWERS}: has changed here, and in {self._storage} too\n"
                "  fix: move the file away, build, and bring its answers in again (refsav review pull or import)"
            )

    def _known(self, places: Sequence[str]) -> dict[str, Alike]:
        """What is known of these folders and files."""
        folders = tuple(place for place in places if not place or place.endswith("/"))
        with self._changing:
            found = {name: alike for name, alike in self._alike.items() if name.startswith(folders)} if folders else {}
            return found | {name: self._alike[name] for name in places if name in self._alike}

    def _listed(self, places: Iterable[str]) -> dict[str, StoredFile]:
        return {name: stored for name, stored in self._storage.listed(places).items() if _is_kept(Path(name))}

    def _sizes(self, places: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Size and time of change of the files here."""
        found: dict[str, tuple[int, int]] = {}
        for place in places:
            path = self._root / place
            for file in path.rglob("*") if path.is_dir() else [path]:
                name = file.relative_to(self._root)
                if file.is_file() and _is_kept(name):
                    stat = file.stat()
                    found[name.as_posix()] = (stat.st_size, stat.st_mtime_ns)
        return found

    def _note(self, stored: Mapping[str, StoredFile], here: Mapping[str, tuple[int, int]] | None = None) -> None:
        """Remember that these files are alike; what grows while it is sent has changed again."""
        here = self._sizes(stored) if here is None else here
        with self._changing:
            self._alike |= {name: Alike(*here[name], one.token) for name, one in stored.items()}

    def _forget(self, names: Iterable[str]) -> None:
        with self._changing:
            for name in names:
                self._alike.pop(name, None)

    def _remove_here(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                (self._root / name).unlink(missing_ok=True)
            except OSError as error:
                raise DiskError(self._root / name, error) from error


def _in_order(changed: Iterable[str], gone: Iterable[str]) -> Iterator[tuple[bool, list[str]]]:
    """Yield (whether they go, names): whatever stops it, what is there by then is a run that a build goes on with.

    A bundle is done when its failed part is there, which therefore comes last and goes first; but before it goes, what
    is called retry tells what it held. Likewise a hidden file says that what it is named after is whole.
    """
    ranks: list[list[str]] = [[], [], [], [], []]
    for name in changed:
        ranks[_rank(name)].append(name)
    going = sorted(gone)
    marks = [name for name in going if _rank(name) in (2, 3)]
    steps = [(False, ranks[0]), (True, marks), *((False, rank) for rank in ranks[1:4])]
    steps += [(True, [name for name in going if name not in set(marks)]), (False, ranks[4])]
    return ((goes, sorted(names)) for goes, names in steps if names)


def _rank(name: str) -> int:
    path = Path(name)
    if path.parent.name == "failed" and path.suffix in (".retry", ".parquet"):
        return 0 if path.suffix == ".retry" else 3
    if name == SETTINGS or path.parts[0] == ".state":
        return 4
    return 2 if path.name.startswith(".") or name.startswith("report/data/") else 1


def _grows(name: str) -> bool:
    return name.startswith("journal/")


def _differs(state: tuple[int, int] | None, alike: Alike) -> bool:
    return state is not None and state != (alike.size, alike.changed_ns)


def _is_kept(name: Path) -> bool:
    """True for all of a run but what belongs to this folder or to a moment."""
    run = RunDirectory(Path())
    own = name.name == ".lock" or name in (run.stored, run.part_digests) or f"{name.parts[0]}/" == FOLDER
    return not own and not (name.suffix == ".part" and any(part.startswith(".") for part in name.parts))


@dataclass(frozen=True, slots=True)
class _Kept:
    storage: str
    files: dict[str, tuple[int, int, str]]


_KEPT = TypeAdapter(_Kept)


def _read(path: Path) -> _Kept | None:
    try:
        return _KEPT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
