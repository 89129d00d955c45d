"""Errors in a model's input in memory; errors in files are RecordErrors."""

from refsav.errors import RefSavError

FETCH_AGAIN = "copy or download the file again"


class InputError(RefSavError):
    """An input that a model cannot process: one problem, one fix."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix=fix)
