"""Conversations in LLaVA's layout: messages that alternate between "human" and "gpt"."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from refsav.datasets.external.checked_json import Published
from refsav.datasets.training_examples.example import Turn
from refsav.errors import RecordError

PLACEHOLDERS = ("<image>", "<video>")
"""Placeholders of the image in a question; the model's adapter puts its own before the first question."""


class Message(Published):
    """One message of a conversation."""

    sender: Literal["human", "gpt", "system"] = Field(alias="from")
    value: str


def turns_of(messages: Sequence[Message], path: Path, where: str) -> tuple[Turn, ...]:
    """Pair questions with answers.

    System messages, answers before the first question and a last question without an answer are ignored. Consecutive
    messages of one sender are joined by a newline.

    Args:
        messages: The conversation, in order.
        path: The file that holds it, for the message of an error.
        where: Its place in the file.

    Raises:
        RecordError: If no question with an answer remains.
    """
    by_sender: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.sender == "system" or (not by_sender and message.sender == "gpt"):
            continue
        if not by_sender or by_sender[-1][0] != message.sender:
            by_sender.append((message.sender, []))
        by_sender[-1][1].append(_without_placeholders(message.value))
    texts = ["\n".join(values) for _, values in by_sender]
    turns = tuple(Turn(question, answer) for question, answer in zip(texts[::2], texts[1::2], strict=False))
    if not turns or not all(turn.answer for turn in turns):
        raise RecordError(path, where, "has a conversation without an answer", "leave it out")
    return turns


def _without_placeholders(text: str) -> str:
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, "")
    return text.strip()
