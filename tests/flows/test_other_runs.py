"""What a run is not: the run of another source, of another file, of a build, or of an import."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]
SMALL = ("--views.longest_side_px", "320", "--views.frames", "4")


@pytest.fixture
def source(copy_clips: CopyClips, tmp_path: Path) -> Path:
    return copy_clips(tmp_path / "source", "vos_000001", "vos_000002")


@pytest.fixture
def built(command: Command, source: Path, tmp_path: Path) -> Path:
    run = tmp_path / "built"
    (source / "vos_000002.mp4").rename(tmp_path / "away.mp4")
    assert command("build", source, run, *SMALL).code == 0
    return run


def content(run: Path) -> dict[str, bytes]:
    paths = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("subcommand", ["build", "import"])
def test_a_run_is_not_touched_by_another_source(
    command: Command, copy_clips: CopyClips, built: Path, tmp_path: Path, subcommand: str
) -> None:
    other = copy_clips(tmp_path / "other", "vos_000002")
    before = content(built)
    if subcommand == "build":
        refused = command("build", other, built, *SMALL)
        assert f"started with the source {tmp_path / 'source'}, and {other} lacks 1 of its 2 videos" in refused.err
        assert "the first is vos_000001" in refused.err
    else:
        refused = command("import", built / "exports/Ref-SAV.json", other, built)
        assert "belongs to a build" in refused.err
    assert refused.code == 1
    assert "fix: " in refused.err
    assert content(built) == before


def test_a_source_may_move_as_a_whole(command: Command, built: Path, source: Path, tmp_path: Path) -> None:
    moved = source.rename(tmp_path / "moved")
    assert command("build", moved, built, *SMALL).code == 0
    assert str(moved) in built.joinpath("run.toml").read_text()


def test_retry_changes_nothing_until_it_can_work(command: Command, built: Path, source: Path) -> None:
    before = content(built)
    (hidden := source.with_name("hidden")).mkdir()
    shutil.move(source, hidden)
    refused = command("retry", built)
    assert refused.code == 1
    assert content(built) == before
    assert command("stats", built).code == 0


def test_an_imported_run_is_retried_by_importing_again_and_by_nothing_else(
    command: Command, built: Path, source: Path, tmp_path: Path
) -> None:
    texts, run = built / "exports/Ref-SAV.json", tmp_path / "imported"
    away = source / "vos_000001.mp4"
    away.rename(tmp_path / "vos_000001.mp4")
    first = command("import", texts, source, run)
    assert "refsav retry" not in first.out + first.err
    (tmp_path / "vos_000001.mp4").rename(away)
    for subcommand in (("retry", run), ("build", source, run)):
        refused = command(*subcommand)
        assert refused.code == 1
        assert "was imported from a Ref-SAV.json, so there is nothing to caption" in refused.err
        assert "fix: run `refsav import` again" in refused.err
    again = command("import", texts, source, run)
    assert "2 objects = 2 expressions + 0 dropped + 0 failed" in again.out


def test_a_run_of_one_file_is_not_the_run_of_another(
    command: Command, built: Path, source: Path, tmp_path: Path
) -> None:
    texts, run = tmp_path / "texts.json", tmp_path / "imported"
    shutil.copy(built / "exports/Ref-SAV.json", texts)
    assert command("import", texts, source, run).code == 0
    texts.write_text(texts.read_text() + "\n")
    refused = command("import", texts, source, run)
    assert refused.code == 1
    assert "was imported from another Ref-SAV.json" in refused.err
