"""Views show what they promise: the right pixels kept, painted over or outlined, and the same bytes each time."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.annotators.stages.views import OUTLINE_RGB, PAINTED_OVER_RGB, ObjectViews, ViewsConfig, render, sampled_rows
from refsav.datasets.frames import Image, decode
from refsav.datasets.masks import Mask
from refsav.datasets.masks import box as box_of
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import ObjectTrack, VideoFile
from refsav.datasets.sav.source import SourceConfig, discover, read_video

SHARP = ViewsConfig(jpeg_quality=100)


def picture(jpeg: bytes) -> Image:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB).astype(np.uint8)


def far(image: Image, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - colour).max(axis=-1)


@pytest.fixture(scope="module")
def head(sav_data: Path) -> tuple[VideoFile, tuple[ObjectTrack, ...]]:
    (video,) = [v for v in discover(sav_data, SourceConfig()) if getattr(v, "video_id", "") == "sav_000001_head"]
    assert isinstance(video, VideoFile)
    return video, read_video(video, SourceConfig()).tracks


@pytest.fixture(scope="module")
def drawn(head: tuple[VideoFile, tuple[ObjectTrack, ...]]) -> dict[str, tuple[ObjectTrack, ObjectViews]]:
    video, tracks = head
    return {str(track.key): (track, views) for track, views in render(video, tracks, SHARP)}


def largest(track: ObjectTrack) -> Mask:
    rle = track.masks[track.largest_row]
    assert rle is not None
    return decode_mask(rle)


def test_every_object_comes_out_once(
    head: tuple[VideoFile, tuple[ObjectTrack, ...]], drawn: dict[str, tuple[ObjectTrack, ObjectViews]]
) -> None:
    assert sorted(drawn) == sorted(str(track.key) for track in head[1])


def test_masked_keeps_the_object_and_paints_the_rest(drawn: dict[str, tuple[ObjectTrack, ObjectViews]]) -> None:
    for track, views in drawn.values():
        mask, masked, scene = largest(track), picture(views.masked), picture(views.scene)
        near_edge = cv2.dilate(mask.view(np.uint8), np.ones((17, 17))).astype(bool) ^ mask
        assert (far(masked, PAINTED_OVER_RGB)[~mask & ~near_edge] <= 6).all()
        inside = cv2.erode(mask.view(np.uint8), np.ones((17, 17))).astype(bool)
        assert (np.abs(masked.astype(int) - scene)[inside] <= 12).all()


def test_the_outline_surrounds_the_mask_and_covers_none_of_it(
    drawn: dict[str, tuple[ObjectTrack, ObjectViews]], head: tuple[VideoFile, tuple[ObjectTrack, ...]]
) -> None:
    track, views = drawn["sav_000001_head/manual/1"]
    mask = largest(track)
    ((_, frame),) = decode(head[0].media, [track.largest_row * track.frame_step])
    scene = picture(views.scene)
    ring = cv2.dilate(mask.view(np.uint8), np.ones((3, 3))).astype(bool) & ~mask
    assert (far(scene, OUTLINE_RGB)[ring] < 40).mean() > 0.97
    wide = cv2.dilate(mask.view(np.uint8), np.ones((25, 25))).astype(bool)
    assert (np.abs(scene.astype(int) - frame)[~wide] <= 12).all()
    inside = cv2.erode(mask.view(np.uint8), np.ones((9, 9))).astype(bool)
    assert (np.abs(scene.astype(int) - frame)[inside] <= 12).all()


def test_the_crop_is_the_object_with_a_margin_and_no_drawing(
    drawn: dict[str, tuple[ObjectTrack, ObjectViews]], head: tuple[VideoFile, tuple[ObjectTrack, ...]]
) -> None:
    track, views = drawn["sav_000001_head/manual/2"]
    rle = track.masks[track.largest_row]
    assert rle is not None
    x0, y0, x1, y1 = box_of(rle)
    room = round(0.2 * max(x1 - x0, y1 - y0))
    ((_, frame),) = decode(head[0].media, [track.largest_row * track.frame_step])
    expected = frame[max(0, y0 - room) : y1 + room, max(0, x0 - room) : x1 + room]
    assert picture(views.crop).shape == expected.shape
    assert np.abs(picture(views.crop).astype(int) - expected).mean() < 1


def test_hidden_frames_have_no_outline(drawn: dict[str, tuple[ObjectTrack, ObjectViews]]) -> None:
    track, views = drawn["sav_000001_head/auto/7"]
    assert views.video_visible == tuple(track.masks[row] is not None for row in views.video_rows)
    assert set(views.video_visible) == {True, False}
    for image, visible in zip(views.video, views.video_visible, strict=True):
        assert (far(picture(image), OUTLINE_RGB) < 30).any() == visible


def test_the_same_input_gives_the_same_bytes(
    head: tuple[VideoFile, tuple[ObjectTrack, ...]], drawn: dict[str, tuple[ObjectTrack, ObjectViews]]
) -> None:
    video, tracks = head
    ((_, alone),) = render(video, tracks[5:6], SHARP)
    assert alone == drawn[str(tracks[5].key)][1]


def test_large_frames_are_made_smaller_and_small_objects_keep_an_outline(
    head: tuple[VideoFile, tuple[ObjectTrack, ...]],
) -> None:
    video, tracks = head
    for _, views in render(video, tracks, ViewsConfig(longest_side_px=128, jpeg_quality=100)):
        scene = picture(views.scene)
        assert max(scene.shape) == 128
        assert (far(scene, OUTLINE_RGB) < 60).any()
        assert (far(picture(views.masked), PAINTED_OVER_RGB) > 8).any()


@pytest.mark.parametrize(
    ("rows", "frames", "expected"), [(1, 8, (0,)), (3, 8, (0, 1, 2)), (44, 8, (0, 6, 12, 18, 25, 31, 37, 43))]
)
def test_frames_are_spread_from_the_first_to_the_last(rows: int, frames: int, expected: tuple[int, ...]) -> None:
    assert sampled_rows(rows, frames) == expected
