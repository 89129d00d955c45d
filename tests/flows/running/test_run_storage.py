"""A run that is kept in another folder: the same bytes, gone on with from an empty one, nothing comes back to life."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.flows.config.build import RunnerConfig
from refsav.flows.running.run_storage import task_directory
from refsav.flows.running.task_files import bundle_files
from tests.support.command import Finished
from tests.support.run_content import content

Command = Callable[..., Finished]

SMALL = (
    "--split.val_share=0.5",
    "--runner.bundle_videos=2",
    "--shards.videos_per_shard=2",
    "--no-report.preview",
    "--runner.json_logs",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    list(write_scenes(folder, SynthConfig(videos=4, height=120, width=160, frames=16)))
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def build(command: Command, source: Path, tmp_path: Path, kept: Path) -> Callable[..., Path]:
    def built(name: str, *more: str | Path, stored: bool = True) -> Path:
        run = tmp_path / name / "run"
        done = command("build", source, run, *SMALL, *([f"--runner.storage={kept}"] if stored else []), *more)
        assert done.code == 0, done.err
        return run

    return built


def whole(run: Path) -> dict[str, bytes]:
    own = {".lock", ".state/stored.json", ".state/part-digests.json"}
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in own}


def test_the_bytes_are_those_of_a_run_that_is_kept_nowhere_else(build: Callable[..., Path], kept: Path) -> None:
    plain, run = build("plain", stored=False), build("one")
    assert not RunDirectory(plain).stored.exists()
    assert content(run) == content(plain)
    assert whole(kept) == whole(run)


def test_an_empty_folder_is_filled_and_a_grown_source_is_resumed_from_there(
    build: Callable[..., Path], source: Path, kept: Path, tmp_path: Path
) -> None:
    build("one")
    list(write_scenes(source, SynthConfig(videos=6, height=120, width=160, frames=16)))
    run = build("two")
    assert content(run) == content(build("plain", stored=False))
    assert whole(kept) == whole(run)
    assert whole(build("one")) == whole(run)
    assert (tmp_path / "one/run/failed/bundle-000002.parquet").is_file()


def test_what_is_retried_elsewhere_is_not_undone_by_what_was_left_before(
    build: Callable[..., Path], command: Command, source: Path, kept: Path
) -> None:
    video = min(source.rglob("*.mp4"))
    hidden = video.rename(video.with_suffix(".away"))
    first, second = build("one"), build("two")
    failed = json.loads((second / "stats.json").read_text())["failed"]
    assert failed > 0
    hidden.rename(video)
    retried = command("retry", second)
    assert retried.code == 0, retried.err
    assert list(kept.rglob("*.retry")) == []
    assert build("one") == first
    assert json.loads((first / "stats.json").read_text())["failed"] == 0
    assert content(first) == content(second)
    assert whole(first) == whole(kept)


def test_a_part_that_is_deleted_to_be_made_again_is_made_again(build: Callable[..., Path], kept: Path) -> None:
    run = build("one")
    before = content(run)
    part = run / "expressions/bundle-000000.parquet"
    part.write_bytes(part.read_bytes()[:100])
    (run / "failed/bundle-000000.parquet").unlink()
    assert content(build("one")) == before
    assert whole(kept) == whole(run)


def test_a_task_far_away_has_the_files_of_its_bundle_and_gives_back_what_it_makes(
    build: Callable[..., Path], kept: Path
) -> None:
    run = build("one")
    files = bundle_files("bundle-000001")
    with task_directory(run, str(kept), files) as directory:
        assert directory.root != run
        assert whole(directory.root).keys() == {name for name in files.reads if (kept / name).exists()}
        (directory.failed / "bundle-000001.parquet").unlink()
        (directory.root / "stats.json").write_text("{}")
    assert not (kept / "failed/bundle-000001.parquet").exists()
    assert (kept / "stats.json").read_text() != "{}"
    assert not directory.root.exists()
    assert list((kept / ".leases").rglob("*.json")) == []


def test_nothing_is_kept_elsewhere_without_a_storage() -> None:
    assert RunnerConfig().storage == ""
