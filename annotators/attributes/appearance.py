"""What one view shows of an object: colours, shape, proportions, surface and size, and the words for them."""

from dataclasses import dataclass

import cv2
import numpy as np

from refsav.annotators.attributes.colours import ColourShare, colour_shares, main_colours
from refsav.annotators.attributes.shape_names import fit_shape
from refsav.annotators.attributes.silhouette import Silhouette
from refsav.datasets.masks import Mask

SIZES = ((0.0015, "tiny"), (0.017, "small"), (0.042, "medium-sized"), (0.2, "large"), (1.0, "very large"))
"""Largest share of the frame, fraction 0-1, for which each word is used."""

CLEAR_MAJORITY = 0.6
"""Share of the main colour from which the others are "some", fraction 0-1."""

EVEN_CONTRAST, STRONG_CONTRAST = 5.0, 16.0
"""Standard deviation of fine lightness, of 255, below which a surface is even and above which it is most uneven."""

UNSURE = "hard to tell apart from what is around it"
"""Added for an object with the colours of its surroundings: the description may be of both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """An object's looks in one view."""

    colours: tuple[ColourShare, ...]
    """All of its colours, the largest first."""
    shape: str
    """One of `shapes.SHAPES`; empty if no name fits clearly."""
    height_over_width: float
    """Of its box."""
    is_whole: bool
    """Whether shape and proportions are the object's own, not those of a cut or an unsure outline."""
    contrast: float
    """Standard deviation of fine lightness, of 255."""
    area_share: float
    """Share of the view, fraction 0-1."""
    is_clear: bool
    """Whether its colours differ clearly from its surroundings."""


def look_at(silhouette: Silhouette) -> Look:
    """Measure an object in a view."""
    region = silhouette.region
    shares = colour_shares(silhouette.picture, region)
    fit = fit_shape(region) if silhouette.is_whole else None
    _, _, width, height = cv2.boundingRect(region.view(np.uint8))
    return Look(
        colours=_shaded_white_first(shares),
        shape=fit.name if fit and fit.is_firm else "",
        height_over_width=height / width,
        is_whole=silhouette.is_whole,
        contrast=_contrast(silhouette, region),
        area_share=float(np.count_nonzero(region) / region.size),
        is_clear=silhouette.is_clear,
    )


def size_word(area_share: float) -> str:
    """Word for the part of the frame that an object covers."""
    return next(word for most, word in SIZES if area_share <= most)


def noun_phrase(look: Look, size: str = "") -> str:
    """Describe what an object looks like: "a small red ring-shaped object", "a mostly blue object with some black"."""
    names = main_colours(look.colours)
    mostly = len(names) > 1 and look.colours[0].share >= CLEAR_MAJORITY
    colours = f"mostly {names[0]}" if mostly else listed(names)
    words = " ".join(word for word in (size, colours, look.shape, "object") if word)
    phrase = f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    return f"{phrase} with some {listed(names[1:])}" if mostly else phrase


def details(look: Look) -> tuple[str, ...]:
    """Further phrases that the view supports, the most distinctive first; may be empty."""
    phrases = []
    if not look.is_clear:
        phrases.append(UNSURE)
    if look.is_whole and look.shape not in ("round", "square", "ring-shaped", "cross-shaped", "star-shaped"):
        phrases.append(_proportions(look.height_over_width))
    if look.is_clear and look.contrast >= STRONG_CONTRAST:
        phrases.append("strongly varied in light and dark")
    elif look.is_clear and look.contrast < EVEN_CONTRAST:
        phrases.append("even in tone")
    return tuple(phrase for phrase in phrases if phrase)


def listed(names: tuple[str, ...]) -> str:
    """Join words as English does: "red", "red and white", "red, white and black"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def _proportions(height_over_width: float) -> str:
    if height_over_width >= 1.3:
        return f"{'much ' if height_over_width >= 2.2 else ''}taller than it is wide"
    if height_over_width <= 1 / 1.3:
        return f"{'much ' if height_over_width <= 1 / 2.2 else ''}wider than it is tall"
    return ""


def _shaded_white_first(shares: tuple[ColourShare, ...]) -> tuple[ColourShare, ...]:
    """Call a thing white whose lit half is: the shaded side of white looks grey, that of grey never white."""
    if len(shares) > 1 and (shares[0].name, shares[1].name) == ("grey", "white") and shares[1].share >= 0.3:
        return shares[1], shares[0], *shares[2:]
    return shares


def _contrast(silhouette: Silhouette, region: Mask) -> float:
    """Standard deviation of lightness finer than a sixteenth of the object, away from its rim, of 255."""
    x, y, width, height = cv2.boundingRect(region.view(np.uint8))
    window = np.s_[y : y + height, x : x + width]
    side = float(np.sqrt(np.count_nonzero(region)))
    rim = max(3, round(0.08 * side) | 1)
    core = cv2.erode(region[window].view(np.uint8), np.ones((rim, rim), np.uint8), borderValue=0) > 0
    if np.count_nonzero(core) < 16:
        return EVEN_CONTRAST
    light = cv2.cvtColor(silhouette.picture[window], cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    fine = light - cv2.GaussianBlur(light, (0, 0), max(1.0, 0.06 * side))
    return float(np.std(fine[core]))
