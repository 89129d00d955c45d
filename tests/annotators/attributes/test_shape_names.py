import cv2
import numpy as np
import pytest

from refsav.annotators.attributes.shape_names import NEAR_SHAPES, SHAPES, fit_shape
from refsav.datasets.masks import Mask
from refsav.datasets.synthetic.render import outline

WORD_OF = {
    "circle": "round",
    "ellipse": "oval",
    "square": "square",
    "bar": "rectangular",
    "triangle": "triangular",
    "star": "star-shaped",
    "ring": "ring-shaped",
    "cross": "cross-shaped",
}


def drawn(shape: str, extent_px: float, angle_deg: float) -> Mask:
    """A mask of a shape that covers about `extent_px` squared, turned."""
    side = int(3 * extent_px)
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    canvas = np.zeros((side, side), dtype=np.uint8)
    contours = [np.round(contour @ turn.T * extent_px + side / 2).astype(np.int32) for contour in outline(shape)]
    cv2.fillPoly(canvas, contours, 1)
    return canvas > 0


@pytest.mark.parametrize("shape", WORD_OF)
@pytest.mark.parametrize("angle_deg", [0, 17, 44, 80])
@pytest.mark.parametrize("extent_px", [28, 120])
def test_names_a_shape_in_every_turn_and_size(shape: str, angle_deg: float, extent_px: float) -> None:
    fit = fit_shape(drawn(shape, extent_px, angle_deg))
    assert fit is not None
    assert (fit.name, fit.is_firm) == (WORD_OF[shape], True)


def test_is_not_firm_about_a_shape_without_a_name() -> None:
    angles = np.linspace(0, 2 * np.pi, 200)
    radii = 60 * (1 + 0.35 * np.sin(3 * angles + 1) + 0.3 * np.cos(5 * angles))
    canvas = np.zeros((240, 240), dtype=np.uint8)
    points = np.column_stack([np.cos(angles) * radii + 120, np.sin(angles) * radii + 120])
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    fit = fit_shape(canvas > 0)
    assert fit is None or not fit.is_firm


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 200), (5, 40)])
def test_says_nothing_of_what_is_too_small_or_thin(size: tuple[int, int]) -> None:
    assert fit_shape(np.ones(size, dtype=np.bool_)) is None


def test_near_shapes_are_words_of_the_vocabulary() -> None:
    assert all(pair <= set(SHAPES) for pair in NEAR_SHAPES)
