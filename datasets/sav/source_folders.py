"""The folders of a source: linked ones too, none of them twice, and no run that lies among the videos."""

import os
from collections.abc import Iterator
from pathlib import Path

from refsav.datasets.records import Unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError


def folders_below(source: Path) -> Iterator[tuple[Path, list[str]] | Unreadable]:
    """Yield every folder with the names of its files, itself first, then what is below it, sorted.

    Links to folders are followed, for data that lies on several disks. One that leads to what is listed anyway, or to
    nothing, is told. Run directories are left out: their pictures and films are no videos to describe.

    Raises:
        RecordError: If a folder cannot be listed.
    """
    listed = {_identity(source): "."}
    root = source.resolve()
    films = RunDirectory(source).report if is_run(source) else None  # the run may be the source itself
    for parent, folders, names in os.walk(source, onerror=_raise_listing_error, followlinks=True):
        here = Path(parent)
        yield here, names
        for name in sorted(names):
            if not name.endswith((".mp4", ".json")) and (here / name).is_symlink() and not (here / name).exists():
                yield _told(here / name, source, "leads to nothing", "mount the disk that it leads to, or remove it")
        entered = []
        for name in sorted(folders):
            path = here / name
            if is_run(path) or path == films:
                continue
            if problem := _listed_anyway(path, root, listed):
                yield _told(path, source, problem, "remove the link: what it leads to is taken once")
                continue
            listed[_identity(path)] = path.relative_to(source).as_posix()
            entered.append(name)
        folders[:] = entered  # os.walk goes on with these


def is_run(folder: Path) -> bool:
    """Tell whether a folder is a run directory."""
    return RunDirectory(folder).settings.is_file()


def _listed_anyway(path: Path, root: Path, listed: dict[tuple[int, int], str]) -> str:
    """Why a folder is not entered; "" for one that is."""
    if (before := listed.get(_identity(path))) is not None:
        return f"leads to folder {before} of the source, which is listed already"
    if not path.is_symlink():
        return ""
    target = path.resolve()
    if root.is_relative_to(target) or path.parent.resolve().is_relative_to(target):
        return "leads back to a folder that holds it"
    if target.is_relative_to(root):
        return f"leads to folder {target.relative_to(root).as_posix()} of the source, which is listed by its own name"
    return ""


def _identity(folder: Path) -> tuple[int, int]:
    """What two names of one folder have in common: device and inode."""
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_be_listed(folder, error) from None
    return status.st_dev, status.st_ino


def _told(path: Path, source: Path, problem: str, fix: str) -> Unreadable:
    where = path.relative_to(source).as_posix()
    return Unreadable(path=where, error=f"{where}: {problem}; fix: {fix}")


def _raise_listing_error(error: OSError) -> None:
    raise _cannot_be_listed(Path(str(error.filename)), error)


def _cannot_be_listed(folder: Path, error: OSError) -> RecordError:
    fix = "make the folder readable, or leave it out"
    return RecordError(folder, "", f"cannot be listed: {error.strerror}", fix)
