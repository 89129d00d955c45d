"""Errors that a user can act on: each names the file, the place in it, the problem and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

_FIX = "\n  fix: "


class RefSavError(Exception):
    """Base of every error that RefSAV raises on purpose; the command line prints it without a stack trace.

    The message reads `PATH:WHERE: PROBLEM`, and `  fix: ACTION` on the next line.

    Args:
        problem: What is wrong, in the user's terms.
        fix: What to do now, with a command or a key that exists; without it, the message has no second line.
        path: The file, folder or address that the problem is about, if there is one.
        where: The place in it: a row, a key, a frame.
    """

    def __init__(self, problem: str, *, fix: str = "", path: Path | str = "", where: str = "") -> None:
        self.problem = problem
        self.fix = fix
        self.path = path
        self.where = where
        place = ":".join(filter(None, (str(path), where)))
        super().__init__((f"{place}: " if place else "") + problem + (_FIX + fix if fix else ""))

    @property
    def without_fix(self) -> str:
        """The first line or lines of the message, for an error that quotes this one and has the same fix."""
        return str(self).removesuffix(_FIX + self.fix)

    @property
    def line(self) -> str:
        """The error on one line, as records and logs keep it."""
        return str(self).replace(_FIX, "; fix: ")

    def __reduce__(self) -> tuple[Callable[..., "RefSavError"], tuple[Any, ...], dict[str, Any]]:
        """Survive the way out of another process; Python would call the class with the message as its only argument."""
        return type(self)._restored, self.args, self.__dict__

    @classmethod
    def _restored(cls, *args: Any) -> Self:  # noqa: ANN401 - what an exception holds
        return cls.__new__(cls, *args)


class ConfigError(RefSavError):
    """A configuration that cannot be used; raised before any work is done."""


class RecordError(RefSavError):
    """Something on disk that cannot be used: one file, one place in it, one problem, one fix."""

    path: Path

    def __init__(self, path: Path, where: str, problem: str, fix: str) -> None:
        super().__init__(problem, fix=fix, path=path, where=where)

    def line_below(self, root: Path) -> str:
        """The error on one line, with its path relative to `root`: a record reads the same wherever a source lies."""
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        return RecordError(path, self.where, self.problem, self.fix).line
