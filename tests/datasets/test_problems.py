"""Every problem of a run is one line of problems.txt, once, with what it cost."""

from pathlib import Path

from refsav.datasets.parts import write_parts
from refsav.datasets.problems import read_problems, write_problems
from refsav.datasets.records import Failed, ObjectKey, Unreadable
from refsav.datasets.run import RunDirectory

MISSING = "/videos/b.mp4: the video is missing; fix: put it beside its annotations"


def failed(video_id: str, masklet_id: int, error: str) -> Failed:
    key = ObjectKey(video_id, "manual", masklet_id)
    return Failed(key=key, column=masklet_id, stage="source", error=error, request_digest="")


def write(run: RunDirectory, lost: list[Failed], unreadable: list[Unreadable]) -> None:
    write_parts(run, "bundle-000000", expressions=[], dropped=[], failed=lost, unreadable=unreadable)


def test_each_problem_stands_once_with_its_objects(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    lost = [failed("b", 0, MISSING), failed("b", 1, MISSING), failed("c", 0, "/videos/c.json: is bad; fix: mend it")]
    write(run, lost, [Unreadable(path="a.mp4", error="a.mp4: has no annotations; fix: add them")])
    write_problems(run)
    assert read_problems(run) == [
        f"{MISSING} (2 objects)",
        "/videos/c.json: is bad; fix: mend it (1 object)",
        "a.mp4: has no annotations; fix: add them",
    ]


def test_a_run_that_is_whole_again_has_no_problems_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, [failed("b", 0, MISSING)], [])
    write_problems(run)
    assert run.problems.is_file()
    write(run, [], [])
    write_problems(run)
    assert not run.problems.exists()
    assert read_problems(run) == []
