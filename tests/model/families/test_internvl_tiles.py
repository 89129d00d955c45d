"""InternVL's tiles: the grid, what each holds, and the cells of a marked region."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from refsav.datasets.frames import Image
from refsav.model.families.internvl_tiles import MEAN, STD, region_cells, tile_grid, tiles_of, whole
from tests.support.models.reference import image, square_mask, video

TOLD = " ".join((Path(__file__).parents[3] / "docs/training-data.md").read_text().split())

SIDE, MOST = 448, 12

sides = st.integers(1, 4000)


def painted(height: int, width: int) -> Image:
    return np.random.RandomState(1).randint(0, 256, (height, width, 3)).astype(np.uint8)


def pixels(tile: torch.Tensor) -> Image:
    """A normalized tile as uint8 [h, w, 3] again."""
    return ((tile * STD + MEAN) * 255).round().byte().permute(1, 2, 0).numpy()


def test_the_references_picture_makes_four_by_three_tiles_and_a_thumbnail() -> None:
    assert tile_grid(96, 128, MOST, SIDE) == (4, 3)
    assert tiles_of(image(), MOST, SIDE).shape == (13, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("height", "width", "grid"),
    [
        (448, 448, (1, 1)),
        (10, 10, (1, 1)),
        (630, 630, (1, 1)),
        (640, 640, (2, 2)),  # of squares, the largest that pixels fill by more than half
        (1000, 1000, (3, 3)),
        (448, 896, (2, 1)),
        (448, 800, (2, 1)),
        (1080, 1920, (4, 2)),
        (100, 3000, (12, 1)),
        (3000, 100, (1, 12)),
    ],
)
def test_a_grid_is_the_nearest_to_the_aspect(height: int, width: int, grid: tuple[int, int]) -> None:
    assert tile_grid(height, width, MOST, SIDE) == grid


@given(sides, sides, st.integers(1, 40))
def test_no_other_grid_is_nearer(height: int, width: int, most: int) -> None:
    columns, rows = tile_grid(height, width, most, SIDE)
    assert columns * rows <= most
    nearest = min(abs(width / height - c / r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most)
    assert abs(width / height - columns / rows) == nearest


def test_tiles_are_the_resized_picture_cut_row_by_row_and_the_whole_comes_last() -> None:
    frame = painted(70, 130)
    columns, rows = tile_grid(70, 130, MOST, 56)
    assert (columns, rows) == (2, 1)
    tiles = tiles_of(frame, MOST, 56)
    resized = np.asarray(Pillow.fromarray(frame).resize((112, 56), Pillow.Resampling.BICUBIC))
    assert np.array_equal(np.concatenate([pixels(tile) for tile in tiles[:2]], axis=1), resized)
    assert np.array_equal(pixels(tiles[2]), pixels(whole([frame], 56)[0]))


def test_one_tile_has_no_thumbnail_and_a_frame_of_a_video_is_one_tile() -> None:
    assert tiles_of(painted(60, 60), MOST, SIDE).shape[0] == 1
    assert whole(video(), 56).shape == (8, 3, 56, 56)


def test_the_references_regions_take_20_and_236_cells() -> None:
    inside, outside = region_cells(square_mask(2), 16), region_cells(~square_mask(2), 16)
    assert (inside.sum(), outside.sum()) == (20, 236)
    assert not (inside & outside).any()


@given(st.data(), st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None)
def test_a_region_is_never_without_cells_however_small(data: st.DataObject, height: int, width: int) -> None:
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y1, x1 = data.draw(st.integers(y0, height - 1)), data.draw(st.integers(x0, width - 1))
    region = np.zeros((height, width), np.bool_)
    region[y0 : y1 + 1, x0 : x1 + 1] = True
    cells = region_cells(region, 16)
    assert cells.shape == (16, 16) and cells.any()
    ys, xs = np.nonzero(cells)
    for (first, last), found, side in (((y0, y1), ys, height), ((x0, x1), xs, width)):
        assert first * 16 / side - 1 <= found.min() and found.max() <= (last + 1) * 16 / side  # they lie where it is


def test_a_region_without_pixels_has_no_cells() -> None:
    assert not region_cells(np.zeros((40, 30), np.bool_), 16).any()


def test_two_specks_far_apart_take_a_cell() -> None:
    region = np.zeros((160, 160), np.bool_)
    region[5, 5] = region[155, 155] = True  # neither is at a cell's corner, their middle is empty
    assert region_cells(region, 16).any()


@pytest.mark.parametrize(("height", "width", "tokens"), [(480, 640, 3328), (448, 448, 256)])
def test_an_image_takes_as_many_tokens_as_the_documentation_of_length_groups_says(
    height: int, width: int, tokens: int
) -> None:
    columns, rows = tile_grid(height, width, most=12, side=448)
    tiles = columns * rows
    assert 256 * (tiles + (tiles > 1)) == tokens
    assert f"one of {width}x{height} takes {tokens:,} tokens" in TOLD or f"one of {width}x{height} {tokens:,}" in TOLD
