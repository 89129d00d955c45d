import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsav.annotators.attributes.outline import find_outline
from refsav.annotators.stages.views import OUTLINE_RGB, encode_view
from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask


def outlined(mask: Mask, rgb: tuple[int, int, int] = (60, 90, 160), quality: int = 90, width_px: int = 2) -> Image:
    """A noisy picture with a line of yellow just outside a mask, after JPEG."""
    noise = np.random.default_rng(0).normal(0, 10, (*mask.shape, 1))
    image = np.clip(np.array([120, 130, 110]) + noise, 0, 255).astype(np.uint8)
    image[mask] = rgb
    around = cv2.dilate(mask.astype(np.uint8), np.ones((2 * width_px + 1,) * 2, np.uint8)) > 0
    image[around & ~mask] = OUTLINE_RGB
    decoded = cv2.imdecode(np.frombuffer(encode_view(image, quality), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def boxes(*rectangles: tuple[int, int, int, int]) -> Mask:
    mask = np.zeros((120, 160), dtype=np.bool_)
    for x0, y0, x1, y1 in rectangles:
        mask[y0:y1, x0:x1] = True
    return mask


def overlap(one: Mask, other: Mask) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


SHAPES = {
    "plain": boxes((40, 30, 90, 70)),
    "with a hole": boxes((30, 20, 120, 100)) & ~boxes((55, 45, 90, 75)),
    "an island in the hole": (boxes((20, 10, 130, 110)) & ~boxes((40, 30, 110, 90))) | boxes((60, 50, 90, 70)),
    "two parts": boxes((20, 20, 60, 60), (90, 70, 130, 100)),
    "at an edge": boxes((0, 30, 50, 80)),
    "in a corner": boxes((100, 60, 160, 120)),
    "from top to bottom": boxes((60, 0, 100, 120)),
    "tiny": boxes((70, 50, 74, 54)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("quality", [60, 90])
def test_finds_the_region_inside(name: str, quality: int) -> None:
    found = find_outline(outlined(SHAPES[name], quality=quality))
    assert found is not None
    assert overlap(found.region, SHAPES[name]) > 0.9


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 140), st.integers(4, 100), st.integers(6, 60), st.integers(6, 60))
def test_finds_any_box_in_its_place(x0: int, y0: int, width: int, height: int) -> None:
    mask = boxes((x0, y0, min(156, x0 + width), min(116, y0 + height)))
    found = find_outline(outlined(mask))
    assert found is not None
    ys, xs = np.nonzero(mask)
    assert found.centre == pytest.approx(((xs.mean() + 0.5) / 160, (ys.mean() + 0.5) / 120), abs=0.01)
    assert found.area_share == pytest.approx(mask.mean(), rel=0.15)
    assert not found.meets_edge


def test_a_yellow_object_keeps_its_region() -> None:
    found = find_outline(outlined(SHAPES["plain"], rgb=(236, 200, 48)))
    assert found is not None
    assert overlap(found.region, SHAPES["plain"]) > 0.9


def test_the_objects_colours_decide_which_side_of_an_open_line_is_inside() -> None:
    ground = boxes((0, 30, 160, 120))
    picture = outlined(ground, rgb=(40, 150, 60))
    found = find_outline(picture, {"green"})
    assert found is not None
    assert overlap(found.region, ground) > 0.9


def test_finds_nothing_where_nothing_is_outlined() -> None:
    assert find_outline(outlined(boxes())) is None
    assert find_outline(np.full((60, 60, 3), OUTLINE_RGB, dtype=np.uint8)) is None
    assert find_outline(np.zeros((1, 1, 3), dtype=np.uint8)) is None
