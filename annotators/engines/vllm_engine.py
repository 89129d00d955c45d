"""The engine for vLLM servers: requests are bounded, routed by video and retried; one core keeps the servers busy."""

import asyncio
import hashlib
import itertools
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from refsav.annotators.engines.chat_protocol import MalformedAnswerError, chat_body, read_reply
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import STAGE_OF_TASK, ChatRequest, EngineError, Reply, ServersDownError
from refsav.annotators.engines.request_slots import Slots, Urgency, slots_of
from refsav.annotators.engines.server_errors import cause_of, message_of, requested_pause_s
from refsav.datasets.records import STAGES
from refsav.errors import ConfigError

CHECK_TIMEOUT_S = 10.0
"""Seconds in which a server must list its models."""

TRANSIENT_STATUSES = frozenset({408, 409, 429})
"""In addition to 5xx: errors that another try may avoid."""

AGES = itertools.count()
"""Numbers the engines of this process in the order in which they were made."""


class _TransientError(Exception):
    """A try failed in a way that the next one may avoid."""

    def __init__(self, problem: str, retry_after_s: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _Server:
    address: str
    client: openai.AsyncOpenAI
    slots: Slots


class VllmEngine:
    """Answers requests through one or more servers of one model.

    A request goes to the server that its route ranks first, the k-th try to the one ranked k-th. The ranks come from
    rendezvous hashing: when servers are added or removed, most routes keep their server and its prefix cache.
    """

    def __init__(self, config: EngineConfig) -> None:
        """Prepare the connections without contacting a server. Raises ConfigError if the API key cannot be used."""
        self._config = config
        self._key = config.api_key()
        self._servers = [
            _Server(address, self._client(address), slots_of(address, config.in_flight_per_server))
            for address in dict.fromkeys(config.addresses)
        ]
        self._age = next(AGES)
        self._failed_in_a_row = 0
        self._pause = wait_random_exponential(multiplier=config.backoff_s, max=config.backoff_max_s)

    @property
    def requests_at_once(self) -> int:
        """Requests in flight at all servers together."""
        return self._config.in_flight_per_server * len(self._config.addresses)

    async def check(self) -> str:
        """Check that every server answers and serves the model, and return the model's name.

        Raises:
            ServersDownError: If a server does not answer.
            ConfigError: If it does not serve the model, refuses the key, or does not speak this protocol.
        """
        offers = await asyncio.gather(*(self._models(server) for server in self._servers))
        first = offers[0]
        if not self._config.model and len(first) != 1:
            raise ConfigError(
                f"{self._servers[0].address} serves {len(first)} models: {', '.join(first)}",
                fix="choose one with the key `model` of [vlm] or [judge]",
            )
        model = self._config.model or first[0]
        for server, offer in zip(self._servers, offers, strict=True):
            if model not in offer:
                raise ConfigError(
                    f"model {model!r} is not served at {server.address}, it serves: {', '.join(offer) or 'none'}",
                    fix="set the key `model` of [vlm] or [judge] to a served name, or leave it empty",
                )
        return model

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request.

        Raises:
            EngineError: If a server refused it, or no try got a reply.
            ServersDownError: If no try got a reply and no server answers, or too many requests in a row failed.
        """
        body, ranked = chat_body(request), self._ranked(request.route or request.digest)
        tries = AsyncRetrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(self._config.tries),
            wait=self._wait_s,
            reraise=True,
        )
        server = ranked[0]
        try:
            async for attempt in tries:
                server = ranked[(attempt.retry_state.attempt_number - 1) % len(ranked)]
                with attempt:
                    reply = await self._ask(server, body, request)
        except _TransientError as error:
            raise await self._failure(server, error) from None
        self._failed_in_a_row = 0
        return reply

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(server.client.close() for server in self._servers))

    async def _ask(self, server: _Server, body: dict[str, Any], request: ChatRequest) -> Reply:
        """Send a request once."""
        async with server.slots.slot(self._urgency(request)):
            begin = time.perf_counter()
            try:
                async with asyncio.timeout(self._config.timeout_s):
                    answer = await server.client.chat.completions.with_raw_response.create(**body)
                return read_reply(answer.content, request.choices, time.perf_counter() - begin)
            except openai.APIStatusError as error:
                raise self._refusal(server, error) from None
            except (TimeoutError, openai.APITimeoutError):
                raise _TransientError(f"gave no reply in {self._config.timeout_s:g} s") from None
            except openai.APIConnectionError as error:
                raise _TransientError(f"cannot be reached ({self._one_line(cause_of(error))})") from None
            except MalformedAnswerError as error:
                raise _TransientError(self._one_line(str(error))) from None

    def _urgency(self, request: ChatRequest) -> Urgency:
        """Older engines first, so that their bundles finish; within one engine, later stages first."""
        return (self._age, -STAGES.index(STAGE_OF_TASK[request.task]))

    def _refusal(self, server: _Server, error: openai.APIStatusError) -> Exception:
        message = self._one_line(message_of(error))
        status = error.status_code
        if status in TRANSIENT_STATUSES or status >= 500:
            return _TransientError(f"answers {status}: {message}", requested_pause_s(error))
        return EngineError(
            f"{server.address} refuses the request ({status}): {message}", fix=self._remedy(status, message)
        )

    def _remedy(self, status: int, message: str) -> str:
        if status in (401, 403):
            return f"put the server's key into the environment variable {self._config.api_key_variable}"
        if status == 404:
            return "set the key `model` to a name that the server lists under /v1/models, and end the address with /v1"
        if any(word in message for word in ("context length", "max_model_len", "too long", "At most")):
            return (
                "lower views.frames, views.longest_side_px or the stage's max_tokens, "
                "or serve the model with a larger --max-model-len"
            )
        return "correct what the message names"

    async def _failure(self, server: _Server, error: _TransientError) -> EngineError | ServersDownError:
        """The error for a request without a reply: the request alone has failed, or the servers are down."""
        self._failed_in_a_row += 1
        problem = f"{server.address} {error}"
        answering = await asyncio.gather(*(self._is_up(each) for each in self._servers))
        # Counted after the check of the servers: requests that fail at the same time then all stop the build and are
        # sent again when it resumes, instead of some failing their objects. A reply in the meantime resets the count.
        if self._failed_in_a_row >= self._config.give_up_after:
            return ServersDownError(f"{self._failed_in_a_row} requests in a row got no reply, the last: {problem}")
        if not any(answering):
            return ServersDownError(
                f"no server answers any more; {problem}", fix="start it again, then run the same command"
            )
        return EngineError(
            f"{problem}; all {self._config.tries} tries failed", fix="see the server's log, then run refsav retry"
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        requested_s = error.retry_after_s if isinstance(error, _TransientError) else 0.0
        return min(max(requested_s, self._pause(state)), self._config.backoff_max_s)

    def _ranked(self, route: str) -> list[_Server]:
        return sorted(self._servers, key=lambda server: hashlib.sha256(f"{server.address}\n{route}".encode()).digest())

    async def _models(self, server: _Server) -> list[str]:
        """Names of the models that a server serves."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return [model.id for model in (await server.client.models.list()).data]
        except openai.APIStatusError as error:
            if error.status_code >= 500:
                raise ServersDownError(f"{server.address} does not work: {self._one_line(message_of(error))}") from None
            message = self._one_line(message_of(error))
            remedy = self._remedy(error.status_code, message)
            raise ConfigError(f"{server.address} refuses ({error.status_code}): {message}", fix=remedy) from None
        except (TimeoutError, openai.APIConnectionError) as error:
            raise ServersDownError(
                f"no server answers at {server.address} ({self._one_line(cause_of(error))})",
                fix="start one with `refsav serve vlm` or `refsav serve judge`, or correct the key `addresses`",
            ) from None
        except (ValueError, TypeError, AttributeError, openai.OpenAIError):
            raise ConfigError(
                f"{server.address} answers, but not in OpenAI's protocol",
                fix="correct the address; most end with /v1",
            ) from None

    async def _is_up(self, server: _Server) -> bool:
        try:
            return bool(await self._models(server))
        except (ServersDownError, ConfigError):
            return False

    def _client(self, address: str) -> openai.AsyncOpenAI:
        # A proxy from the environment is never for a server on this machine.
        local = urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost")
        return openai.AsyncOpenAI(
            base_url=address,
            api_key=self._key or "none",
            max_retries=0,
            timeout=openai.Timeout(self._config.timeout_s, connect=min(CHECK_TIMEOUT_S, self._config.timeout_s)),
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not local),
        )

    def _one_line(self, message: str) -> str:
        """A server's message on one line, shortened, without the API key."""
        # The key is removed before the text is cut: a cut through it would leave half of it readable.
        shown = message.replace(self._key, "***") if self._key else message
        return " ".join(shown.split())[:300]
