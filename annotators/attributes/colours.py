"""Naming colours: pixels become shares of thirteen plain English colour names.

Every name stands for some sample colours; a pixel gets the name of the sample that is nearest in CIELAB. Lightness
counts less than hue there, because a thing's lit and shaded sides keep their name.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask

SAMPLES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((0, 0, 0), (22, 22, 24), (40, 40, 42), (44, 40, 38), (34, 38, 46)),
    "grey": ((76, 76, 78), (102, 102, 102), (128, 128, 128), (155, 155, 155), (180, 182, 184), (98, 104, 112)),
    "white": ((255, 255, 255), (238, 238, 236), (216, 216, 216), (242, 242, 250), (246, 244, 234)),
    "red": ((255, 0, 0), (206, 38, 38), (150, 24, 28), (110, 16, 22), (225, 58, 48), (190, 50, 60), (150, 10, 50)),
    "orange": ((255, 140, 0), (243, 128, 22), (206, 104, 24), (255, 165, 60), (240, 100, 40), (186, 94, 22)),
    "yellow": ((255, 255, 0), (236, 200, 48), (205, 172, 34), (250, 235, 110), (168, 142, 32), (210, 225, 60)),
    "green": ((0, 160, 0), (44, 150, 62), (30, 100, 40), (120, 180, 60), (90, 220, 110), (84, 108, 42), (20, 62, 30)),
    "turquoise": ((0, 220, 220), (40, 184, 200), (28, 132, 146), (64, 200, 170), (120, 225, 225), (20, 140, 130)),
    "blue": ((0, 0, 255), (38, 78, 204), (26, 52, 140), (60, 140, 240), (130, 190, 240), (20, 30, 80), (70, 100, 150)),
    "purple": ((126, 58, 178), (90, 38, 130), (160, 100, 210), (140, 40, 150), (60, 24, 84), (120, 80, 190)),
    "pink": ((242, 136, 186), (255, 105, 180), (250, 190, 205), (196, 104, 148), (255, 60, 150), (222, 130, 150)),
    "brown": ((110, 70, 36), (139, 90, 55), (82, 50, 30), (150, 105, 70), (98, 74, 58), (120, 60, 30), (62, 42, 30)),
    "beige": ((222, 200, 168), (196, 174, 142), (240, 222, 190), (176, 152, 122), (205, 180, 160), (214, 190, 150)),
}
"""Name to RGB samples, from dark to light shades that still bear the name."""

NAMES = tuple(SAMPLES)

NEIGHBOURS = {
    "black": ("grey", "brown", "blue"),
    "grey": ("black", "white", "beige", "brown", "blue"),
    "white": ("grey", "beige"),
    "red": ("orange", "pink", "brown", "purple"),
    "orange": ("red", "yellow", "brown", "pink", "beige"),
    "yellow": ("orange", "beige", "green"),
    "green": ("yellow", "turquoise"),
    "turquoise": ("green", "blue"),
    "blue": ("turquoise", "purple", "black", "grey"),
    "purple": ("blue", "pink", "red"),
    "pink": ("red", "purple", "orange", "beige"),
    "brown": ("red", "orange", "beige", "black", "grey"),
    "beige": ("brown", "white", "grey", "yellow", "orange", "pink"),
}
"""Names that two honest people may give to one surface."""

LIGHTNESS_WEIGHT = 0.7
"""Weight of a difference of lightness, relative to one of hue and saturation."""

BITS = 5
"""Bits kept of each channel when a pixel is looked up; a step of 8 is below what changes a name for a viewer."""

ENOUGH_SHARE = 0.15
"""A colour that covers less of a thing than this is not worth a word, fraction 0-1."""


class ColourShare(NamedTuple):
    """How much of a region has one colour."""

    name: str
    share: float
    """Fraction 0-1."""


def name_pixels(image: Image) -> npt.NDArray[np.uint8]:
    """Give each pixel of an RGB image [..., 3] the index of its colour's name in `NAMES`."""
    coarse = (image >> (8 - BITS)).astype(np.int32)
    with _ONE_MAKER:
        table = _table()
    return table[(coarse[..., 0] << 2 * BITS) + (coarse[..., 1] << BITS) + coarse[..., 2]]


def colour_shares(image: Image, region: Mask | None = None) -> tuple[ColourShare, ...]:
    """Colours of a region (default: the whole image) with their shares, the largest first; they sum to 1."""
    pixels = image.reshape(-1, 3) if region is None else image[region]
    if len(pixels) == 0:
        return ()
    counts = np.bincount(name_pixels(pixels), minlength=len(NAMES))
    order = np.argsort(-counts, kind="stable")
    return tuple(ColourShare(NAMES[place], float(counts[place] / len(pixels))) for place in order if counts[place])


def main_colours(shares: Sequence[ColourShare], most: int = 3) -> tuple[str, ...]:
    """Names of the colours that are worth mentioning, the largest first; empty only if `shares` is."""
    return tuple(entry.name for place, entry in enumerate(shares[:most]) if place == 0 or entry.share >= ENOUGH_SHARE)


def are_neighbours(first: str, second: str) -> bool:
    """Whether two different names may be given to the same surface."""
    return second in NEIGHBOURS[first]


_ONE_MAKER = threading.Lock()
"""Views of several objects are looked at in threads: without it each of them would make a table, 50 MB at a time."""


@lru_cache(maxsize=1)
def _table() -> npt.NDArray[np.uint8]:
    """Name index for every coarse colour, uint8 [2^(3 * BITS)]."""
    steps = (np.arange(2**BITS, dtype=np.float32) + 0.5) * (2.0 ** (8 - BITS))
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    samples = np.array([sample for group in SAMPLES.values() for sample in group], dtype=np.float32)
    owners = np.repeat(np.arange(len(NAMES)), [len(group) for group in SAMPLES.values()])
    apart = _lab(cube)[:, None, :] - _lab(samples)[None, :, :]
    return np.asarray(owners[np.argmin((apart * apart).sum(axis=-1), axis=1)], dtype=np.uint8)


def _lab(colours: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """CIELAB of RGB colours [N, 3] in 0-255, with lightness weighted."""
    lab = cv2.cvtColor((colours / 255)[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return np.asarray(lab * np.array([LIGHTNESS_WEIGHT, 1, 1], dtype=np.float32), dtype=np.float32)
