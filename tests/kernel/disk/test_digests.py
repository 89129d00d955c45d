"""Digests are kept: a file is read again only when its size or time says so, and what was before can be asked for."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from refsav.disk.digests import Digests
from refsav.errors import RecordError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "source/a.json"
    path.parent.mkdir()
    path.write_text("one")
    return path


def opened(tmp_path: Path) -> Digests:
    return Digests(tmp_path / "kept.json", tmp_path / "source")


def test_a_file_has_its_sha256_and_nothing_before(tmp_path: Path, file: Path) -> None:
    digests = opened(tmp_path)
    assert digests.of(file) == sha256(b"one").hexdigest()
    assert digests.before(file) == ""
    digests.keep()
    assert opened(tmp_path).before(file) == sha256(b"one").hexdigest()


def test_a_file_of_the_same_size_and_time_is_not_read_again(tmp_path: Path, file: Path) -> None:
    digests = opened(tmp_path)
    digests.of(file)
    digests.keep()
    then = file.stat().st_mtime_ns
    file.write_text("two")
    os.utime(file, ns=(then, then))
    assert opened(tmp_path).of(file) == sha256(b"one").hexdigest()
    os.utime(file, ns=(then, then + 1))
    assert opened(tmp_path).of(file) == sha256(b"two").hexdigest()


def test_a_folder_is_its_files_and_their_names(tmp_path: Path, file: Path) -> None:
    folder = file.parent
    digests = {opened(tmp_path).of(folder)}
    file.rename(folder / "b.json")
    digests.add(opened(tmp_path).of(folder))
    (folder / "c.json").write_text("")
    digests.add(opened(tmp_path).of(folder))
    assert len(digests) == 3


def test_what_was_known_of_a_file_that_is_gone_stays(tmp_path: Path, file: Path) -> None:
    digests = opened(tmp_path)
    digests.of(file)
    digests.keep()
    file.unlink()
    later = opened(tmp_path)
    with pytest.raises(RecordError, match=r"a\.json: cannot be read"):
        later.of(file)
    later.keep()
    assert opened(tmp_path).before(file) == sha256(b"one").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a.json": [1]}', b"\xff"])
def test_a_damaged_record_costs_reading_everything_once(tmp_path: Path, file: Path, content: bytes) -> None:
    (tmp_path / "kept.json").write_bytes(content)
    digests = opened(tmp_path)
    assert digests.before(file) == ""
    assert digests.of(file) == sha256(b"one").hexdigest()
    digests.keep()
    assert opened(tmp_path).before(file) != ""
