"""The embedded annotator's sentences for each kind of view: from images and words to text."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from refsav.annotators.attributes.appearance import UNSURE, details, listed, look_at, noun_phrase, size_word
from refsav.annotators.attributes.judge import read_attributes
from refsav.annotators.attributes.movement import (
    Movement,
    Sighting,
    growth_words,
    movement_of,
    movement_words,
    visibility_words,
)
from refsav.annotators.attributes.outline import Outlined, find_outline
from refsav.annotators.attributes.silhouette import find_in_crop, find_in_masked
from refsav.annotators.attributes.surroundings import background_words, look_around, neighbour_words, place_words
from refsav.annotators.attributes.view_motion import camera_words
from refsav.datasets.frames import Image

SIZE_WORDS = re.compile(r"\b(tiny|small|little|medium-sized|large|big|huge)\b", re.IGNORECASE)
LONG_DESCRIPTION = 14
"""Words of a description from which less is added about the surroundings."""

HERE = "It is "
"""How the sentence on an object's place begins; it holds for one moment of the video."""


def crop_text(view: Image) -> str:
    """Describe the object in the middle of a crop. A crop does not show how large it is in the scene."""
    look = look_at(find_in_crop(view))
    return _sentence([noun_phrase(look), *details(look)])


def masked_text(view: Image) -> str:
    """Describe the object in a frame in which everything else is painted over."""
    silhouette = find_in_masked(view)
    if silhouette is None:
        return _sentence(["a grey object", UNSURE])
    look = look_at(silhouette)
    return _sentence([noun_phrase(look, size_word(look.area_share)), *details(look)])


def scene_text(view: Image, fields: Mapping[str, str]) -> str:
    """Extend the description: where the outlined object is, how large, and what is around it.

    Of the two descriptions the one from the masked view is taken, if given: no other object could get into it.
    """
    description = (fields.get("masked") or fields.get("description") or "An object.").strip()
    outlined = find_outline(view, read_attributes(description).colours)
    if outlined is None:
        return description
    around = look_around(view, outlined)
    place = place_words(outlined.centre)
    if not SIZE_WORDS.search(description):
        place = f"{size_word(outlined.area_share)}, {place}"
    neighbours = neighbour_words(around, most=2 if len(description.split()) <= LONG_DESCRIPTION else 1)
    parts = [HERE + place, background_words(around), neighbours]
    return f"{_ended(description)} {_sentence(parts)}"


def video_text(views: Sequence[Image], fields: Mapping[str, str]) -> str:
    """Extend the scene's description: what the outlined object does through the frames."""
    description = _ended((fields.get("description") or "An object.").strip())
    hidden = {int(number) - 1 for number in re.findall(r"\d+", fields.get("hidden", ""))}
    colours = read_attributes(description).colours
    outlines = [None if place in hidden else find_outline(view, colours) for place, view in enumerate(views)]
    height, width = views[0].shape[:2]
    movement = movement_of([_sighting(outlined) for outlined in outlines], float(np.hypot(height, width)))
    if movement is None:
        return f"{description} It is never in view long enough to tell how it moves."
    if movement.direction:
        description = description.replace(f" {HERE}", " At one moment it is ", 1)
    found = [outlined for outlined in outlines if outlined is not None]
    sentences = [_movement_sentence(movement, found[0], found[-1], camera_words(views, outlines))]
    phrases = visibility_words(movement.seen)
    if phrases:
        sentences.append(_sentence([f"it {listed(phrases)}"]))
    return " ".join([description, *sentences])


def _movement_sentence(movement: Movement, first: Outlined, last: Outlined, camera: str) -> str:
    # Seen from a moving camera, it is the way on the screen that the frames show.
    words = movement_words(movement) + (" on the screen" if camera.startswith("moves") else "")
    start, end = (place_words(outlined.centre).partition(" ")[2] for outlined in (first, last))
    if movement.direction and start != end:
        words += f", from {start} to {end}"
    return _sentence([f"it {words}", growth_words(movement), f"while the camera {camera}" if camera else ""])


def _sighting(outlined: Outlined | None) -> Sighting | None:
    if outlined is None:
        return None
    height, width = outlined.region.shape
    x, y = outlined.centre
    x0, y0, x1, y1 = outlined.box
    area_px = int(np.count_nonzero(outlined.region))
    return Sighting((x * width, y * height), area_px, (y1 - y0) / (x1 - x0), outlined.meets_edge)


def _sentence(parts: Sequence[str]) -> str:
    text = ", ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
