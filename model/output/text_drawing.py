"""Text as pixels, in the fonts that OpenCV 5 brings along: Latin, Greek, Cyrillic, Chinese, Japanese and Korean.

They look the same on every machine, and none has to be installed. What they cannot draw is left out, and a text of
which too little would remain is given up as a whole: the reader still has it in `result.json`.
"""

import math
import re
import threading
import unicodedata
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Coverage = npt.NDArray[np.uint8]
"""uint8 [h, w]: how much of a pixel is covered, 0-255."""

FONT_WEIGHT = 500
"""Between regular (400) and semibold (600): thin strokes drown in a video."""

ASCENT, DESCENT = 1.06, 0.28
"""How far the tallest and the deepest letters reach from the line that they stand on, in heights of the font."""

ELLIPSIS = "…"
NO_GLYPH = "□"
"""Stands for a letter that the fonts lack."""

MIN_DRAWABLE_SHARE = 0.6
"""A text of whose letters fewer can be drawn says nothing any more."""

RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))
"""OpenCV sets these scripts from left to right, which nobody can read."""

_WIDE = r"\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
_CLOSING = r"、。，．：；！？）」』】》”’％…,.!?:;)"
_UNBROKEN = re.compile(rf"[{_WIDE}][{_CLOSING}]*|[^\s{_WIDE}]+|\s+")
"""What a line is not broken inside of: a word, or one Chinese character and the marks that close it."""

_FONT = cv2.FontFace("sans")
_ONE_AT_A_TIME = threading.Lock()
"""OpenCV keeps the font's weight in the font itself and lets other threads run meanwhile."""


def width_px(text: str, font_px: int) -> int:
    """Measure one line of text."""
    with _ONE_AT_A_TIME:
        _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _FONT, font_px, FONT_WEIGHT)
    return int(width)


def line_height_px(font_px: int) -> int:
    """Height of a line with the space that it needs above and below."""
    return _baseline_px(font_px) + math.ceil(DESCENT * font_px)


def _baseline_px(font_px: int) -> int:
    return math.ceil(ASCENT * font_px)


@lru_cache(maxsize=256)
def render_line(text: str, font_px: int) -> Coverage:
    """Draw one line of text, uint8 [line height, width], 0-255; read-only, because it is cached for the next frame."""
    canvas = np.zeros((line_height_px(font_px), max(1, width_px(text, font_px) + font_px // 4)), np.uint8)
    with _ONE_AT_A_TIME:
        cv2.putText(canvas, text, (0, _baseline_px(font_px)), (255,), _FONT, font_px, FONT_WEIGHT)
    canvas.flags.writeable = False
    return canvas


@lru_cache(maxsize=1024)
def drawable_text(text: str) -> str:
    """Give a text as one line of what can be drawn: no emoji, no control characters; "" if too little would remain."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    letters = [character for character in line if unicodedata.category(character)[0] in "LNM"]
    lost = sum(not _has_glyph(letter) for letter in letters)
    if not letters or len(letters) - lost < MIN_DRAWABLE_SHARE * len(letters):
        return ""
    drawn = (character if _has_glyph(character) else _instead_of(character) for character in line)
    return " ".join("".join(drawn).split())


def _instead_of(character: str) -> str:
    return NO_GLYPH if unicodedata.category(character)[0] in "LN" else ""


@lru_cache(maxsize=8192)
def _has_glyph(character: str) -> bool:
    if character in " ?":
        return True
    if not character.isprintable() or unicodedata.bidirectional(character) in RIGHT_TO_LEFT:
        return False
    # OpenCV draws a question mark for what it does not know, and says nothing.
    return not np.array_equal(render_line.__wrapped__(character, 16), render_line.__wrapped__("?", 16))


def wrap_text(text: str, font_px: int, room_px: int, most_lines: int) -> tuple[str, ...]:
    """Break a text of one line into some that are no wider than `room_px`; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    waiting = _UNBROKEN.findall(text)
    while waiting and len(lines) < most_lines:
        line = ""
        while waiting and width_px((line + waiting[0]).rstrip(), font_px) <= room_px:
            line += waiting.pop(0)
        if waiting and not line.strip():  # a word wider than the line
            line = _longest_start(waiting[0], font_px, room_px)
            waiting[0] = waiting[0][len(line) :]
        lines.append(line.strip())
        while waiting and not waiting[0].strip():
            waiting.pop(0)
    if waiting:
        lines[-1] = _shortened(lines[-1] + " " + waiting[0], font_px, room_px)
    return tuple(lines)


def _longest_start(word: str, font_px: int, room_px: int) -> str:
    length = 1
    while length < len(word) and width_px(word[: length + 1], font_px) <= room_px:
        length += 1
    return word[:length]


def _shortened(line: str, font_px: int, room_px: int) -> str:
    while line and width_px(line.rstrip() + ELLIPSIS, font_px) > room_px:
        line = line[:-1]
    return line.rstrip(" ,.;:，。、；：") + ELLIPSIS
