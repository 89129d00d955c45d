"""A complete caption engine, the example of docs/extend.md: it names the mean colour of what it is shown."""

import asyncio

import cv2
import numpy as np

from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply

NAMES = ("reddish", "greenish", "bluish")


class MeanColourEngine:
    """Answers every task from the mean colour of the last image; its judge finds all descriptions consistent."""

    requests_at_once = 2

    def __init__(self, config: EngineConfig) -> None:
        """Take the table [vlm] or [judge] of the configuration; contact nothing yet."""
        self._model = config.model or "mean-colour-1"

    async def check(self) -> str:
        """Return the model's name, which every record keeps; raise ServersDownError if nothing would answer."""
        return self._model

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request; raise EngineError if it can never be answered."""
        text = await asyncio.to_thread(_text, request)  # the event loop serves all objects: do not block it
        return Reply(
            text=text,
            finish_reason="stop",
            prompt_tokens=len(request.user.split()),
            completion_tokens=len(text.split()),
            confidence=0.5,  # read only where the request has choices
        )

    async def close(self) -> None:
        """Nothing to close."""


def _text(request: ChatRequest) -> str:
    if request.choices:  # the judge: one of these words, exactly
        return request.choices[0]
    if not request.images:
        raise EngineError(f"task {request.task}: the request has no image")
    image = cv2.imdecode(np.frombuffer(request.images[-1], np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise EngineError(f"task {request.task}: the last image cannot be decoded")
    return f"The object in this {request.task} view is {NAMES[int(np.argmax(image.mean(axis=(0, 1))))]}."
