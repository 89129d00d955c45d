"""SA-V's training layout: each kind of bad annotation gives one clear line, and the other objects are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refsav.datasets.masks import encode
from refsav.datasets.sav.source import VideoObjects
from tests.support.data.sav_folders import copy_two, read_all


@pytest.fixture
def source(sav_data: Path, tmp_path: Path) -> Path:
    return copy_two(sav_data, tmp_path)


def change(source: Path, how: Callable[[dict[str, Any]], None]) -> None:
    path = source / "sav_000/vos_000001_manual.json"
    content = json.loads(path.read_text())
    how(content)
    path.chmod(0o644)
    path.write_text(json.dumps(content))


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
        (change_type, "video_height: has the wrong type: str"),
        (name_another_video, "video_id: says '../../etc/passwd'"),
        (shorten_row, "masklet[3]: has 1 masks for 2 ids"),
    ],
)
def test_a_file_whose_objects_cannot_be_listed_is_reported_and_the_others_come_through(
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
        (repeat_an_id, "masklet_id[1]: id 0 is already used in column 0"),
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


def at_rate(source: Path, rate_hz: float) -> None:
    """Change the frame rate of the video of `source`; its frames stay the same."""
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
