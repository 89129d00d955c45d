"""How InternVL cuts a picture into square tiles, and which rows of features a marked region takes of the last one."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.families.bicubic import resize

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

Cells = npt.NDArray[np.bool_]
"""bool [g, g], True where a cell of the feature grid belongs to a region."""


def tile_grid(height: int, width: int, most: int, side: int) -> tuple[int, int]:
    """Columns and rows of tiles nearest to the picture's aspect; of equals, the larger if pixels fill half of it."""
    grids = sorted(
        {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most}, key=lambda g: g[0] * g[1]
    )
    aspect = width / height
    best, nearest = (1, 1), float("inf")
    for columns, rows in grids:
        difference = abs(aspect - columns / rows)
        half_filled = height * width > 0.5 * side * side * columns * rows
        if difference < nearest or (difference == nearest and half_filled):
            best, nearest = (columns, rows), difference
    return best


def tiles_of(frame: Image, most: int, side: int) -> Tensor:
    """An image uint8 [h, w, 3] as normalized tiles float32 [n, 3, side, side], row by row, then the whole if n > 1."""
    picture = Pillow.fromarray(frame)
    columns, rows = tile_grid(picture.height, picture.width, most, side)
    grid = resize(picture, side * columns, side * rows)
    corners = [(side * column, side * row) for row in range(rows) for column in range(columns)]
    cut = [grid.crop((x, y, x + side, y + side)) for x, y in corners]
    if len(cut) > 1:
        cut.append(resize(picture, side, side))
    return normalized(cut)


def whole(frames: Sequence[Image], side: int) -> Tensor:
    """Frames of a video, each one tile whatever its aspect: float32 [n, 3, side, side]."""
    return normalized([resize(Pillow.fromarray(frame), side, side) for frame in frames])


def normalized(pictures: Sequence[Pillow.Image]) -> Tensor:
    """Pictures of one size as float32 [n, 3, h, w] with ImageNet's mean and deviation taken out."""
    stacked = torch.stack([torch.from_numpy(np.asarray(picture).copy()) for picture in pictures])
    return stacked.permute(0, 3, 1, 2).float().div_(255).sub_(MEAN).div_(STD)


def region_cells(region: Mask, grid: int) -> Cells:
    """Cells of a grid × grid map that a region bool [h, w] takes: the pixel at each cell's corner decides.

    A region that is smaller than a cell takes the cell of its middle, so that no region is without features.
    """
    height, width = region.shape
    cells = cv2.resize(region.astype(np.uint8), (grid, grid), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    if not cells.any() and region.any():
        ys, xs = np.nonzero(region)
        cells[int(ys.mean() * grid / height), int(xs.mean() * grid / width)] = True
    return cells
