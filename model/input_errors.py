"""Errors of a model's input that lies in memory; of what lies on disk, RecordError tells."""

from refsav.errors import RefSavError

FETCH_AGAIN = "copy or download the file again"


class InputError(RefSavError):
    """An input that a model cannot be given: one problem, one fix."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}\n  fix: {fix}")

    @property
    def line(self) -> str:
        """The error on one line, as it is kept in records and logs."""
        return str(self).replace("\n  fix: ", "; fix: ")
