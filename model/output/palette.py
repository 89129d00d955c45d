"""Colours that distinguish objects on any image, also for colour-blind people."""

import colorsys

Rgb = tuple[int, int, int]
"""Red, green and blue, 0-255."""

DISTINCT_COLOURS: tuple[Rgb, ...] = (
    (30, 144, 255),  # azure
    (255, 140, 0),  # orange
    (120, 255, 192),  # mint
    (255, 168, 240),  # pink
    (240, 48, 120),  # rose
    (240, 240, 120),  # straw
    (216, 0, 24),  # red
    (192, 24, 168),  # purple
    (120, 72, 255),  # violet
    (192, 255, 0),  # lime
    (0, 144, 48),  # green
    (144, 192, 96),  # moss
)
"""Chosen by a search that maximises the smallest distance between two colours in CIELAB, as seen with normal vision and
with each kind of colour blindness: at least 25 among the first eight, 18 among all. The order keeps the first n colours
as far apart as possible, for every n."""

GOLDEN = 0.618034
"""Golden ratio: hues at multiples of this share of the colour circle stay apart longest."""


def colours(count: int) -> tuple[Rgb, ...]:
    """Return a colour for each of `count` objects; an object's colour does not depend on how many follow it."""
    return DISTINCT_COLOURS[:count] + tuple(_generated(index) for index in range(count - len(DISTINCT_COLOURS)))


def _generated(index: int) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(
        0.03 + GOLDEN * index % 1, (0.55, 0.95)[index // 2 % 2], (1.0, 0.7)[index % 2]
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def is_light(colour: Rgb) -> bool:
    """Whether dark text is easier to read on a colour than white text (luma as in ITU-R BT.601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140
