"""Errors that a user can act on: each says which file, where in it, what is wrong and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self


class RefSavError(Exception):
    """Base of every error that RefSAV raises on purpose; the command line prints it without a stack trace."""

    def __reduce__(self) -> tuple[Callable[..., "RefSavError"], tuple[Any, ...], dict[str, Any]]:
        """Come whole out of another process; Python would call the class with the message as its only argument."""
        return type(self)._told, self.args, self.__dict__

    @classmethod
    def _told(cls, *args: Any) -> Self:  # noqa: ANN401 - what an exception holds
        return cls.__new__(cls, *args)


class ConfigError(RefSavError):
    """A configuration that cannot be used; raised before any work is done."""


class RecordError(RefSavError):
    """Something on disk that cannot be used: one file, one place in it, one problem, one fix."""

    def __init__(self, path: Path, where: str, problem: str, fix: str) -> None:
        self.path = path
        self.where = where
        self.problem = problem
        self.fix = fix
        place = f"{path}:{where}" if where else str(path)
        super().__init__(f"{place}: {problem}\n  fix: {fix}")

    @property
    def line(self) -> str:
        """The error on one line, as it is kept in records and logs."""
        return str(self).replace("\n  fix: ", "; fix: ")

    def line_below(self, root: Path) -> str:
        """The error on one line, with its path relative to `root`: a record says the same wherever a source lies."""
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        return RecordError(path, self.where, self.problem, self.fix).line
