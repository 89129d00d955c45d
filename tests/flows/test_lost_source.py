"""The same build again over a source that has lost its videos: nothing that was made is lost with them."""

from collections.abc import Callable
from pathlib import Path

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]

SMALL = ("--views.longest_side_px", "320", "--views.frames", "4")


def made(run: Path) -> dict[str, bytes]:
    """Shards, training file, evaluation set and the gallery's pictures."""
    folders = ("shards", "exports", "report/data", "report/media")
    files = [path for name in folders for path in sorted((run / name).rglob("*")) if path.is_file()]
    content = {str(path.relative_to(run)): path.read_bytes() for path in files}
    reported = ("exports/report.json", ".tar.json")  # where it stands that the source has lost them
    return {name: told_there for name, told_there in content.items() if not name.endswith(reported)}


def test_what_was_made_of_videos_stays_when_the_source_has_lost_them(
    command: Command, copy_clips: CopyClips, tmp_path: Path
) -> None:
    source, run = copy_clips(tmp_path / "source", "vos_000001", "vos_000002"), tmp_path / "run"
    assert command("build", source, run, *SMALL).code == 0
    before = made(run)
    assert {Path(name).suffix for name in before} >= {".tar", ".jpg", ".js", ".json", ".mp4"}
    for media in source.glob("*.mp4"):
        media.rename(tmp_path / media.name)
    again = command("build", source, run, *SMALL)
    assert again.code == 0
    assert made(run) == before
    lines = read_problems(RunDirectory(run))
    assert [line.partition(";")[0] for line in lines] == ["the video is not in the source any more"] * 2
    assert any(line.endswith("(1 video still in shards/train: vos_000001)") for line in lines)
    assert any(line.endswith("still in shards/val-long and exports/ref_sav_eval: vos_000002)") for line in lines)
    for media in tmp_path.glob("*.mp4"):
        media.rename(source / media.name)
    assert command("build", source, run, *SMALL).code == 0
    assert made(run) == before
    assert read_problems(RunDirectory(run)) == []
