"""OpenAI's chat protocol as vLLM speaks it: from requests to bodies, from responses to replies. No network here."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from refsav.annotators.engines.engine import ChatRequest, Reply

TOP_LOGPROBS = 20
"""How many alternative tokens a server lists with their probabilities at each step; vLLM's limit."""


class MalformedAnswerError(Exception):
    """The response is not a chat completion: not JSON, or without a choice."""


def chat_body(request: ChatRequest) -> dict[str, Any]:
    """Return the body of POST /v1/chat/completions; what only vLLM understands is under "extra_body"."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": _content(request)}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "max_tokens": request.sampling.max_tokens,
        "temperature": request.sampling.temperature,
        "seed": request.sampling.seed,
    }
    if request.choices:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        body["extra_body"] = {"structured_outputs": {"choice": list(request.choices)}}
    return body


def _content(request: ChatRequest) -> str | list[dict[str, Any]]:
    if not request.images:
        return request.user
    images = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")}}
        for image in request.images
    ]
    return [*images, {"type": "text", "text": request.user}]


def read_reply(content: bytes, choices: Sequence[str], seconds: float) -> Reply:
    """Read the body of a response with status 200.

    Args:
        content: The body.
        choices: The only replies that the request allowed; empty for free text.
        seconds: How long the response took.

    Raises:
        MalformedAnswerError: If it is not a chat completion.
    """
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        text = _sound(choice["message"]["content"] or "")
        usage = answer.get("usage") or {}
        return Reply(
            text=text,
            finish_reason=_sound(str(choice["finish_reason"])),
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
            confidence=_confidence(text, choices, choice.get("logprobs")) if choices else 1.0,
            seconds=seconds,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        shown = " ".join(content[:200].decode("utf-8", "replace").split())
        problem = f"answers with something that is not a chat completion ({type(error).__name__})"
        raise MalformedAnswerError(f"{problem}: {shown[:80]!r}") from error


def _sound(text: str) -> str:
    """Replace half a surrogate pair by "?": a reply that was cut within a character can end in one."""
    return text.encode(errors="replace").decode()


def _confidence(text: str, choices: Sequence[str], logprobs: Mapping[str, Any] | None) -> float:
    answer = text.strip()
    if answer not in choices:
        return 0.0
    steps = [
        (str(step["token"]), [(str(top["token"]), float(top["logprob"])) for top in step["top_logprobs"]])
        for step in (logprobs or {}).get("content") or ()
    ]
    return choice_confidence(answer, choices, steps)


def choice_confidence(
    answer: str, choices: Sequence[str], steps: Sequence[tuple[str, Sequence[tuple[str, float]]]]
) -> float:
    """Probability of an answer among the choices, from the alternatives that the server lists.

    The reply is followed token by token. An alternative that can only become this answer counts for it; one that can
    only become another choice counts against it. An alternative that leaves both open ("con" of "consistent" and
    "conflict") counts for neither; if it is the token of the reply, its probability weights the next step. The walk
    ends where the reply can only become one choice. Alternatives that lead to no choice are ignored, so that the
    result does not depend on whether the server masks them.

    Args:
        answer: The choice in the reply.
        choices: All choices that the request allowed.
        steps: For each token of the reply: its text, and (text, log-probability) of the likeliest alternatives.

    Returns:
        Fraction 0-1. 1 / len(choices) without usable alternatives, as from a server without log-probabilities.
    """
    said, weight = "", 1.0
    for_answer = against = 0.0
    for token, alternatives in steps:
        probabilities = {text: math.exp(logprob) for text, logprob in alternatives}
        for text, probability in probabilities.items():
            reachable = _reachable(said + text, choices)
            if reachable == {answer}:
                for_answer += weight * probability
            elif reachable and answer not in reachable:
                against += weight * probability
        said += token
        weight *= probabilities.get(token, 0.0)
        if len(_reachable(said, choices)) <= 1:
            break
    total = for_answer + against
    return for_answer / total if total > 0 else 1 / len(choices)


def _reachable(said: str, choices: Sequence[str]) -> set[str]:
    """The choices that start with this text; leading blanks are ignored."""
    beginning = said.lstrip()
    return {choice for choice in choices if choice.startswith(beginning)} if beginning else set()
