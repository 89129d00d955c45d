"""Checks of replies: is it a description, or an empty, cut-off, refusing, repetitive or foreign text?"""

import re
from typing import Literal

from refsav.annotators.engines.engine import Reply
from refsav.errors import RefSavError


class ReplyError(RefSavError):
    """A reply cannot be used. The request is sent again with another seed; after the last attempt the object fails."""

    def __init__(self, problem: str, reply: Reply) -> None:
        shown = re.sub(r"\s+", " ", reply.text.strip())
        super().__init__(f"{problem}: {shown[:160]!r}")


REFUSALS = re.compile(
    r"^\W*(i(['’]m| am) (sorry|unable|not able)|sorry\b|i (can(['’]t|not)|cannot|won['’]t)\b|as an ai\b"
    r"|i(['’]m| am) an ai\b|unfortunately,? i (can|am)|(there is|i see) no (image|picture|photo))",
    re.IGNORECASE,
)
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to and or is are it its with by for from as that this which near while over under into "
        "behind beside has have his her their he she they not one two be was other",
    )
)
PREFACE = re.compile(r"^(sure|certainly|of course|okay|ok|here is|here's)(?![\w-])[^:.\n]{0,80}[:!]\s*", re.IGNORECASE)


def read_description(reply: Reply, language: Literal["en", "any"]) -> str:
    """Return the description on one line, without markup and preface.

    Args:
        reply: The model's reply.
        language: "en" refuses replies that are not English; "any" accepts every language.

    Raises:
        ReplyError: If the reply is empty, cut off, a refusal, a repetition, or not English.
    """
    # Chat templates that open the <think> block themselves leave only its end in the reply.
    text = reply.text.rpartition("</think>")[2].partition("<think>")[0]
    text = re.sub(r"[*_#`]{1,3}(?=\S)|(?<=\S)[*_#`]{1,3}", "", text)
    text = PREFACE.sub("", re.sub(r"\s+", " ", text).strip()).strip('"“” ')
    if not re.search(r"\w", text):
        raise ReplyError("the reply is empty", reply)
    if reply.finish_reason == "length":
        raise ReplyError("the reply was cut off at the token limit (raise max_tokens of the stage)", reply)
    if REFUSALS.search(text):
        raise ReplyError("the model refused", reply)
    if is_repetitive(text):
        raise ReplyError("the reply repeats itself", reply)
    if language == "en" and not looks_english(text):
        raise ReplyError("the reply is not English", reply)
    return text


def is_repetitive(text: str) -> bool:
    """True if one to eight words are repeated four times or more in a row, or few different words make a long text."""
    words = text.lower().split()
    for length in range(1, 9):
        run = 0
        for index in range(length, len(words)):
            run = run + 1 if words[index] == words[index - length] else 0
            if run >= 3 * length:
                return True
    longest_word = max((len(word) for word in words), default=0)
    return (len(words) >= 40 and len(set(words)) < 0.25 * len(words)) or longest_word > 80


def looks_english(text: str) -> bool:
    """True if nearly all letters are Latin and a text of eight words or more has English function words."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter < "ɐ" for letter in letters)
    if not letters or latin < 0.9 * len(letters):
        return False
    words = re.findall(r"[a-z']+", text.lower())
    known = sum(word in FUNCTION_WORDS for word in words)
    return len(words) < 8 or known >= 0.12 * len(words)
