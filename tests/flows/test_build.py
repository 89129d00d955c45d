"""A build's life: stopped by a full disk and retried, repeated, grown; and a source of which nothing comes."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from refsav.flows.build import build_ref_sav
from refsav.flows.config.build import BuildConfig
from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]

SMALL = ("--views.longest_side_px", "320", "--views.frames", "4")


@pytest.fixture(scope="module")
def undisturbed(copy_clips: CopyClips, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - it runs there
    """A run of the same videos that nothing has happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    source = copy_clips(folder / "source", "vos_000001", "vos_000002")
    config = BuildConfig.from_mapping({"views": {"longest_side_px": 320, "frames": 4}}, "test")
    build_ref_sav(source, folder / "run", config)
    return folder / "run"


@pytest.fixture
def source(copy_clips: CopyClips, tmp_path: Path) -> Path:
    return copy_clips(tmp_path / "source", "vos_000001", "vos_000002")


def content(run: Path) -> dict[str, bytes]:
    """Every file that a build leaves for others, by name."""
    folders = ("expressions", "dropped", "failed", "unreadable", "measures", "shards", "exports", "journal")
    files = [path for name in folders for path in sorted((run / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in [*files, run / "splits.parquet"]}


@contextmanager
def disk_with_room_for(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow larger: what a full disk does to a writer, wherever it stands."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_clear_line_at_any_step_and_the_build_resumes_from_there(
    command: Command, source: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sizes = {name: len(written) for name, written in content(undisturbed).items()}
    part = sizes["expressions/bundle-000000.parquet"]
    journal = sizes["journal/bundle-000000.jsonl"]
    struck = []
    for room in (journal // 2, (part + journal) // 2, max(part, journal) + 1000):
        with disk_with_room_for(room):
            stopped = command("build", source, run, *SMALL)
        assert stopped.code == 1
        error = stopped.err.partition("error: ")[2]
        assert error.count("\n") == 2, stopped.err
        assert f"{run}/" in error
        assert "cannot be written: File too large" in error
        assert "\n  fix: free space or choose another place, then run the same command again" in error
        assert list(run.rglob("*.part")) == []
        struck.append(error.partition(f"{run}/")[2].partition("/")[0])
    assert struck == ["journal", "expressions", "shards"]
    assert command("build", source, run, *SMALL).code == 0
    before, after = content(undisturbed), content(run)
    assert after.keys() == before.keys()
    assert [name for name in before if before[name] != after[name] and not name.startswith("journal")] == []


def test_a_source_of_which_nothing_can_be_read_fails_the_command(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for path in source.glob("*.mp4"):
        path.write_bytes(path.read_bytes()[:1000])
    (source / "vos_000002_manual.json").write_text("{")
    run = tmp_path / "run"
    failed = command("build", source, run, *SMALL)
    assert failed.code == 1
    assert "2 objects = 0 expressions + 0 dropped + 2 failed" in failed.out
    assert "vos_000002_manual.json:line 1 column 2: is not valid JSON" in failed.out
    assert f"error: {source}: no object could be captioned\n  fix: see the problems above" in failed.err
    assert len(read_problems(RunDirectory(run))) == 2

    still = command("retry", run)
    assert still.code == 1
    assert "2 objects = 0 expressions + 0 dropped + 2 failed" in still.out


def test_a_list_without_any_video_is_an_error_and_unknown_ids_of_a_list_are_reported(
    command: Command, source: Path, tmp_path: Path
) -> None:
    run, ids = tmp_path / "run", tmp_path / "ids.txt"
    ids.write_text("d.mp4\na.mp4\nb.mp4\nc.mp4\n")
    refused = command("build", source, run, *SMALL, "--source.videos", ids)
    assert refused.code == 1
    assert f"error: {ids}: names no video of {source} that can be used (a.mp4, b.mp4, c.mp4, …)\n  fix: " in refused.err
    assert not run.exists()

    ids.write_text("vos_000002\nvos_000009\n")
    partly = command("build", source, run, *SMALL, "--source.videos", ids)
    assert (partly.code, "1 objects = 1 expressions" in partly.out) == (0, True)
    assert [line.partition("; fix: ")[0] for line in read_problems(RunDirectory(run))] == [
        "ids.txt: vos_000009: the source has no video with this id"
    ]


def test_what_failed_is_retried_once_it_is_mended(
    command: Command, copy_clips: CopyClips, source: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (source / "vos_000001.mp4").unlink()
    broken = command("build", source, run, *SMALL)
    assert (broken.code, "3 objects = 1 expressions + 0 dropped + 2 failed" in broken.out) == (0, True)
    assert f"refsav retry {run}" in broken.out
    copy_clips(source, "vos_000001")
    mended = command("retry", run)
    assert mended.code == 0
    assert "retrying 2 failed objects" in mended.err
    assert "3 objects = 3 expressions + 0 dropped + 0 failed" in mended.out
    assert "refsav retry" not in mended.out
    assert not RunDirectory(run).problems.exists()
    before, after = content(undisturbed), content(run)
    assert [name for name in before if before[name] != after.get(name) and not name.startswith("journal")] == []


def test_a_finished_build_is_left_alone_and_a_grown_source_adds_to_it(
    command: Command, copy_clips: CopyClips, source: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert command("build", source, run, *SMALL).code == 0
    before = content(run)
    assert command("build", source, run, *SMALL).code == 0
    assert content(run) == before

    (source / "more").mkdir()
    for path in copy_clips(tmp_path / "clips", "vos_000002").iterdir():
        grown = path.name.replace("vos_000002", "vos_000003")
        shutil.copy(path, source / "more" / grown)
    path = source / "more/vos_000003_manual.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "video_id": "vos_000003"}))
    more = command("build", source, run, *SMALL)
    assert "4 objects = " in more.out
    after = content(run)
    parts = [name for name in before if "bundle-000000" in name]
    assert [name for name in parts if before[name] != after[name]] == []
    assert "expressions/bundle-000001.parquet" in after


def test_report_and_stats_work_on_what_is_there(command: Command, undisturbed: Path) -> None:
    run = undisturbed
    stats = run.joinpath("stats.json").read_bytes()
    shutil.rmtree(run / "report")
    drawn = command("report", run)
    assert (drawn.code, (run / "report/index.html").is_file()) == (0, True)
    counted = command("stats", run)
    assert counted.code == 0
    assert "3 objects = 3 expressions" in counted.out
    assert run.joinpath("stats.json").read_bytes() == stats
    assert "not finished" not in drawn.out + counted.out


def test_report_and_stats_of_a_stopped_build_say_what_is_still_to_do(
    command: Command, source: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run [x]"  # no markup
    assert command("build", source, run, *SMALL, "--runner.bundle_videos", "1").code == 0
    for part in run.glob("*/bundle-000001.parquet"):
        part.unlink()
    shutil.rmtree(run / "report")
    drawn, counted = command("report", run), command("stats", run)
    for finished in (drawn, counted):
        assert finished.code == 0, finished.err
        reported = "not finished: 1 of 2 videos (1 of 2 bundles) are not done yet; the same build resumes"
        assert reported in finished.out
    assert "2 objects = 2 expressions" in counted.out
    assert f"gallery: {run}/report/index.html\n" in drawn.out
    assert f"statistics: {run}/stats.json\n" in counted.out
    assert [path.name for path in sorted((run / "report/data").glob("bundle-*"))] == ["bundle-000000.js"]
