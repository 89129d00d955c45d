"""A contact sheet of a video: some frames with masks and frame numbers, and one legend."""

from collections.abc import Sequence

import cv2
import numpy as np

from refsav.datasets.contact_sheet import lay_out
from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.output import legend as legends
from refsav.model.output.legend import PANEL_RGB
from refsav.model.output.mask_overlay import draw_masks
from refsav.model.output.palette import colours
from refsav.model.output.text_drawing import render_line, width_px

MAX_TILES = 8
TILE_PX = 400
"""Longer side of a tile; a smaller video keeps its size."""
GAP_PX = 4
PORTRAIT_COLUMNS, LANDSCAPE_COLUMNS = 8, 4
"""Tiles in a row: portrait and landscape."""


class VideoContactSheet:
    """Collects the frames of a contact sheet from a stream of frames, evenly spaced from the first to the last."""

    def __init__(self, count: int, phrases: Sequence[str]) -> None:
        """Start a sheet.

        Args:
            count: Number of frames of the video.
            phrases: The phrase of each object, for the legend.
        """
        indices = np.linspace(0, count - 1, min(MAX_TILES, count))
        self._chosen = frozenset(int(index) for index in np.round(indices))
        self._phrases = tuple(phrases)
        self._tiles: list[Image] = []

    def add(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        """Draw a frame as a tile if it is one of the chosen ones.

        Args:
            index: The frame's number, from 0.
            frame: uint8 RGB [h, w, 3].
            masks: bool [h, w] for each object.
        """
        if index not in self._chosen:
            return
        scale = min(1.0, TILE_PX / max(frame.shape[:2]))
        size = (max(1, round(scale * frame.shape[1])), max(1, round(scale * frame.shape[0])))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        tile = draw_masks(small, [_resized(mask, size) for mask in masks], self._phrases, legend=False)
        _write_number(tile, str(index))
        self._tiles.append(tile)

    def sheet(self) -> Image:
        """Return the sheet, uint8 RGB [h, w, 3]. At least one tile must have been added."""
        height, width = self._tiles[0].shape[:2]
        columns = min(len(self._tiles), PORTRAIT_COLUMNS if 1.2 * width < height else LANDSCAPE_COLUMNS)
        tiles = lay_out(self._tiles, columns, GAP_PX, PANEL_RGB)
        panel = legends.plan(self._phrases, (tiles.shape[0], tiles.shape[1]), (1.0, 1.0))
        if not panel:
            return tiles
        sheet = np.empty((tiles.shape[0] + GAP_PX + panel.size[0], tiles.shape[1], 3), np.uint8)
        sheet[:] = PANEL_RGB
        sheet[: tiles.shape[0]] = tiles
        count = len(self._phrases)
        legends.paint(sheet, panel, (tiles.shape[0] + GAP_PX, 0), colours(count), [True] * count)
        return sheet


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize a mask, bool [h, w], to (width, height); parts thinner than a pixel remain visible."""
    small = cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small >= max(1, min(128, int(small.max()))), np.bool_)


def _write_number(tile: Image, number: str) -> None:
    """Write the frame's number into the top left corner, if there is room for it."""
    font = legends.font_px((tile.shape[0], tile.shape[1]))
    box = (round(1.5 * font), width_px(number, font) + font)
    if 2 * box[0] <= tile.shape[0] and 2 * box[1] <= tile.shape[1]:
        legends.blend(tile, (0, 0), np.full(box, 255, np.uint8), PANEL_RGB, legends.PANEL_OPACITY)
        legends.blend(tile, (round(0.1 * font), font // 2), render_line(number, font), legends.WHITE)
