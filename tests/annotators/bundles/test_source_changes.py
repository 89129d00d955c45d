"""What counts as news, and that a video that has changed leaves its bundle's parts while the others stay."""

import json
from pathlib import Path

import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts, needs_work
from refsav.annotators.bundles.plan import extend_plan
from refsav.annotators.bundles.source_changes import SourceChanges, find_changes, reopen_changed
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.run.parts import read_expressions
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.flows.reporting.progress_bars import Silent

CONFIG = AnnotationConfig.from_mapping({"views": {"longest_side_px": 160, "frames": 2}}, "test")
BUNDLE = "bundle-000000"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    list(write_scenes(tmp_path / "source", SynthConfig(videos=3, height=96, width=128, frames=16)))
    return tmp_path / "source"


@pytest.fixture
def run(source: Path, tmp_path: Path) -> RunDirectory:
    return described_run(source, tmp_path)


def described_run(source: Path, tmp_path: Path) -> RunDirectory:
    """A run in which all of it is described, in one bundle."""
    directory = RunDirectory(tmp_path / "run")
    reopen_changed(directory, source, listed(source))
    list(extend_plan(directory, source, listed(source), 16))
    annotate_to_parts(directory, source, BUNDLE, CONFIG, Silent())
    return directory


def listed(source: Path) -> list[VideoFile | Unreadable]:
    return list(discover(source, SourceConfig()))


def news(run: RunDirectory, source: Path) -> SourceChanges:
    return find_changes(run, source, listed(source))


def change(source: Path) -> str:
    """Give the first video's first object another mask; give the video's id."""
    path = sorted(source.rglob("*_manual.json"))[0]
    content = json.loads(path.read_text())
    content["masklet"][0][0] = content["masklet"][-1][0]
    content["note"] = "drawn anew"
    path.write_text(json.dumps(content))
    return str(content["video_id"])


def described(run: RunDirectory) -> set[str]:
    return {one.track.video_id for one in read_expressions(run)}


def test_a_described_source_is_no_news_and_nothing_is_written_to_find_that_out(run: RunDirectory, source: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    found = news(run, source)
    assert not found
    assert str(found) == "no new video, none changed"
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before


def test_new_changed_and_unfinished_are_distinguished(run: RunDirectory, source: Path) -> None:
    changed = change(source)
    found = SourceChanges(new=("x",), changed=news(run, source).changed, unfinished=(BUNDLE,))
    assert found.changed == (changed,)
    assert str(found) == "new videos: 1, changed videos: 1, open bundles: 1"


def test_a_changed_video_leaves_the_parts_and_comes_back_and_the_others_stay(run: RunDirectory, source: Path) -> None:
    everything = described(run)
    changed = change(source)
    assert reopen_changed(run, source, listed(source)) == 1
    assert needs_work(run, BUNDLE)
    assert described(run) == everything - {changed}
    assert not news(run, source).changed
    annotate_to_parts(run, source, BUNDLE, CONFIG, Silent())
    assert described(run) == everything
    assert not news(run, source)


def test_killed_before_it_is_noted_it_is_all_done_again(run: RunDirectory, source: Path) -> None:
    everything, noted = described(run), run.seen.read_bytes()
    changed = change(source)
    reopen_changed(run, source, listed(source))
    run.seen.write_bytes(noted)  # as a kill leaves it
    assert news(run, source).changed == (changed,)
    assert reopen_changed(run, source, listed(source)) == 1
    annotate_to_parts(run, source, BUNDLE, CONFIG, Silent())
    assert described(run) == everything


def test_an_annotation_that_is_gone_is_no_change_and_one_that_comes_is(run: RunDirectory, source: Path) -> None:
    path = sorted(source.rglob("*_manual.json"))[0]
    beside = path.with_name(path.name.replace("_manual", "_auto"))
    changed = json.loads(path.read_text())["video_id"]
    beside.write_text(path.read_text() + " ")
    assert news(run, source).changed == (changed,)
    beside.unlink()
    assert news(run, source).changed == ()


def test_a_run_of_an_older_version_takes_annotations_as_they_are(run: RunDirectory, source: Path) -> None:
    run.seen.unlink()
    run.seen_media.unlink()
    change(source)
    assert not news(run, source)


def test_a_video_that_comes_after_its_annotations_is_a_change_and_one_that_goes_is_none(
    source: Path, tmp_path: Path
) -> None:
    media = sorted(source.rglob("*.mp4"))[0]
    aside = media.rename(tmp_path / "aside")
    run = described_run(source, tmp_path)
    assert media.stem not in described(run)
    assert not news(run, source)
    aside.rename(media)
    assert news(run, source).changed == (media.stem,)
    assert reopen_changed(run, source, listed(source)) == 1
    annotate_to_parts(run, source, BUNDLE, CONFIG, Silent())
    assert media.stem in described(run)
    media.rename(aside)
    assert reopen_changed(run, source, listed(source)) == 0
    assert not news(run, source)
    aside.rename(media)
    assert not news(run, source), "the same is back"


def test_a_video_that_was_looked_at_half_copied_is_a_change_when_it_is_whole(source: Path, tmp_path: Path) -> None:
    media = sorted(source.rglob("*.mp4"))[0]
    whole = media.read_bytes()
    media.write_bytes(whole[: len(whole) // 2])
    run = described_run(source, tmp_path)
    media.write_bytes(whole)
    assert news(run, source).changed == (media.stem,)
    reopen_changed(run, source, listed(source))
    annotate_to_parts(run, source, BUNDLE, CONFIG, Silent())
    assert media.stem in described(run)
    assert not news(run, source)
