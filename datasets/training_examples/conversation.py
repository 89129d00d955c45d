"""Conversations as LLaVA's files have them: messages of a human and of "gpt", one after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from refsav.datasets.external.checked_json import Published
from refsav.datasets.training_examples.example import Turn
from refsav.errors import RecordError

MARKS = ("<image>", "<video>")
"""What stands for the picture in a question; the model's adapter puts its own in front of the first."""


class Message(Published):
    """One message."""

    sender: Literal["human", "gpt", "system"] = Field(alias="from")
    value: str


def turns_of(messages: Sequence[Message], path: Path, where: str) -> tuple[Turn, ...]:
    """Pair questions with answers.

    What "gpt" says before any question is passed over, as is a last question without an answer, and what the system
    says. Messages of one side that follow each other are one.

    Raises:
        RecordError: If no answer is left; `path` and `where` say where the conversation stands.
    """
    said: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.sender == "system" or (not said and message.sender == "gpt"):
            continue
        if not said or said[-1][0] != message.sender:
            said.append((message.sender, []))
        said[-1][1].append(_plain(message.value))
    texts = ["\n".join(values) for _, values in said]
    turns = tuple(Turn(question, answer) for question, answer in zip(texts[::2], texts[1::2], strict=False))
    if not turns or not all(turn.answer for turn in turns):
        raise RecordError(path, where, "has a conversation without an answer", "leave it out")
    return turns


def _plain(text: str) -> str:
    for mark in MARKS:
        text = text.replace(mark, "")
    return text.strip()
