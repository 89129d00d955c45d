"""A sheet with some frames of a video, for a quick look: tiles with their frames' numbers, and the legend once."""

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
UPRIGHT_COLUMNS, OTHER_COLUMNS = 8, 4
"""So many tiles stand side by side, upright ones and others."""


class VideoContactSheet:
    """Collects the frames of a sheet while a video goes by, spread evenly from the first to the last."""

    def __init__(self, count: int, phrases: Sequence[str]) -> None:
        """Begin a sheet of a video of `count` frames."""
        places = np.linspace(0, count - 1, min(MAX_TILES, count))
        self._wanted = frozenset(int(place) for place in np.round(places))
        self._phrases = tuple(phrases)
        self._tiles: list[Image] = []

    def add(self, index: int, frame: Image, masks: Sequence[Mask]) -> None:
        """Look at a frame, uint8 RGB [h, w, 3] with a mask bool [h, w] for each object, and keep it if it is due."""
        if index not in self._wanted:
            return
        scale = min(1.0, TILE_PX / max(frame.shape[:2]))
        size = (max(1, round(scale * frame.shape[1])), max(1, round(scale * frame.shape[0])))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        tile = draw_masks(small, [_resized(mask, size) for mask in masks], self._phrases, legend=False)
        _tell(tile, str(index))
        self._tiles.append(tile)

    def sheet(self) -> Image:
        """Give the sheet, uint8 RGB [h, w, 3]; there must be at least one tile."""
        height, width = self._tiles[0].shape[:2]
        columns = min(len(self._tiles), UPRIGHT_COLUMNS if 1.2 * width < height else OTHER_COLUMNS)
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
    """Resize a mask to (width, height); what is thinner than a pixel stays visible."""
    small = cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small >= max(1, min(128, int(small.max()))), np.bool_)


def _tell(tile: Image, number: str) -> None:
    """Write a frame's number into the corner, where there is room for it."""
    font = legends.font_px((tile.shape[0], tile.shape[1]))
    box = (round(1.5 * font), width_px(number, font) + font)
    if 2 * box[0] <= tile.shape[0] and 2 * box[1] <= tile.shape[1]:
        legends.blend(tile, (0, 0), np.full(box, 255, np.uint8), PANEL_RGB, legends.PANEL_OPACITY)
        legends.blend(tile, (round(0.1 * font), font // 2), render_line(number, font), legends.WHITE)
