"""The interface of every caption engine: a request goes in, a reply comes out. A model sees nothing but the request."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from refsav.datasets.records import Stage
from refsav.errors import RefSavError

Task = Literal["object-crop", "object-masked", "judge", "judge-reason", "scene", "video"]
"""The task of a request; also the name of its prompt file."""

STAGE_OF_TASK: Mapping[Task, Stage] = {
    "object-crop": "object",
    "object-masked": "object",
    "judge": "judge",
    "judge-reason": "judge",
    "scene": "scene",
    "video": "video",
}


class EngineError(RefSavError):
    """A request failed: the server refused it, or no try got a reply."""


class ServersDownError(RefSavError):
    """No server answers; the build stops, and the same command resumes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a reply is sampled."""

    max_tokens: int
    temperature: float
    seed: int
    """Increases with every attempt, so that an attempt after an unusable reply is a different request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """Everything that a model sees, and its task."""

    task: Task
    model: str
    """Model name as the server lists it; the embedded engine's own name otherwise."""
    system: str
    user: str
    """The text of the prompt file with its fields filled in."""
    fields: Mapping[str, str]
    """The values of the prompt's fields; the embedded engine reads these where a model reads `user`."""
    images: tuple[bytes, ...]
    """JPEG files, in the order in which the user text mentions them."""
    sampling: Sampling
    choices: tuple[str, ...] = ()
    """If given, the reply is one of these, with its probability."""
    route: str = ""
    """Video id: requests of one video go to the same server and hit its prefix cache. Not part of the digest."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 over everything that can change the reply."""
        head = json.dumps(
            [
                self.task,
                self.model,
                self.system,
                self.user,
                self.sampling.max_tokens,
                self.sampling.temperature,
                self.sampling.seed,
                self.choices,
                [len(image) for image in self.images],
            ],
            ensure_ascii=False,
        )
        digest = hashlib.sha256(head.encode())
        for image in self.images:
            digest.update(image)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The reply to one request."""

    text: str
    finish_reason: str
    """ "stop" for a complete reply, "length" for one that was cut off at max_tokens."""
    prompt_tokens: int
    completion_tokens: int
    confidence: float = 1.0
    """Probability of the chosen answer among `choices`, fraction 0-1; 1 for free text."""
    seconds: float = 0.0
    """Wall time of the request."""


class Engine(Protocol):
    """Anything that answers requests. The class takes an EngineConfig and is listed in the registry."""

    @property
    def requests_at_once(self) -> int:
        """How many requests the engine works on at a time: a build keeps twice as many objects in memory."""
        ...

    async def check(self) -> str:
        """Check that requests will be answered, and return the model's name. Raises ServersDownError, ConfigError."""
        ...

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError, ServersDownError."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
