"""The camera's motion is found on a moving background, and not mistaken for the motion of objects."""

import math

import cv2
import numpy as np
import pytest

from refsav.datasets.statistics.camera_motion import background_shifts, pair_rows

HEIGHT, WIDTH = 240, 320
DIAGONAL = math.hypot(HEIGHT, WIDTH)


def scene(seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT + 200, WIDTH + 200, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def shift_of(step_px, tracks=(), paint=None, rows=4, side=320):
    world = scene()
    frames = []
    for row in range(rows):
        x, y = round(60 + row * step_px[0]), round(60 + row * step_px[1])
        frame = world[y : y + HEIGHT, x : x + WIDTH].copy()
        if paint:
            paint(frame, row)
        frames.append((row, frame))
    return list(background_shifts(iter(frames), tracks, side))


@pytest.mark.parametrize("step_px", [(0, 0), (4, 0), (-7, 3), (12, -9), (25, 0)])
@pytest.mark.parametrize("side", [320, 160])
def test_a_pan_is_measured_as_a_share_of_the_diagonal(step_px, side):
    found = shift_of(step_px, side=side)
    assert len(found) == 3
    assert found == pytest.approx([math.hypot(*step_px) / DIAGONAL] * 3, abs=0.002)


def test_a_zoom_counts_as_motion():
    world = scene()[:HEIGHT, :WIDTH]
    zoomed = cv2.warpAffine(world, cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, 1.05), (WIDTH, HEIGHT))
    (found,) = background_shifts([(0, world), (1, zoomed)], (), 320)
    assert 0.005 < found < 0.03


def test_an_object_that_fills_half_the_frame_is_not_the_camera(make_track):
    texture = scene(seed=1)

    def paint(frame, row):
        frame[20:220, 20 + 10 * row : 180 + 10 * row] = texture[:200, :160]

    boxes = tuple((20 + 10 * row, 20, 180 + 10 * row, 220) for row in range(4))
    track = make_track(boxes, size=(HEIGHT, WIDTH))
    assert shift_of((0, 0), [track], paint) == pytest.approx([0, 0, 0], abs=0.001)


def test_nothing_to_follow_is_not_zero():
    flat = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    assert list(background_shifts([(0, flat), (1, flat)], (), 320)) == []
    noise = [np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for seed in (1, 2)]
    assert list(background_shifts(list(enumerate(noise)), (), 320)) == []


def test_pairs_are_neighbours_spread_over_the_whole_video():
    assert pair_rows(121, 3) == (0, 1, 60, 61, 119, 120)
    assert pair_rows(3, 8) == (0, 1, 2)
    assert pair_rows(1, 8) == () and pair_rows(0, 8) == ()
    assert shift_of((4, 0), rows=1) == []


def test_frames_that_are_no_neighbours_are_not_compared():
    world = scene()[:HEIGHT, :WIDTH]
    assert list(background_shifts([(0, world), (2, world), (5, world)], (), 320)) == []
