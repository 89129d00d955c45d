import cv2
import numpy as np
import pytest

from refsav.annotators.attributes.silhouette import find_in_crop, find_in_masked
from refsav.annotators.stages.views import PAINTED_OVER_RGB, encode_view
from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask


def through_jpeg(image: Image) -> Image:
    decoded = cv2.imdecode(np.frombuffer(encode_view(image, 90), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def disc(size: tuple[int, int], centre: tuple[int, int], radius: int, hole: int = 0) -> Mask:
    canvas = np.zeros(size, dtype=np.uint8)
    cv2.circle(canvas, centre, radius, 1, -1)
    if hole:
        cv2.circle(canvas, centre, hole, 0, -1)
    return canvas > 0


def ground(size: tuple[int, int]) -> Image:
    noise = np.random.default_rng(0).normal(0, 8, (*size, 1))
    return np.clip(np.array([130, 110, 90]) + noise, 0, 255).astype(np.uint8)


def overlap(one: Mask, other: Mask) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


@pytest.mark.parametrize("rgb", [(220, 30, 30), (20, 20, 24), (240, 240, 240), (90, 120, 140)])
def test_finds_what_is_not_painted_over_with_its_hole(rgb: tuple[int, int, int]) -> None:
    image = np.full((120, 160, 3), PAINTED_OVER_RGB, dtype=np.uint8)
    mask = disc((120, 160), (60, 50), 30, hole=14)
    image[mask] = rgb
    found = find_in_masked(through_jpeg(image))
    assert found is not None
    assert overlap(found.region, mask) > 0.9
    assert found.is_whole


def test_an_object_cut_by_the_frame_is_not_whole() -> None:
    image = np.full((120, 160, 3), PAINTED_OVER_RGB, dtype=np.uint8)
    image[disc((120, 160), (5, 50), 30)] = (200, 30, 30)
    found = find_in_masked(through_jpeg(image))
    assert found is not None
    assert not found.is_whole


def test_finds_a_single_pixel_and_nothing_in_plain_grey() -> None:
    image = np.full((60, 60, 3), PAINTED_OVER_RGB, dtype=np.uint8)
    assert find_in_masked(through_jpeg(image)) is None
    image[30, 30] = (255, 0, 0)
    found = find_in_masked(image)
    assert found is not None
    assert np.argwhere(found.region).tolist() == [[30, 30]]


@pytest.mark.parametrize("hole", [0, 22])
def test_separates_the_object_in_a_crop_from_ground_and_distractors(hole: int) -> None:
    image = ground((140, 140))
    image[20:60, 125:] = (30, 60, 200)
    mask = disc((140, 140), (70, 70), 50, hole)
    image[mask] = (200, 40, 40)
    found = find_in_crop(through_jpeg(image))
    small = cv2.resize(mask.astype(np.uint8), found.region.shape[::-1], interpolation=cv2.INTER_AREA) > 0
    assert overlap(found.region, small) > 0.85
    assert found.is_clear
    assert found.is_whole


def test_is_unsure_of_an_object_that_looks_like_its_ground() -> None:
    found = find_in_crop(through_jpeg(ground((140, 140))))
    assert not found.is_clear
    assert not found.is_whole
    assert found.region.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (5, 5), (9, 400)])
def test_takes_tiny_and_thin_crops_as_they_are(size: tuple[int, int]) -> None:
    found = find_in_crop(np.full((*size, 3), 200, dtype=np.uint8))
    assert found.region.any()
    assert not found.is_whole
