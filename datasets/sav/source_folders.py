"""The folders of a source: links are followed, each folder is listed once, run directories are left out."""

import os
from collections.abc import Iterator
from pathlib import Path

from refsav.datasets.records import Unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import RecordError


def folders_below(source: Path) -> Iterator[tuple[Path, list[str]] | Unreadable]:
    """Yield `source` and every folder below it, sorted, each with the names of its files.

    Links to folders are followed, for data that is spread over several disks. Dangling links, and links to a folder
    that is listed anyway, are reported as Unreadable. Run directories are left out: their images and previews are not
    source videos.

    Raises:
        RecordError: If a folder cannot be listed.
    """
    listed = {_identity(source): "."}
    root = source.resolve()
    previews = RunDirectory(source).report if is_run(source) else None  # the source itself may be a run
    for parent, folders, names in os.walk(source, onerror=_raise_listing_error, followlinks=True):
        here = Path(parent)
        yield here, names
        for name in sorted(names):
            if not name.endswith((".mp4", ".json")) and (here / name).is_symlink() and not (here / name).exists():
                fix = "mount the disk that it points to, or remove it"
                yield _unreadable(here / name, source, "is a dangling link", fix)
        entered = []
        for name in sorted(folders):
            path = here / name
            if is_run(path) or path == previews:
                continue
            if problem := _why_not_entered(path, root, listed):
                yield _unreadable(path, source, problem, "remove the link: its target is read once")
                continue
            listed[_identity(path)] = path.relative_to(source).as_posix()
            entered.append(name)
        folders[:] = entered  # os.walk enters only these


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory."""
    return RunDirectory(folder).settings.is_file()


def _why_not_entered(path: Path, root: Path, listed: dict[tuple[int, int], str]) -> str:
    """Return why a folder is not entered, or "" if it is."""
    if (before := listed.get(_identity(path))) is not None:
        return f"points to folder {before} of the source, which is already listed"
    if not path.is_symlink():
        return ""
    target = path.resolve()
    if root.is_relative_to(target) or path.parent.resolve().is_relative_to(target):
        return "points to a folder that contains the link"
    if target.is_relative_to(root):
        return f"points to folder {target.relative_to(root).as_posix()} of the source, which is listed by its own name"
    return ""


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode: equal for two names of the same folder."""
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_be_listed(folder, error) from None
    return status.st_dev, status.st_ino


def _unreadable(path: Path, source: Path, problem: str, fix: str) -> Unreadable:
    where = path.relative_to(source).as_posix()
    return Unreadable(path=where, error=f"{where}: {problem}; fix: {fix}")


def _raise_listing_error(error: OSError) -> None:
    raise _cannot_be_listed(Path(str(error.filename)), error)


def _cannot_be_listed(folder: Path, error: OSError) -> RecordError:
    fix = "make the folder readable, or leave it out"
    return RecordError(folder, "", f"cannot be listed: {error.strerror}", fix)
