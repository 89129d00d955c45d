"""The backgrounds of synthetic scenes: concrete, wood, grass, carpet, sand and tiles in muted tones.

No tone is close to an object's colour, and no detail is so fine that the encoded video becomes large.
"""

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.frames import Image
from refsav.datasets.synthetic.scene import Ground

Field = npt.NDArray[np.float32]
"""float32 [H, W], brightness relative to the ground's tone."""

TONES: dict[Ground, tuple[tuple[int, int, int], ...]] = {
    "concrete": ((134, 133, 130), (116, 119, 122), (146, 142, 134)),
    "wood": ((128, 103, 80), (112, 92, 76), (141, 120, 98)),
    "grass": ((98, 108, 78), (88, 98, 74), (110, 112, 84)),
    "carpet": ((112, 104, 100), (96, 101, 108), (122, 112, 98)),
    "sand": ((158, 143, 119), (148, 138, 120), (140, 124, 104)),
    "tiles": ((138, 140, 136), (126, 118, 108), (112, 120, 118)),
}


def paint_ground(random: np.random.Generator, ground: Ground, size: tuple[int, int], unit_px: float) -> Image:
    """Paint a background.

    Args:
        random: The random generator.
        ground: The kind of background.
        size: (height, width), in pixels.
        unit_px: The scale of its texture, in pixels.

    Returns:
        uint8 RGB [H, W, 3].
    """
    light = _PAINTERS[ground](random, size, unit_px) + _lamp(random, size)
    tone = np.array(TONES[ground][random.integers(len(TONES[ground]))], dtype=np.float32)
    warmth = _noise(random, size, 3 * unit_px, 2)[..., None] * np.array([0.02, 0.0, -0.025], dtype=np.float32)
    return np.clip(tone * (1 + light[..., None] + warmth), 52, 196).astype(np.uint8)


def _noise(
    random: np.random.Generator, size: tuple[int, int], cell_px: float, octaves: int, stretch: float = 1.0
) -> Field:
    """Smooth noise, about -1 to 1; `stretch` elongates it along x."""
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        cell = max(2.0, cell_px / 2**octave)
        grid = (int(size[0] / cell) + 4, int(size[1] / (cell * stretch)) + 4)
        knots = random.standard_normal(grid, dtype=np.float32)
        total += cv2.resize(knots, size[::-1], interpolation=cv2.INTER_CUBIC) * np.float32(0.6**octave)
    return np.asarray(total * np.float32(0.55), dtype=np.float32)


def _lamp(random: np.random.Generator, size: tuple[int, int]) -> Field:
    """Light that decreases gradually from one side."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    angle = random.uniform(0, 2 * np.pi)
    slope = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    return np.asarray(0.08 * slope - 0.07 * (x * x + y * y) + 0.04, dtype=np.float32)


def _concrete(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    stains = np.minimum(_noise(random, size, 2.5 * unit_px, 3) + 0.35, 0)
    light = 0.05 * _noise(random, size, unit_px, 4) + 0.11 * stains + 0.02 * _noise(random, size, unit_px / 12, 1)
    return np.asarray(light, dtype=np.float32)


def _wood(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    plank = max(8, int(unit_px * random.uniform(0.9, 1.3)))
    rows = np.arange(size[0]) + int(random.integers(plank))
    tones = random.uniform(-0.09, 0.09, rows[-1] // plank + 1).astype(np.float32)
    light = 0.07 * _noise(random, size, unit_px / 3, 3, stretch=14) + tones[rows // plank][:, None]
    seam = np.minimum(rows % plank, plank - rows % plank) / max(1.0, unit_px / 32)
    light -= (0.34 * np.exp(-seam * seam)).astype(np.float32)[:, None]
    for row in range(rows[-1] // plank + 1):
        top, joint = row * plank - int(rows[0]), int(random.integers(size[1]))
        width = max(1, int(unit_px / 24))
        light[max(0, top) : max(0, top + plank), joint : joint + width] -= 0.2
    return np.asarray(cv2.GaussianBlur(light, (3, 3), 0.7), dtype=np.float32)


def _grass(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    blades = _noise(random, size[::-1], unit_px / 7, 2, stretch=3).T
    return 0.09 * _noise(random, size, 1.6 * unit_px, 3) + 0.08 * blades


def _carpet(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    step = np.float32(2 * np.pi / max(6.0, unit_px / 5))
    weave = np.sin(step * x) * np.sin(step * y)
    border = np.sin((x + y) * step / 9) * np.sin((x - y) * step / 9)
    light = 0.05 * weave + 0.05 * np.tanh(4 * border) + 0.05 * _noise(random, size, unit_px, 3)
    return np.asarray(light, dtype=np.float32)


def _sand(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    angle = random.uniform(-0.5, 0.5)
    warped = y * np.float32(np.cos(angle)) + x * np.float32(np.sin(angle))
    warped = warped + 0.22 * np.float32(unit_px) * _noise(random, size, 2 * unit_px, 2)
    ripples = np.sin(warped * np.float32(2 * np.pi / (0.42 * unit_px)))
    return np.asarray(
        0.05 * ripples + 0.05 * _noise(random, size, unit_px, 3) + 0.02 * _noise(random, size, unit_px / 12, 1),
        dtype=np.float32,
    )


def _tiles(random: np.random.Generator, size: tuple[int, int], unit_px: float) -> Field:
    tile = max(8, int(unit_px * random.uniform(1.1, 1.6)))
    y, x = (np.arange(length) + int(random.integers(tile)) for length in size)
    tones = random.uniform(-0.07, 0.07, (y[-1] // tile + 1, x[-1] // tile + 1)).astype(np.float32)
    light = tones[(y // tile)[:, None], (x // tile)[None, :]]
    width = max(1.0, unit_px / 26)
    edge_y, edge_x = (np.minimum(position % tile, tile - position % tile) / width for position in (y, x))
    edge = np.minimum(edge_y[:, None], edge_x[None, :])
    grout = (0.24 * np.exp(-edge * edge)).astype(np.float32)
    return np.asarray(light - grout + 0.05 * _noise(random, size, unit_px, 4), dtype=np.float32)


_PAINTERS = {
    "concrete": _concrete,
    "wood": _wood,
    "grass": _grass,
    "carpet": _carpet,
    "sand": _sand,
    "tiles": _tiles,
}
