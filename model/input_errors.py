"""Errors in a model's input in memory; RecordError reports what is on disk."""

from refsav.errors import RefSavError

FETCH_AGAIN = "copy or download the file again"


class InputError(RefSavError):
    """An input that a model cannot be given: one problem, one fix."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix=fix)
