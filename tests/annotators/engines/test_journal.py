"""Replies that were paid for are found again, wherever a kill cut the file."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.engines.engine import Reply
from refsav.annotators.engines.journal import Journal, read_entries
from refsav.disk.files import DiskError
from refsav.disk.lock import LockedError
from refsav.errors import RecordError

REPLIES = st.builds(
    Reply,
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    finish_reason=st.sampled_from(["stop", "length"]),
    prompt_tokens=st.integers(0, 9999),
    completion_tokens=st.integers(0, 9999),
    confidence=st.floats(0, 1),
    seconds=st.floats(0, 100),
)


@given(replies=st.lists(REPLIES, min_size=1, max_size=5), data=st.data())
def test_a_journal_cut_anywhere_keeps_every_complete_line_and_resumes(
    tmp_path_factory: pytest.TempPathFactory, replies: list[Reply], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "bundle-000000.jsonl"
    journal = Journal(path)
    for number, reply in enumerate(replies):
        journal.append(str(number), "scene", reply)
    journal.close()
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")

    again = Journal(path)
    found = [again.find(str(number)) for number in range(len(replies))]
    assert found == [*replies[:whole], *[None] * (len(replies) - whole)]
    for number in range(whole, len(replies)):
        again.append(str(number), "scene", replies[number])
    again.close()
    assert path.read_bytes() == content


def test_entries_know_their_stage(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.append("x", "judge-reason", Reply(text="", finish_reason="stop", prompt_tokens=3, completion_tokens=0))
    journal.close()
    (entry,) = read_entries(tmp_path / "a.jsonl")
    assert (entry["stage"], entry["prompt_tokens"]) == ("judge", 3)


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"digest": "x"}\n{}\n')
    with pytest.raises(RecordError, match="line 1: is damaged"):
        Journal(path)


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    journal = Journal(tmp_path / "a.jsonl")
    journal._stream = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - the disk fills up
    with pytest.raises(DiskError, match="No space left"):
        journal.append("x", "judge", Reply(text="a", finish_reason="stop", prompt_tokens=0, completion_tokens=0))
    assert journal.find("x") is None


def test_a_journal_is_written_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    holder = Journal(path)
    monkeypatch.setattr("refsav.annotators.engines.journal.GIVEN_BACK_WITHIN_S", 0.0)
    with pytest.raises(LockedError, match="another process is writing to it"):
        Journal(path)
    holder.close()
    Journal(path).close()


def test_a_journal_that_is_given_back_late_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    holder = Journal(path)
    threading.Timer(0.3, holder.close).start()
    Journal(path).close()
