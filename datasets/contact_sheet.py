"""Contact sheets: images of one size in rows, for a quick look."""

from collections.abc import Sequence

import numpy as np

from refsav.datasets.frames import Image


def lay_out(tiles: Sequence[Image], columns: int, gap_px: int, background_rgb: tuple[int, int, int]) -> Image:
    """Arrange images of one size in rows.

    Args:
        tiles: At least one image, uint8 RGB [h, w, 3].
        columns: Images per row; fewer images than that make a narrower sheet.
        gap_px: Space between images, in pixels.
        background_rgb: Colour of the gaps and of empty cells.

    Returns:
        The sheet, uint8 RGB [H, W, 3].
    """
    height, width = (side + gap_px for side in tiles[0].shape[:2])
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.empty((rows * height - gap_px, columns * width - gap_px, 3), np.uint8)
    sheet[:] = background_rgb
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet
