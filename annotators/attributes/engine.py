"""The embedded engine: classical vision and fixed sentences behind the interface of every engine.

It sees what a model sees: the images and fields of the request. Tokens are counted in words of the fields
and of the reply; images cost nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from refsav.annotators.attributes.judge import judge
from refsav.annotators.attributes.sentences import crop_text, masked_text, scene_text, video_text
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply, Task
from refsav.datasets.frames import Image

ScoredText = tuple[str, float]
"""A text and the confidence in it, fraction 0-1."""


MODEL = "attributes-1"
"""Raised when the same pixels get another description."""


class AttributesEngine:
    """Answers every task from pixels and attribute words, without a model or a network. Same request, same text."""

    requests_at_once = 4

    def __init__(self, config: EngineConfig) -> None:
        """There is nothing to configure: every engine takes the configuration that names it."""

    async def check(self) -> str:
        """Return its name; it always answers."""
        return MODEL

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request in a thread of its own. Raises EngineError."""
        return await asyncio.to_thread(_reply, request)

    async def close(self) -> None:
        """Nothing to close."""


def _reply(request: ChatRequest) -> Reply:
    started = time.perf_counter()
    text, confidence = _ANSWERS[request.task](request)
    return Reply(
        text=text,
        finish_reason="stop",
        prompt_tokens=sum(len(value.split()) for value in request.fields.values()),
        completion_tokens=len(text.split()),
        confidence=confidence,
        seconds=time.perf_counter() - started,
    )


def _crop(request: ChatRequest) -> ScoredText:
    return crop_text(_only_image(request)), 1.0


def _masked(request: ChatRequest) -> ScoredText:
    return masked_text(_only_image(request)), 1.0


def _scene(request: ChatRequest) -> ScoredText:
    return scene_text(_only_image(request), request.fields), 1.0


def _video(request: ChatRequest) -> ScoredText:
    if not request.images:
        raise EngineError("task video: the request holds no image")
    views = [_image(request, index) for index in range(len(request.images))]
    if len({view.shape for view in views}) > 1:
        raise EngineError("task video: the images of one video differ in size")
    return video_text(views, request.fields), 1.0


def _judge(request: ChatRequest) -> ScoredText:
    judgement = judge(_field(request, "first"), _field(request, "second"))
    word = "consistent" if judgement.consistent else "conflict"
    if word not in request.choices:
        raise EngineError(f"task judge: the answer {word!r} is not among the choices {list(request.choices)}")
    return word, judgement.confidence


def _judge_reason(request: ChatRequest) -> ScoredText:
    return judge(_field(request, "first"), _field(request, "second")).reason, 1.0


_ANSWERS: Mapping[Task, Callable[[ChatRequest], ScoredText]] = {
    "object-crop": _crop,
    "object-masked": _masked,
    "judge": _judge,
    "judge-reason": _judge_reason,
    "scene": _scene,
    "video": _video,
}


def _field(request: ChatRequest, name: str) -> str:
    if name not in request.fields:
        raise EngineError(f"task {request.task}: the request has no field {name!r}")
    return request.fields[name]


def _only_image(request: ChatRequest) -> Image:
    if len(request.images) != 1:
        raise EngineError(f"task {request.task}: the request holds {len(request.images)} images, not one")
    return _image(request, 0)


def _image(request: ChatRequest, index: int) -> Image:
    """Decode one image to uint8 RGB [H, W, 3]."""
    encoded = request.images[index]
    # OpenCV prints warnings about bytes that are not an image.
    is_jpeg = encoded.startswith(b"\xff\xd8")
    decoded = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR) if is_jpeg else None
    if decoded is None:
        raise EngineError(f"task {request.task}: image {index + 1} of {len(request.images)} is not a JPEG file")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
