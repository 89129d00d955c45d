"""Draw text with the fonts inside OpenCV 5: Latin, Greek, Cyrillic, Chinese, Japanese and Korean.

Text looks the same on every machine, and no font has to be installed. Characters that the fonts lack are omitted; if
too little of a text would remain, it is not drawn at all. `result.json` contains every text in full.
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
"""uint8 [h, w]: how much of each pixel is covered, 0-255."""

FONT_WEIGHT = 500
"""Between regular (400) and semibold (600): video compression blurs thin strokes."""

ASCENT, DESCENT = 1.06, 0.28
"""How far the tallest and the deepest letters reach above and below the baseline, in font sizes."""

ELLIPSIS = "…"
NO_GLYPH = "□"
"""Replaces a letter that the fonts lack."""

MIN_DRAWABLE_SHARE = 0.6
"""A text is drawn if the fonts have at least this share of its letters."""

RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))
"""Scripts written from right to left, which OpenCV draws from left to right."""

_CJK = r"\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
_CLOSING_MARKS = r"、。，．：；！？）」』】》”’％…,.!?:;)"
_UNBREAKABLE = re.compile(rf"[{_CJK}][{_CLOSING_MARKS}]*|[^\s{_CJK}]+|\s+")
"""Lines are not broken inside these: a word, or a CJK character with the closing marks after it."""

_FONT = cv2.FontFace("sans")
_FONT_LOCK = threading.Lock()
"""OpenCV sets the weight on the shared font and releases the GIL while it draws."""


def width_px(text: str, font_px: int) -> int:
    """Return the width of one line of text, in pixels."""
    with _FONT_LOCK:
        _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _FONT, font_px, FONT_WEIGHT)
    return int(width)


def line_height_px(font_px: int) -> int:
    """Return the height of a line, with ascent and descent, in pixels."""
    return _baseline_px(font_px) + math.ceil(DESCENT * font_px)


def _baseline_px(font_px: int) -> int:
    return math.ceil(ASCENT * font_px)


@lru_cache(maxsize=256)
def render_line(text: str, font_px: int) -> Coverage:
    """Draw one line of text, uint8 [line height, width], 0-255; read-only, because it is cached for the next frame."""
    canvas = np.zeros((line_height_px(font_px), max(1, width_px(text, font_px) + font_px // 4)), np.uint8)
    with _FONT_LOCK:
        cv2.putText(canvas, text, (0, _baseline_px(font_px)), (255,), _FONT, font_px, FONT_WEIGHT)
    canvas.flags.writeable = False
    return canvas


@lru_cache(maxsize=1024)
def drawable_text(text: str) -> str:
    """Return the text as one line of drawable characters (no emoji or control characters); "" if too little remains."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    letters = [character for character in line if unicodedata.category(character)[0] in "LNM"]
    lost = sum(not _has_glyph(letter) for letter in letters)
    if not letters or len(letters) - lost < MIN_DRAWABLE_SHARE * len(letters):
        return ""
    drawn = (character if _has_glyph(character) else _replacement(character) for character in line)
    return " ".join("".join(drawn).split())


def _replacement(character: str) -> str:
    return NO_GLYPH if unicodedata.category(character)[0] in "LN" else ""


@lru_cache(maxsize=8192)
def _has_glyph(character: str) -> bool:
    if character in " ?":
        return True
    if not character.isprintable() or unicodedata.bidirectional(character) in RIGHT_TO_LEFT:
        return False
    # OpenCV silently draws a question mark for a character that the fonts lack.
    return not np.array_equal(render_line.__wrapped__(character, 16), render_line.__wrapped__("?", 16))


def wrap_text(text: str, font_px: int, room_px: int, max_lines: int) -> tuple[str, ...]:
    """Wrap a text; if it does not fit, the last line ends with an ellipsis.

    Args:
        text: One line, from `drawable_text`.
        font_px: Font size in pixels.
        room_px: Width of the widest line, in pixels.
        max_lines: Largest number of lines.
    """
    lines: list[str] = []
    waiting = _UNBREAKABLE.findall(text)
    while waiting and len(lines) < max_lines:
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
