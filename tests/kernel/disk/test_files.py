"""Files appear whole or not at all; a run directory has one writer."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from refsav.disk.files import DiskError, appearing, remove_unfinished, write_bytes, write_text
from refsav.disk.lock import LockedError, exclusive


def test_a_file_that_fails_half_way_leaves_the_old_one_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), appearing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes | list[str]]]:
    """What a power cut cannot take any more, in the order in which it was given to the disk."""
    seen: list[tuple[str, bytes | list[str]]] = []
    to_disk = os.fsync

    def watched(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        seen.append((path.name, sorted(entry.name for entry in path.iterdir()) if path.is_dir() else path.read_bytes()))
        to_disk(handle)

    monkeypatch.setattr(os, "fsync", watched)
    return seen


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_bytes_are_on_the_disk_before_their_name_and_the_name_before_the_work_continues(
    tmp_path: Path, flushed: list[tuple[str, bytes | list[str]]]
) -> None:
    write_text(tmp_path / "new/a.txt", "whole")
    (_, folder), (temporary, content), named = flushed
    assert folder == ["new"]
    assert temporary.endswith(".part")
    assert content == b"whole"
    assert named == ("new", ["a.txt"])


def test_what_is_made_again_from_other_files_does_not_wait_for_the_disk(
    tmp_path: Path, flushed: list[tuple[str, bytes | list[str]]]
) -> None:
    write_bytes(tmp_path / "media/a.jpg", b"picture", durable=False)
    assert (tmp_path / "media/a.jpg").read_bytes() == b"picture"
    assert flushed == []


def test_a_disk_that_does_not_take_the_bytes_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def broken(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(DiskError, match="cannot be written: Input/output error"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_half_written_is_taken_off_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "shards/a.tar"
    write_text(path, "whole")
    code = (
        "import os, sys; from pathlib import Path; from refsav.disk.files import appearing\n"
        "with appearing(Path(sys.argv[1])) as temporary: os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    assert len(list(path.parent.iterdir())) == 2
    remove_unfinished(tmp_path)
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/a\.txt: cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EACCES, "choose a place that you may write to"),
        (errno.EPERM, "choose a place that you may write to"),
        (errno.EROFS, "choose a place that you may write to"),
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.ENOTDIR, "choose another place"),
    ],
)
def test_the_advice_fits_what_the_system_says(number: int, fix: str) -> None:
    reported = str(DiskError(Path("a.txt"), OSError(number, "")))
    assert f": {os.strerror(number)}\n  fix: {fix}" in reported


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_reported_with_a_fix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(DiskError, match="No space left on device") as caught, appearing(path) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_text("x")
    assert "run the same command again" in str(caught.value)


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from refsav.disk.lock import exclusive\n"
            "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid} on"), exclusive(tmp_path):
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with exclusive(tmp_path):  # the lock died with its holder
        pass
