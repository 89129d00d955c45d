"""InternVL's square tiles of an image, and the feature cells that a marked region takes of the last tile.

Source: InternVL, `dynamic_preprocess`.
"""

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
    """Return the number of columns and rows of tiles whose aspect ratio is nearest to the image's.

    Of equally near grids, a larger one wins if the image has more than half of its pixels.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        most: Largest number of tiles.
        side: Side of a tile, in pixels.
    """
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
    """Cut an image into tiles and normalize them.

    Args:
        frame: uint8 RGB [h, w, 3].
        most: Largest number of tiles, without the thumbnail.
        side: Side of a tile, in pixels.

    Returns:
        float32 [n, 3, side, side]: the tiles row by row, then a thumbnail of the image if there are several.
    """
    image = Pillow.fromarray(frame)
    columns, rows = tile_grid(image.height, image.width, most, side)
    grid = resize(image, side * columns, side * rows)
    corners = [(side * column, side * row) for row in range(rows) for column in range(columns)]
    cut = [grid.crop((x, y, x + side, y + side)) for x, y in corners]
    if len(cut) > 1:
        cut.append(resize(image, side, side))
    return normalized(cut)


def whole(frames: Sequence[Image], side: int) -> Tensor:
    """Resize each frame of a video, uint8 RGB [h, w, 3], to one normalized tile: float32 [n, 3, side, side]."""
    return normalized([resize(Pillow.fromarray(frame), side, side) for frame in frames])


def normalized(images: Sequence[Pillow.Image]) -> Tensor:
    """Return images of one size as float32 [n, 3, h, w], normalized with ImageNet's mean and standard deviation."""
    stacked = torch.stack([torch.from_numpy(np.asarray(image).copy()) for image in images])
    return stacked.permute(0, 3, 1, 2).float().div_(255).sub_(MEAN).div_(STD)


def region_cells(region: Mask, grid: int) -> Cells:
    """Return the cells of the feature map that a region takes; the pixel at a cell's corner decides.

    A region that covers no such pixel takes the cell of its centroid, so that every region has features.

    Args:
        region: bool [h, w].
        grid: Side of the feature map, in cells.

    Returns:
        bool [grid, grid].
    """
    height, width = region.shape
    cells = cv2.resize(region.astype(np.uint8), (grid, grid), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    if not cells.any() and region.any():
        ys, xs = np.nonzero(region)
        cells[int(ys.mean() * grid / height), int(xs.mean() * grid / width)] = True
    return cells
