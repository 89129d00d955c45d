"""Pickles of plain data are read in every protocol; the name of anything that could run code is in the error."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.external.safe_pickle import read_plain_pickle
from refsav.errors import RecordError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def stored(folder: Path, content: bytes) -> Path:
    path = folder / "masks.pkl"
    path.write_bytes(content)
    return path


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, value: object, protocol: int
) -> None:
    path = stored(tmp_path_factory.getbasetemp(), pickle.dumps(value, protocol))
    assert read_plain_pickle(path) == value


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    # what Python 2's pickle.dumps({"sent": "a caf\xc3\xa9", u"id": 3L}) writes
    content = b"(dp0\nS'sent'\np1\nS'a caf\\xc3\\xa9'\np2\nsVid\np3\nL3L\ns."
    assert read_plain_pickle(stored(tmp_path, content)) == {"sent": "a café", "id": 3}


class RunsACommand:
    def __reduce__(self):
        return os.system, ("echo this must not be seen > ran.txt",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_not_run_and_what_was_wanted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = stored(tmp_path, pickle.dumps([1, RunsACommand()], protocol))
    with pytest.raises(RecordError, match=r"masks\.pkl: holds (posix|nt)\.system, which is not plain data"):
        read_plain_pickle(path)
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.zeros(3), "numpy"),
        (OrderedDict(a=1), "collections.OrderedDict"),
        (print, "builtins.print"),
        (Path(), "pathlib"),
    ],
    ids=["array", "ordered dict", "function", "path"],
)
def test_what_is_not_plain_is_refused(tmp_path: Path, value: object, named: str) -> None:
    with pytest.raises(RecordError, match=f"holds {named}"):
        read_plain_pickle(stored(tmp_path, pickle.dumps(value, 4)))


def test_bytes_are_written_in_one_way_only(tmp_path: Path) -> None:
    content = pickle.dumps(b"\xff", 2).replace(b"latin1", b"zlib__")
    with pytest.raises(RecordError, match="'zlib__'"):
        read_plain_pickle(stored(tmp_path, content))


@given(cut=st.integers(0, 200))
def test_a_truncated_pickle_is_reported(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    whole = pickle.dumps({str(number): [None, {"size": [4, 6], "counts": b"0123"}] for number in range(6)})
    path = stored(tmp_path_factory.getbasetemp(), whole[: min(cut, len(whole) - 1)])
    with pytest.raises(RecordError, match=r"masks\.pkl: is not a complete pickle"):
        read_plain_pickle(path)


def test_a_file_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read_plain_pickle(tmp_path / "refs(unc).p")
