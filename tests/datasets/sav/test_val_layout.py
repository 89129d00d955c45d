"""SA-V's val and test layout gives the same as the training layout; errors in it are reported."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from refsav.datasets.frames import decode, probe
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import Rle
from refsav.datasets.sav.source import VideoObjects
from tests.support.data.sav_folders import read_all


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
            mask = decode_mask(Rle(tuple(rle["size"]), rle["counts"]))
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


def test_masks_after_the_last_frame_are_reported(val_layout: Path) -> None:
    (val_layout / "Annotations_6fps/vos_000001/001/09996.png").write_bytes(b"")
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert len(found.tracks) == 1
    assert "has a mask of frame 9996, but the video ends after" in found.failed[0].error


def test_two_folders_of_one_number_and_a_number_too_long_are_reported(val_layout: Path) -> None:
    masks = val_layout / "Annotations_6fps/vos_000001"
    (masks / "1").mkdir()
    (masks / "99999999999999999999").mkdir()
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert [track.masklet_id for track in found.tracks] == [0, 1]
    assert "is object 1, and so is folder 001" in found.failed[0].error
    assert "is not an object number" in found.unreadable[0].error


def test_opacity_is_no_part_of_a_mask(val_layout: Path) -> None:
    path = val_layout / "Annotations_6fps/vos_000001/000/00000.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    found = read_all(val_layout)["vos_000001"]
    assert isinstance(found, VideoObjects)
    assert found.tracks[0].areas_px[0] == np.count_nonzero(mask)
