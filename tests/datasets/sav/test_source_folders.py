"""Linked folders belong to a source, duplicates are reported, and run directories are left out."""

import shutil
from pathlib import Path

import pytest

from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source of one video, which is never opened."""
    return add_video(tmp_path / "source", "inside/v1").parent


def add_video(root: Path, name: str) -> Path:
    path = root / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (path.parent / f"{path.stem}_manual.json").write_text("{}")
    return path.parent


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def found(source: Path) -> list[str]:
    """What is listed, in order: videos by their path, everything else by its error."""
    return [
        (entry.media.relative_to(source).as_posix() if isinstance(entry, VideoFile) else entry.error.partition(";")[0])
        for entry in discover(source, SourceConfig())
    ]


def test_videos_on_other_disks_are_found_through_links_and_can_be_read(
    source: Path, sav_data: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk/sav_000"
    disk.mkdir(parents=True)
    for ending in (".mp4", "_manual.json"):
        shutil.copy(sav_data / f"vos_000002{ending}", disk)
    link(source / "linked", tmp_path / "disk")
    inside, linked = discover(source, SourceConfig())
    assert isinstance(inside, VideoFile)
    assert isinstance(linked, VideoFile)
    assert (linked.video_id, linked.folder, linked.root) == ("vos_000002", "linked/sav_000", source)
    assert len(read_video(linked, SourceConfig()).tracks) == 1


def test_the_source_itself_may_be_a_link(source: Path, tmp_path: Path) -> None:
    link(tmp_path / "other", source)
    assert found(tmp_path / "other") == ["inside/v1.mp4"]


@pytest.mark.parametrize("target", [".", "inside", "inside/deep", "..", "/"])
def test_a_loop_ends_and_is_reported(source: Path, target: str) -> None:
    (source / "inside/deep").mkdir()
    link(source / "inside/deep/link", source / target)
    video, reported = found(source)
    assert video == "inside/v1.mp4"
    assert reported.startswith("inside/deep/link: points ")


@pytest.mark.parametrize("name", ["a-link", "z-link"])
def test_a_link_to_a_folder_of_the_source_is_reported_whichever_comes_first(source: Path, name: str) -> None:
    link(source / name, source / "inside")
    listed = found(source)
    assert sorted(listed, key=lambda line: line.startswith(name))[0] == "inside/v1.mp4"
    assert sum(line.startswith(f"{name}: points to folder inside of the source") for line in listed) == 1
    assert len(listed) == 2


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_links_to_a_disk_and_to_a_folder_on_it_list_its_videos_once(
    source: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    add_video(tmp_path / "disk", "part/v2")
    link(source / names[0], tmp_path / "disk")
    link(source / names[1], tmp_path / "disk/part")
    listed = found(source)
    assert sum(line.endswith("/v2.mp4") for line in listed) == 1
    assert sum("which is already listed" in line for line in listed) == 1
    assert len(listed) == 3


def test_a_disk_that_is_not_mounted_is_reported(source: Path, tmp_path: Path) -> None:
    link(source / "linked", tmp_path / "not there")
    assert found(source) == ["linked: is a dangling link", "inside/v1.mp4"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_run_among_the_videos_is_left_out(source: Path, tmp_path: Path, linked: bool) -> None:
    run = tmp_path / "run" if linked else source / "run"
    add_video(run, "report/media/v1/manual-0/preview")
    (run / "run.toml").touch()
    if linked:
        link(source / "run", run)
    assert found(source) == ["inside/v1.mp4"]


def test_a_run_in_the_source_itself_does_not_list_its_previews(source: Path) -> None:
    add_video(source, "report/media/v1/manual-0/preview")
    (source / "run.toml").touch()
    assert found(source) == ["inside/v1.mp4"]


def test_val_layout_leaves_out_a_run_and_reports_a_dangling_link(tmp_path: Path) -> None:
    frames, masks = tmp_path / "JPEGImages_24fps", tmp_path / "Annotations_6fps"
    for folder in (tmp_path / "disk/frames", masks / "v1", masks / "v2", frames / "run"):
        folder.mkdir(parents=True)
    (frames / "run/run.toml").touch()
    link(frames / "v1", tmp_path / "disk/frames")
    link(frames / "v2", tmp_path / "not there")
    video, reported = discover(tmp_path, SourceConfig())
    assert isinstance(video, VideoFile)
    assert isinstance(reported, Unreadable)
    assert (video.video_id, video.media) == ("v1", frames / "v1")
    assert reported.error.startswith("JPEGImages_24fps/v2: the link to its frames or masks is dangling; fix: ")
