"""SA-V's two layouts are read alike, and each kind of bad file is one clear line while the rest comes through."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from refsav.datasets import sav
from refsav.datasets.frames import decode, probe
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.masks import encode
from refsav.datasets.records import Unreadable, VideoFile
from refsav.datasets.sav import SourceConfig, VideoObjects, discover, read_video
from refsav.errors import RecordError

ANY = SourceConfig()


def read_all(source: Path, config: SourceConfig = ANY) -> dict[str, VideoObjects | Unreadable]:
    entries = discover(source, config)
    return {
        entry.path if isinstance(entry, Unreadable) else entry.video_id: entry
        if isinstance(entry, Unreadable)
        else read_video(entry, config)
        for entry in entries
    }


@pytest.fixture
def source(sav_data: Path, tmp_path: Path) -> Path:
    """A folder with one real video (two manual objects) in a subfolder, as SA-V has it, and a sound one beside it."""
    for name, folder in (("vos_000001", "sav_000"), ("vos_000002", "sav_001")):
        (tmp_path / folder).mkdir()
        for ending in (".mp4", "_manual.json"):
            shutil.copy(sav_data / f"{name}{ending}", tmp_path / folder)
    return tmp_path


def change(source: Path, how: Callable[[dict[str, Any]], None]) -> None:
    path = source / "sav_000/vos_000001_manual.json"
    content = json.loads(path.read_text())
    how(content)
    path.chmod(0o644)
    path.write_text(json.dumps(content))


def test_the_real_folder_is_read_whole(sav_data: Path) -> None:
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


def test_ids_that_no_video_has_are_told_one_by_one_after_the_videos(source: Path) -> None:
    (source / "sav_000/alone.mp4").touch()
    (source / "ids.txt").write_text("typo_2\nvos_000002\ntypo_1\nalone\n")
    entries = list(discover(source, SourceConfig(videos=str(source / "ids.txt"))))
    told = [entry.error for entry in entries if isinstance(entry, Unreadable)]
    assert told[0].startswith("sav_000/alone.mp4: has no ")
    assert [line.partition("; fix: ")[0] for line in told[1:]] == [
        "ids.txt: typo_1: the source has no video of this id",
        "ids.txt: typo_2: the source has no video of this id",
    ]
    assert [entry.video_id for entry in entries if isinstance(entry, VideoFile)] == ["vos_000002"]


def drop_key(content: dict[str, Any]) -> None:
    del content["masklet_id"]


def change_type(content: dict[str, Any]) -> None:
    content["video_height"] = "384"


def name_another_video(content: dict[str, Any]) -> None:
    content["video_id"] = "../../etc/passwd"


def shorten_row(content: dict[str, Any]) -> None:
    content["masklet"][3].pop()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (drop_key, "masklet_id: the key is missing"),
        (change_type, "video_height: is str"),
        (name_another_video, "video_id: says '../../etc/passwd'"),
        (shorten_row, "masklet[3]: has 1 masks for 2 ids"),
    ],
)
def test_a_file_whose_objects_cannot_be_listed_is_told_and_the_others_come_through(
    source: Path, how: Callable[[dict[str, Any]], None], problem: str
) -> None:
    change(source, how)
    found = read_all(source)
    broken, sound = found["vos_000001"], found["vos_000002"]
    assert isinstance(broken, VideoObjects)
    assert isinstance(sound, VideoObjects)
    assert [problem in entry.error for entry in broken.unreadable] == [True]
    assert broken.object_count == 0
    assert len(sound.tracks) == 1


def fewer_rows(content: dict[str, Any]) -> None:
    content["masklet"].pop()


def other_size(content: dict[str, Any]) -> None:
    content["video_width"] = 100.0


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (fewer_rows, "has 22 rows, 90 video frames need 23"),
        (other_size, "its annotations 384x100"),
    ],
)
def test_annotations_that_do_not_fit_their_video_fail_every_object(
    source: Path, how: Callable[[dict[str, Any]], None], problem: str
) -> None:
    change(source, how)
    found = read_all(source)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert [problem in failed.error for failed in found.failed] == [True, True]


def damage_one_mask(content: dict[str, Any]) -> None:
    content["masklet"][5][1]["counts"] = content["masklet"][5][1]["counts"][:-1]


def resize_one_mask(content: dict[str, Any]) -> None:
    content["masklet"][5][1]["size"] = [640, 384]


def lose_one_mask(content: dict[str, Any]) -> None:
    content["masklet"][5][1] = None


def repeat_an_id(content: dict[str, Any]) -> None:
    content["masklet_id"] = [0, 0]


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (damage_one_mask, "masklet[5][1]: "),
        (resize_one_mask, "masklet[5][1]: mask is 640x384, the video 384x640"),
        (lose_one_mask, "masklet[5][1]: is not a COCO compressed RLE"),
        (repeat_an_id, "masklet_id[1]: id 0 stands in column 0 already"),
    ],
)
def test_one_bad_object_fails_alone(source: Path, how: Callable[[dict[str, Any]], None], problem: str) -> None:
    change(source, how)
    found = read_all(source)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 1
    (failed,) = found.failed
    assert problem in failed.error
    assert "; fix: " in failed.error


def test_truncated_json_names_line_and_column(source: Path) -> None:
    path = source / "sav_000/vos_000001_manual.json"
    path.chmod(0o644)
    path.write_text(path.read_text()[:500])
    found = read_all(source)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert "line 1 column" in found.unreadable[0].error


def test_empty_and_tiny_objects_are_dropped_by_name(source: Path) -> None:
    empty, dot = np.zeros((384, 640), dtype=np.bool_), np.zeros((384, 640), dtype=np.bool_)
    dot[10, 10] = True

    def how(content: dict[str, Any]) -> None:
        for row in content["masklet"]:
            row[0]["counts"], row[1]["counts"] = encode(empty).counts, encode(dot).counts

    change(source, how)
    found = read_all(source)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert [dropped.reason.partition(":")[0] for dropped in found.dropped] == ["never visible", "too small"]


def test_filters_keep_the_largest_and_the_stable(sav_data: Path) -> None:
    config = SourceConfig(max_objects=2, min_stability=0.5, annotations="auto")
    found = read_all(sav_data, config)["sav_000001_head"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 2
    assert found.object_count == 9
    smallest_kept = min(max(track.areas_px) for track in found.tracks)
    cut = [dropped for dropped in found.dropped if "largest" in dropped.reason]
    assert all(max(dropped.track.areas_px) <= smallest_kept for dropped in cut)


def test_the_same_id_in_two_folders_is_told(source: Path) -> None:
    shutil.copytree(source / "sav_000", source / "sav_002")
    found = read_all(source)
    twice = found["sav_002/vos_000001.mp4"]
    assert isinstance(twice, Unreadable)
    assert "stands in folder sav_000 already" in twice.error


def test_a_name_that_could_leave_its_folder_is_no_id(source: Path) -> None:
    shutil.copy(source / "sav_000/vos_000001.mp4", source / "sav_000/...mp4")
    assert isinstance(read_all(source)["sav_000/...mp4"], Unreadable)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such folder"):
        next(discover(tmp_path / "none", ANY))


def at_rate(source: Path, rate_hz: float) -> None:
    """Let the video of `source` be played faster or slower; its frames stay the same."""
    path = source / "sav_000/vos_000001.mp4"
    slow = path.with_suffix(".slow.mp4")
    path.rename(slow)
    with av.open(str(slow)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is None or packet.pts is None:
                continue
            packet.stream = stream
            packet.pts, packet.dts = round(packet.pts * 24 / rate_hz), round(packet.dts * 24 / rate_hz)
            packet.duration = round((packet.duration or 0) * 24 / rate_hz)
            new.mux(packet)
    slow.unlink()


@pytest.mark.parametrize("rate_hz", [12, 30, 48])
def test_rows_come_at_a_quarter_of_the_videos_own_rate(source: Path, rate_hz: int) -> None:
    at_rate(source, rate_hz)
    found = read_all(source)
    assert isinstance(faster := found["vos_000001"], VideoObjects)
    assert isinstance(usual := found["vos_000002"], VideoObjects)
    assert [track.rate_hz for track in faster.tracks] == pytest.approx([rate_hz / 4] * 2, rel=0.02)
    assert {track.rate_hz for track in usual.tracks} == {6.0}
    assert {track.frame_step for track in faster.tracks} == {4}


def test_a_rate_that_cannot_be_meant_counts_as_sa_vs(source: Path) -> None:
    at_rate(source, 0.01)
    found = read_all(source)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert [track.rate_hz for track in found.tracks] == [6.0, 6.0]


@pytest.fixture
def val_layout(sav_data: Path, tmp_path: Path) -> Path:
    """A real video rewritten in the layout of SA-V's val and test sets."""
    video = sav_data / "vos_000001.mp4"
    frames = tmp_path / "JPEGImages_24fps/vos_000001"
    frames.mkdir(parents=True)
    for index, frame in decode(video, range(probe(video).frame_count)):
        cv2.imwrite(str(frames / f"{index:05d}.jpg"), frame[..., ::-1])
    content = json.loads((sav_data / "vos_000001_manual.json").read_text())
    for row, masks in enumerate(content["masklet"]):
        for column, rle in enumerate(masks):
            folder = tmp_path / f"Annotations_6fps/vos_000001/{column:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            mask = decode_mask(sav.sav_train.Rle(tuple(rle["size"]), rle["counts"]))
            cv2.imwrite(str(folder / f"{4 * row:05d}.png"), mask.astype(np.uint8) * 255)
    return tmp_path


def test_the_val_layout_gives_the_same_tracks(val_layout: Path, sav_data: Path) -> None:
    ours, training = read_all(val_layout)["vos_000001"], read_all(sav_data)["vos_000001"]
    assert isinstance(ours, VideoObjects)
    assert isinstance(training, VideoObjects)
    assert ours.tracks == training.tracks


def test_a_png_of_another_size_fails_its_object_alone(val_layout: Path) -> None:
    cv2.imwrite(str(val_layout / "Annotations_6fps/vos_000001/001/00008.png"), np.zeros((5, 5), dtype=np.uint8))
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 1
    assert "mask is 5x5, the frames 384x640" in found.failed[0].error


def test_a_missing_frame_fails_the_video_instead_of_moving_all_masks(val_layout: Path) -> None:
    (val_layout / "JPEGImages_24fps/vos_000001/00003.jpg").unlink()
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert not found.tracks
    assert [failed.column for failed in found.failed] == [0, 1]
    assert "00003.jpg: is missing" in found.failed[0].error


def test_masks_after_the_last_frame_are_told(val_layout: Path) -> None:
    (val_layout / "Annotations_6fps/vos_000001/001/09996.png").write_bytes(b"")
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 1
    assert "holds a mask of frame 9996, the video ends after" in found.failed[0].error


def test_two_folders_of_one_number_and_a_number_too_long_are_told(val_layout: Path) -> None:
    masks = val_layout / "Annotations_6fps/vos_000001"
    (masks / "1").mkdir()
    (masks / "99999999999999999999").mkdir()
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert [track.masklet_id for track in found.tracks] == [0, 1]
    assert "is object 1, as folder 001 is" in found.failed[0].error
    assert "is no object number" in found.unreadable[0].error


def test_opacity_is_no_part_of_a_mask(val_layout: Path) -> None:
    path = val_layout / "Annotations_6fps/vos_000001/000/00000.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert found.tracks[0].areas_px[0] == np.count_nonzero(mask)
