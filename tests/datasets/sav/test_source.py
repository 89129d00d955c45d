"""The videos of a source: listed without reading them, filtered, and reported if they cannot be used."""

import shutil
from pathlib import Path

import pytest

from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover
from refsav.errors import RecordError
from tests.support.data.sav_folders import ANY, copy_two, read_all


@pytest.fixture
def source(sav_data: Path, tmp_path: Path) -> Path:
    return copy_two(sav_data, tmp_path)


def test_the_real_folder_is_read_completely(sav_data: Path) -> None:
    found = read_all(sav_data)
    assert isinstance(found["unannotated/bedroom.mp4"], Unreadable)
    head, incomplete = found["sav_000001_head"], found["sav_000001"]
    assert isinstance(head, VideoObjects)
    assert isinstance(incomplete, VideoObjects)
    assert [str(track.key) for track in head.tracks[3:5]] == ["sav_000001_head/manual/3", "sav_000001_head/auto/0"]
    assert len(head.tracks) == 13
    assert {len(track.masks) for track in head.tracks} == {44}
    assert len(incomplete.failed) == 14
    assert "the video is missing" in incomplete.failed[0].error
    assert sum(entry.object_count for entry in found.values() if isinstance(entry, VideoObjects)) == 30


def test_listing_is_lazy_and_reads_no_file(source: Path) -> None:
    (source / "sav_001/vos_000002_manual.json").write_text("{")
    first = next(discover(source, ANY))
    assert isinstance(first, VideoFile)
    assert (first.video_id, first.folder) == ("vos_000001", "sav_000")


def test_manual_auto_or_both_are_chosen(sav_data: Path) -> None:
    counts = {
        choice: sum(
            entry.object_count
            for entry in read_all(sav_data, SourceConfig(annotations=choice)).values()
            if isinstance(entry, VideoObjects) and entry.video.video_id == "sav_000001_head"
        )
        for choice in ("manual", "auto", "both")
    }
    assert counts == {"manual": 4, "auto": 9, "both": 13}


def test_a_list_of_ids_restricts_the_source(source: Path) -> None:
    (source / "ids.txt").write_text("# chosen\nvos_000002\n")
    assert list(read_all(source, SourceConfig(videos=str(source / "ids.txt")))) == ["vos_000002"]


def test_ids_that_no_video_has_are_reported_one_by_one_after_the_videos(source: Path) -> None:
    (source / "sav_000/alone.mp4").touch()
    (source / "ids.txt").write_text("typo_2\nvos_000002\ntypo_1\nalone\n")
    entries = list(discover(source, SourceConfig(videos=str(source / "ids.txt"))))
    reported = [entry.error for entry in entries if isinstance(entry, Unreadable)]
    assert reported[0].startswith("sav_000/alone.mp4: has no ")
    assert [line.partition("; fix: ")[0] for line in reported[1:]] == [
        "ids.txt: typo_1: the source has no video with this id",
        "ids.txt: typo_2: the source has no video with this id",
    ]
    assert [entry.video_id for entry in entries if isinstance(entry, VideoFile)] == ["vos_000002"]


def test_filters_keep_the_largest_and_the_stable(sav_data: Path) -> None:
    config = SourceConfig(max_objects=2, min_stability=0.5, annotations="auto")
    found = read_all(sav_data, config)["sav_000001_head"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 2
    assert found.object_count == 9
    smallest_kept = min(max(track.areas_px) for track in found.tracks)
    cut = [dropped for dropped in found.dropped if "largest" in dropped.reason]
    assert all(max(dropped.track.areas_px) <= smallest_kept for dropped in cut)


def test_the_same_id_in_two_folders_is_reported(source: Path) -> None:
    shutil.copytree(source / "sav_000", source / "sav_002")
    found = read_all(source)
    twice = found["sav_002/vos_000001.mp4"]
    assert isinstance(twice, Unreadable)
    assert "folder sav_000 already has a video with id" in twice.error


def test_a_name_that_could_leave_its_folder_is_no_id(source: Path) -> None:
    shutil.copy(source / "sav_000/vos_000001.mp4", source / "sav_000/...mp4")
    assert isinstance(read_all(source)["sav_000/...mp4"], Unreadable)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such folder"):
        next(discover(tmp_path / "none", ANY))
