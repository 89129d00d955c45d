"""Judging two descriptions by their attribute words: colours, shapes, proportions.

Each thing that both descriptions speak of adds to the log-odds that they mean one object. Words for what is around the
object do not count. Where the two have no kind of word in common, they do not contradict each other.
"""

import math
import re
from dataclasses import dataclass

from refsav.annotators.attributes.appearance import UNSURE
from refsav.annotators.attributes.colours import NAMES, are_neighbours
from refsav.annotators.attributes.shape_names import NEAR_SHAPES, SHAPES

COLOUR_WORDS = {name: name for name in NAMES} | {
    word: name
    for name, words in {
        "black": "jet",
        "grey": "gray greyish grayish silver silvery charcoal",
        "white": "whitish ivory",
        "red": "reddish crimson scarlet maroon burgundy",
        "orange": "orangish",
        "yellow": "yellowish golden gold",
        "green": "greenish olive lime",
        "turquoise": "cyan teal aqua aquamarine",
        "blue": "bluish navy azure indigo",
        "purple": "purplish violet lavender lilac",
        "pink": "pinkish magenta fuchsia",
        "brown": "brownish chocolate bronze chestnut",
        "beige": "tan cream sandy sand-coloured khaki",
    }.items()
    for word in words.split()
}
"""Word in a description to colour name."""

SHAPE_WORDS = {shape: shape for shape in SHAPES} | {
    word: shape
    for shape, words in {
        "round": "circle circular ball-shaped spherical disc disk",
        "oval": "ellipse elliptical egg-shaped",
        "square": "cube cubic",
        "rectangular": "rectangle bar-shaped oblong",
        "triangular": "triangle",
        "star-shaped": "star",
        "ring-shaped": "ring ringlike",
        "cross-shaped": "cross",
    }.items()
    for word in words.split()
}
"""Word in a description to shape."""

AROUND = re.compile(
    r"\b(?:against|in front of|next to|beside|behind|near|surrounded by|on (?:its|the) (?:left|right)"
    r"|(?:with )?something|(?:standing|sitting|lying|resting|walking|placed|set) (?:on|in|at|by)|close by|background"
    r")\b[^.;]*"
)
"""Text after these words is not about the object itself."""

COLOUR_WEIGHT, EVEN_AGREEMENT = 5.0, 0.55
"""Log-odds per unit of agreement, and the agreement (fraction 0-1) that speaks neither for nor against."""

SAME_SHAPE, NEAR_SHAPE, OTHER_SHAPE = 1.2, -0.4, -3.0
OTHER_PROPORTIONS = -0.8
UNSURE_FACTOR = 0.4
"""Weight of a contradiction if one description is unsure what belongs to the object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """The attribute words of a description, for comparison."""

    colours: dict[str, float]
    """Colour names with their weight: 1, or less where the text says "some"."""
    shape: str
    """Empty if the text names no shape."""
    proportions: str
    """ "tall", "wide" or empty."""
    is_unsure: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The result of comparing two descriptions."""

    consistent: bool
    confidence: float
    """Probability of that answer, fraction 0-1."""
    reason: str
    """One sentence that names the greatest contradiction."""


def read_attributes(description: str) -> Attributes:
    """Find the attribute words of an English description."""
    text = description.lower()
    own = AROUND.sub(" ", text.replace(UNSURE, " "))
    colours: dict[str, float] = {}
    weight = 1.0
    for word in re.findall(r"[a-z]+(?:-[a-z]+)*|[.,;]", own):
        if word in ("some", "little", "hint", "hints", "touch", "small"):
            weight = 0.5 if word != "small" else weight
        elif word in ".;":
            weight = 1.0
        name = COLOUR_WORDS.get(word) or COLOUR_WORDS.get(word.rpartition("-")[2])
        if name:
            colours[name] = max(weight, colours.get(name, 0.0))
    shapes = [SHAPE_WORDS[word] for word in re.findall(r"[a-z]+(?:-[a-z]+)*", own) if word in SHAPE_WORDS]
    tall, wide = ("taller than" in own or " tall " in own), ("wider than" in own or " wide " in own)
    return Attributes(
        colours=colours,
        shape=shapes[0] if shapes else "",
        proportions="tall" if tall and not wide else "wide" if wide and not tall else "",
        is_unsure=UNSURE in text,
    )


def judge(first: str, second: str) -> Judgement:
    """Judge whether two descriptions can be of one object, with a confidence and the strongest contradiction."""
    one, other = read_attributes(first), read_attributes(second)
    evidence: dict[str, float] = {}
    if one.colours and other.colours:
        evidence["colours"] = COLOUR_WEIGHT * (_agreement(one.colours, other.colours) - EVEN_AGREEMENT)
    if one.shape and other.shape:
        near = frozenset((one.shape, other.shape)) in NEAR_SHAPES
        evidence["shape"] = SAME_SHAPE if one.shape == other.shape else NEAR_SHAPE if near else OTHER_SHAPE
    if one.proportions and other.proportions and one.proportions != other.proportions:
        evidence["proportions"] = OTHER_PROPORTIONS
    if not evidence:
        return Judgement(consistent=True, confidence=0.5, reason="The two descriptions have nothing in common.")
    unsure = one.is_unsure or other.is_unsure
    odds = sum(value * UNSURE_FACTOR if unsure and value < 0 else value for value in evidence.values())
    worst = min(evidence, key=lambda kind: evidence[kind])
    return Judgement(consistent=odds >= 0, confidence=1 / (1 + math.exp(-abs(odds))), reason=_reason(worst, one, other))


def _agreement(one: dict[str, float], other: dict[str, float]) -> float:
    """How well each side's colours are found on the other side, fraction 0-1."""
    return (_found(one, other) + _found(other, one)) / 2


def _found(wanted: dict[str, float], present: dict[str, float]) -> float:
    total = 0.0
    for name, weight in wanted.items():
        total += weight * max(1.0 if name == there else 0.5 * are_neighbours(name, there) for there in present)
    return total / sum(wanted.values())


def _reason(kind: str, one: Attributes, other: Attributes) -> str:
    if kind == "colours":
        return f"The first description says {_joined(one.colours)}, the second {_joined(other.colours)}."
    if kind == "shape":
        return f"The first description says {one.shape}, the second {other.shape}."
    return f"The first description says that it is {one.proportions}, the second that it is {other.proportions}."


def _joined(colours: dict[str, float]) -> str:
    return " and ".join(colours)
