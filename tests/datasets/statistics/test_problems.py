"""Every problem of a run is one line of problems.txt, once, with what it cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from refsav.datasets.official.export_report import ExportReport, write_reports
from refsav.datasets.records import Expression, Failed, ObjectKey, Unreadable, VideoFile
from refsav.datasets.run.parts import write_parts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import VideoObjects
from refsav.datasets.shards.index import SkippedVideo
from refsav.datasets.shards.plan import ShardConfig, ShardPlan
from refsav.datasets.shards.writer import write_shard
from refsav.datasets.statistics.problems import read_problems, write_problems

MakeExpression = Callable[..., Expression]
MISSING = "/videos/b.mp4: the video is missing; fix: put it next to its annotations"


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


def report(run: RunDirectory, name: str, *skipped: tuple[str, str]) -> ExportReport:
    reported = tuple(SkippedVideo(video_id=video_id, error=error) for video_id, error in skipped)
    return ExportReport(path=run.exports / name, videos=0, objects=0, skipped=reported)


def test_a_reason_that_holds_for_many_videos_is_one_line_with_their_number(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    reason = "the source is folders of frames; Ref-SAV.json names mp4 files"
    write_reports(run, [report(run, "Ref-SAV.json", *((f"v{number:02d}", reason) for number in range(37)))])
    write_problems(run)
    assert read_problems(run) == [f"{reason} (37 videos left out of exports/Ref-SAV.json: v00, v01, v02, …)"]


def test_a_video_that_shards_and_an_export_are_without_is_reported_once_with_both(
    tmp_path: Path, make_expression: MakeExpression
) -> None:
    run = RunDirectory(tmp_path)
    broken = VideoFile(video_id="v", media=tmp_path / "v.mp4", annotations=(), folder="")
    plan = ShardPlan(shards="val-long", number=0, videos=(broken,), parts=(run.expressions / "bundle-000000.parquet",))
    write_parts(run, "bundle-000000", expressions=[make_expression(video_id="v")], dropped=[], failed=[], unreadable=[])
    (skipped,) = write_shard(run, plan, ShardConfig()).skipped
    write_reports(run, [report(run, "ref_sav_eval", (skipped.video_id, skipped.error))])
    write_problems(run)
    (line,) = read_problems(run)
    assert "v.mp4: the video is missing; fix: " in line
    assert line.endswith("(1 video left out of shards/val-long and exports/ref_sav_eval: v)")


def test_a_video_that_only_the_shards_have_left_is_reported(
    tmp_path: Path,
    make_expression: MakeExpression,
    copy_clips: Callable[..., Path],
    real_videos: dict[str, VideoObjects],
) -> None:
    run = RunDirectory(tmp_path / "run")
    objects = real_videos["vos_000002"]
    media = copy_clips(tmp_path / "source", "vos_000002") / "vos_000002.mp4"
    video = replace(objects.video, media=media)
    described = [make_expression(track) for track in objects.tracks]
    write_parts(run, "bundle-000000", expressions=described, dropped=[], failed=[], unreadable=[])
    part = run.expressions / "bundle-000000.parquet"
    plan = ShardPlan(shards="train", number=0, videos=(video,), parts=(part,))
    write_shard(run, plan, ShardConfig())
    write_problems(run)
    assert read_problems(run) == []
    media.rename(tmp_path / "elsewhere.mp4")
    write_shard(run, plan, ShardConfig())
    write_problems(run)
    (line,) = read_problems(run)
    assert line.startswith("the video is not in the source any more; fix: ")
    assert line.endswith("(1 video still in shards/train: vos_000002)")
    (tmp_path / "elsewhere.mp4").rename(media)
    write_shard(run, plan, ShardConfig())
    write_problems(run)
    assert read_problems(run) == []


def test_a_run_that_is_whole_again_has_no_problems_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(run, [failed("b", 0, MISSING)], [])
    write_problems(run)
    assert run.problems.is_file()
    write(run, [], [])
    write_problems(run)
    assert not run.problems.exists()
    assert read_problems(run) == []
