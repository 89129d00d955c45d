"""A folder and its storage: changes and removals on one side reach the other, in a safe order."""

import os
from pathlib import Path

import fsspec
import pytest

from refsav.datasets.run.storage import Storage, StorageError
from refsav.datasets.run.stored_run import StoredRun
from refsav.disk.files import DiskError
from refsav.errors import ConfigError
from refsav.extras import MissingExtraError

PART, DONE, MARK = "expressions/bundle-000000.parquet", "failed/bundle-000000.parquet", "failed/bundle-000000.retry"
JOURNAL = "journal/bundle-000000.jsonl"
RUN = {"run.toml": "a", PART: "1", DONE: "2", JOURNAL: "x\n", "shards/train/.a.tar.json": "{}"}
PASSING = {".lock": "process 1", "expressions/.bundle-000001.parquet.k3.part": "half", ".state/part-digests.json": "{}"}


class Machine:
    """A machine with a folder of its own, and the storage that all share."""

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder = folder
        self._shared = shared

    def write(self, files: dict[str, str]) -> "Machine":
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def begins(self) -> StoredRun:
        stored = StoredRun(Storage(str(self._shared)), self.folder)
        stored.pull()
        return stored

    def builds(self, files: dict[str, str], removed: tuple[str, ...] = ()) -> "Machine":
        stored = self.begins()
        self.write(files)
        for name in removed:
            (self.folder / name).unlink()
        stored.push()
        stored.save_record()
        return self

    def files(self) -> dict[str, str]:
        return files_in(self.folder)


def files_in(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    return {name: text for name, text in files.items() if name not in (*PASSING, ".state/stored.json")}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def one(tmp_path: Path, shared: Path) -> Machine:
    return Machine(tmp_path / "one", shared)


@pytest.fixture
def two(tmp_path: Path, shared: Path) -> Machine:
    return Machine(tmp_path / "two", shared)


def test_an_empty_folder_is_filled_and_temporary_files_stay_local(one: Machine, two: Machine, shared: Path) -> None:
    one.write(PASSING).builds(RUN)
    assert files_in(shared) == RUN
    assert not any((shared / name).exists() for name in (*PASSING, ".state/stored.json"))
    assert two.builds({}).files() == RUN


def test_changes_and_removals_reach_the_other_machine_and_are_not_undone(
    one: Machine, two: Machine, shared: Path
) -> None:
    one.builds(RUN)
    two.builds({PART: "other"}, removed=(DONE,))
    then = {name: text for name, text in RUN.items() if name != DONE} | {PART: "other"}
    assert files_in(shared) == then
    assert one.builds({}).files() == then == two.builds({}).files() == files_in(shared)


def test_if_both_have_changed_the_storage_wins_except_for_a_longer_journal(
    one: Machine, two: Machine, shared: Path
) -> None:
    one.builds(RUN)
    two.builds({PART: "of two", JOURNAL: "x\ny\n"})
    one.write({PART: "of one", JOURNAL: "x\ny\nz\n", DONE: "by hand"}).builds({})
    assert files_in(shared) == one.files() == {**RUN, PART: "of two", JOURNAL: "x\ny\nz\n", DONE: "by hand"}


def test_review_answers_that_both_have_changed_are_not_lost(one: Machine, two: Machine) -> None:
    answers = "review/answers.jsonl"
    one.builds({**RUN, answers: "a\n"})
    two.builds({answers: "a\nof two\n"})
    one.write({answers: "a\nof one\n"})
    with pytest.raises(ConfigError, match=r"answers\.jsonl: has changed both here and in .*\n  fix: move"):
        one.begins()
    assert one.files()[answers] == "a\nof one\n"
    (one.folder / answers).rename(one.folder.parent / "mine")
    assert one.builds({}).files()[answers] == "a\nof two\n"


def test_a_bundle_is_never_done_in_the_storage_before_all_else_is_there(one: Machine, shared: Path) -> None:
    (shared / PART).mkdir(parents=True)  # nothing can be written there
    stored = one.begins()
    one.write({**RUN, MARK: "before"})
    with pytest.raises(DiskError):
        stored.push()
    assert DONE not in files_in(shared)
    assert "run.toml" not in files_in(shared)
    (shared / PART).rmdir()
    one.builds({}, removed=(MARK,))
    assert files_in(shared) == RUN


def test_a_bundle_that_is_opened_again_is_open_there_before_its_parts_change(one: Machine, shared: Path) -> None:
    stored = one.builds(RUN).begins()
    one.write({PART: "less", MARK: "2"})
    (one.folder / DONE).unlink()
    (shared / PART).unlink()
    (shared / PART).mkdir()
    with pytest.raises(DiskError):
        stored.push()
    assert MARK in files_in(shared)
    assert DONE not in files_in(shared)


def test_a_part_of_a_run_can_be_pulled_and_pushed(one: Machine, two: Machine, shared: Path) -> None:
    one.builds({**RUN, MARK: "before"})
    stored = StoredRun(Storage(str(shared)), two.folder)
    stored.pull((PART, MARK, "failed/missing.parquet", "shards/"))
    assert two.files().keys() == {PART, MARK, "shards/train/.a.tar.json"}
    two.write({PART: "new", "stats.json": "{}"})
    (two.folder / MARK).unlink()
    stored.push((PART, MARK))
    assert files_in(shared) == {**RUN, PART: "new"}


def test_a_storage_that_was_emptied_is_filled_again_and_nothing_here_is_lost(one: Machine, shared: Path) -> None:
    one.builds(RUN)
    for name in RUN:
        (shared / name).unlink()
    assert one.builds({}).files() == RUN == files_in(shared)


def test_two_runs_are_not_mixed_up(one: Machine, two: Machine) -> None:
    one.builds(RUN)
    two.write({"run.toml": "another"})
    with pytest.raises(ConfigError, match=r"holds a run, and .* another"):
        two.begins()
    assert two.files() == {"run.toml": "another"}


def test_a_folder_of_other_files_is_no_storage(one: Machine, shared: Path) -> None:
    shared.mkdir()
    (shared / "thesis.tex").write_text("years")
    with pytest.raises(ConfigError, match=r"holds no run, but other files, for example thesis\.tex"):
        one.begins()


def test_a_touched_file_with_the_same_content_stays_the_same(one: Machine, two: Machine, shared: Path) -> None:
    one.builds(RUN)
    os.utime(one.folder / PART, ns=(1, 1))
    one.builds({})
    assert two.builds({}).files() == RUN == files_in(shared)


def test_unusable_storage_is_reported_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"runner\.storage = 'xyz://b': Protocol not known: xyz"):
        Storage("xyz://b")
    with pytest.raises(StorageError, match=r"does not exist: .*\n  fix: create the bucket"):
        Storage(str(tmp_path)).read_json("missing.json")


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.pipe_file("/elsewhere/run.toml", b"")
    bucket.store["/elsewhere/../../evil"] = bucket.store["/elsewhere/run.toml"]
    with pytest.raises(StorageError, match=r"leads out of the folder: '\.\./\.\./evil'"):
        StoredRun(Storage("memory://elsewhere"), tmp_path / "run").pull()
    assert [*tmp_path.iterdir()] == []


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refsav.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"s3fs: not installed.*\n  fix: pip install 'refsav\[s3\]'"):
        Storage("s3://bucket/run")
