"""Colours that tell objects apart on any picture, and to colour-blind eyes as well."""

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
"""Searched for the largest least distance in CIELAB, as seen with and without each kind of colour blindness: at least
25 among the first eight, 18 among all. They come in the order that keeps those in use furthest apart."""

GOLDEN = 0.618034
"""Steps of this share of the colour circle never come close to an earlier one soon."""


def colours(count: int) -> tuple[Rgb, ...]:
    """Give a colour for each of `count` objects; an object's colour does not depend on how many follow it."""
    return DISTINCT_COLOURS[:count] + tuple(_generated(place) for place in range(count - len(DISTINCT_COLOURS)))


def _generated(place: int) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(
        0.03 + GOLDEN * place % 1, (0.55, 0.95)[place // 2 % 2], (1.0, 0.7)[place % 2]
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def is_light(colour: Rgb) -> bool:
    """Whether dark writing is read more easily on a colour than white writing."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140
