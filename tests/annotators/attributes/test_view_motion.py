import cv2
import numpy as np
import pytest

from refsav.annotators.attributes.view_motion import camera_words
from refsav.datasets.frames import Image


def world(textured: bool = True) -> Image:
    """A large ground that a camera can move over."""
    random = np.random.default_rng(3)
    fine = cv2.resize(random.normal(0, 60, (60, 120)), (960, 480), interpolation=cv2.INTER_CUBIC)
    plane = 128 + textured * fine
    return np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def frames(steps: list[tuple[int, int]], moving_object: bool = False, textured: bool = True) -> list[Image]:
    ground = world(textured)
    pictures = []
    for number, (x, y) in enumerate(steps):
        picture = ground[y : y + 240, x : x + 320].copy()
        if moving_object:
            cv2.circle(picture, (60 + 25 * number, 120), 30, (250, 40, 40), -1)
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("moving_object", [False, True])
def test_recognizes_a_still_camera_although_objects_move(moving_object: bool) -> None:
    pictures = frames([(100, 100)] * 6, moving_object)
    assert camera_words(pictures, [None] * 6) == "keeps nearly still"


@pytest.mark.parametrize("moving_object", [False, True])
@pytest.mark.parametrize(
    ("step", "words"),
    [((24, 0), "moves to the right"), ((-24, 0), "moves to the left"), ((0, 20), "moves down")],
)
def test_names_the_direction_of_the_camera(step: tuple[int, int], words: str, moving_object: bool) -> None:
    pictures = frames([(300 + step[0] * k, 100 + step[1] * k) for k in range(6)], moving_object)
    assert camera_words(pictures, [None] * 6) == words


def test_says_that_it_moves_if_it_goes_to_and_fro() -> None:
    assert camera_words(frames([(300, 100), (340, 100)] * 3), [None] * 6) == "moves"


def test_says_nothing_without_texture_or_with_too_little_to_go_by() -> None:
    assert camera_words(frames([(100, 100)] * 6, textured=False), [None] * 6) == ""
    assert camera_words(frames([(100, 100)]), [None]) == ""
    assert camera_words([np.zeros((8, 8, 3), dtype=np.uint8)] * 4, [None] * 4) == ""
