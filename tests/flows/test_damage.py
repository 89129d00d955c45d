"""A file of a run that is damaged is named with what mends it; doing just that mends it, and pays nothing twice."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.errors import ConfigError
from refsav.flows.build import build_ref_sav
from refsav.flows.config.build import BuildConfig, keep_settings, read_settings
from refsav.flows.import_official import import_ref_sav
from tests.support.command import Finished

Command = Callable[..., Finished]
CopyClips = Callable[..., Path]

SMALL = ("--views.longest_side_px", "320", "--views.frames", "4")
CONFIG = BuildConfig.from_mapping({"views": {"longest_side_px": 320, "frames": 4}}, "test")
PARTS = [f"{folder}/bundle-000000.parquet" for folder in ("expressions", "dropped", "failed", "unreadable", "measures")]
WRITTEN_ANEW = ["splits.parquet", "unreadable/listing.parquet"]


@pytest.fixture(scope="module")
def source(copy_clips: CopyClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_clips(tmp_path_factory.mktemp("damage") / "source", "vos_000001", "vos_000002")


@pytest.fixture(scope="module")
def built(source: Path, prefect_server: None) -> Path:  # noqa: ARG001 - it runs there
    build_ref_sav(source, source.parent / "built", CONFIG)
    return source.parent / "built"


@pytest.fixture(scope="module")
def imported(source: Path, built: Path) -> Path:
    import_ref_sav(built / "exports/Ref-SAV.json", source, source.parent / "imported", CONFIG)
    return source.parent / "imported"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def record(run: Path) -> dict[str, bytes]:
    """What a run holds for others, but for its report."""
    others = (run / "report", RunDirectory(run).state)
    paths = [path for path in run.rglob("*") if path.is_file() and not any(map(path.is_relative_to, others))]
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(paths)}


def follow(fix: str, run: Path) -> list[str]:
    """Delete what the fix says is to be deleted; give the deleted names."""
    named = re.findall(rf"{re.escape(str(run))}/(\S+?),? ", fix.partition("fix: delete ")[2].partition("then")[0])
    for name in named:
        (run / name).unlink()
    return named


@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_part_is_rebuilt_from_the_journal(
    command: Command, source: Path, built: Path, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(built, tmp_path / "run"))
    cut_short(run / name)
    reported = command("stats", run)
    assert (reported.code, f"{run}/{name}: is not a readable Parquet part" in reported.err) == (1, True)
    assert follow(reported.err, run) == ["failed/bundle-000000.parquet"]
    assert "run the same build again: the bundle's replies are in the journal" in reported.err
    assert command("build", source, run, *SMALL).code == 0
    assert record(run) == record(built)


@pytest.mark.parametrize("name", WRITTEN_ANEW)
def test_what_every_build_writes_is_mended_by_deleting_it(
    command: Command, source: Path, built: Path, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(built, tmp_path / "run"))
    cut_short(run / name)
    reported = command("stats", run)
    assert f"{run}/{name}: is not a readable Parquet part" in reported.err
    assert "fix: delete it and run the same command again" in reported.err
    (run / name).unlink()
    assert command("build", source, run, *SMALL).code == 0
    assert record(run) == record(built)


@pytest.mark.parametrize("name", ["expressions/bundle-000000.parquet", "measures/bundle-000000.parquet"])
def test_a_part_of_an_imported_run_is_imported_again(
    command: Command, source: Path, built: Path, imported: Path, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(imported, tmp_path / "run"))
    cut_short(run / name)
    reported = command("stats", run)
    assert follow(reported.err, run) == ["failed/bundle-000000.parquet"]
    assert "journal" not in reported.err
    assert "run the same import again" in reported.err
    import_ref_sav(built / "exports/Ref-SAV.json", source, run, CONFIG)
    assert record(run) == record(imported)


def test_a_damaged_part_of_a_bundle_that_is_retried_names_the_mark_that_holds_it(
    command: Command, source: Path, built: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(built, tmp_path / "run"))
    (run / "failed/bundle-000000.parquet").rename(run / "failed/bundle-000000.retry")
    cut_short(run / "expressions/bundle-000000.parquet")
    reported = command("build", source, run, *SMALL)
    assert reported.code == 1
    assert follow(reported.err, run) == ["failed/bundle-000000.retry"]
    assert command("build", source, run, *SMALL).code == 0
    assert record(run) == record(built)


def test_an_incomplete_run_toml_is_an_error_wherever_it_ends_and_is_rebuilt_once_deleted(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    keep_settings(run, tmp_path / "source", CONFIG)
    whole = run.settings.read_bytes()
    last = whole.index(b"[config.runner]")
    for end in range(0, last, 97):
        run.settings.write_bytes(whole[:end])
        for use in (lambda: read_settings(run), lambda: keep_settings(run, tmp_path / "source", CONFIG)):
            with pytest.raises(
                ConfigError, match=r"run\.toml: (cannot be used|is incomplete): .*\n  fix: .* delete it"
            ):
                use()
    run.settings.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"run\.toml: cannot be used: .*\n  fix: "):
        read_settings(run)
    run.settings.unlink()
    keep_settings(run, tmp_path / "source", CONFIG)
    assert run.settings.read_bytes() == whole


@pytest.mark.parametrize("verb", ["retry", "report", "stats"])
def test_an_empty_run_toml_is_no_trace(command: Command, tmp_path: Path, verb: str) -> None:
    (tmp_path / "run.toml").write_text("")
    reported = command(verb, tmp_path)
    assert reported.code == 1
    assert reported.err.startswith(f"error: {tmp_path}/run.toml: is incomplete: source is missing\n  fix: ")
