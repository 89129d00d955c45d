"""Errors come whole out of another process, with the words and everything that is looked at."""

import pickle
from pathlib import Path

import pytest

from refsav.annotators.engines.engine import ServersDownError
from refsav.annotators.stages.describe import StageFailedError
from refsav.disk.files import DiskError
from refsav.errors import ConfigError, RecordError, RefSavError
from refsav.processes.cancellation import StoppedError


@pytest.mark.parametrize(
    "error",
    [
        RecordError(Path("a.json"), "row 3", "is empty", "fill it"),
        DiskError(Path("part"), OSError(28, "")),
        ServersDownError("http://127.0.0.1:1/v1 does not answer\n  fix: start it"),
        StageFailedError("scene", "no reply", "0" * 64),
        ConfigError("unknown key"),
        StoppedError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_out_of_another_process(error: RefSavError) -> None:
    after = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, as Ray sends them
    assert (type(after), str(after), after.args, vars(after)) == (type(error), str(error), error.args, vars(error))


@pytest.mark.parametrize(
    ("error", "message", "line"),
    [
        (RefSavError("is empty"), "is empty", "is empty"),
        (RefSavError("is empty", fix="fill it"), "is empty\n  fix: fill it", "is empty; fix: fill it"),
        (ConfigError("is no key", path="http://host/v1"), "http://host/v1: is no key", "http://host/v1: is no key"),
        (
            RefSavError("is empty", fix="fill it", path=Path("a.json"), where="row 3"),
            "a.json:row 3: is empty\n  fix: fill it",
            "a.json:row 3: is empty; fix: fill it",
        ),
        (
            RecordError(Path("a.json"), "", "is empty", "fill it"),
            "a.json: is empty\n  fix: fill it",
            "a.json: is empty; fix: fill it",
        ),
    ],
)
def test_a_message_names_path_place_problem_and_fix(error: RefSavError, message: str, line: str) -> None:
    assert (str(error), error.line) == (message, line)
