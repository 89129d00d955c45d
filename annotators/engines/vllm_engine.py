"""The engine over vLLM servers: bounded, routed, retried, and light enough to keep them busy from one core."""

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
from refsav.annotators.engines.server_errors import asked_pause_s, cause_of, message_of
from refsav.datasets.records import STAGES
from refsav.errors import ConfigError

CHECK_TIMEOUT_S = 10.0
"""Seconds in which a server must say what it serves, and whether it is well."""

PASSING_STATUSES = frozenset({408, 409, 429})
"""Beside 5xx: refusals that another try may not meet."""

AGES = itertools.count()
"""Engines of this process in the order in which they were made."""


class _PassingError(Exception):
    """A try that failed in a way that the next one may not."""

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

    A request goes to the server that its route ranks first (rendezvous hashing: when servers come or go, most routes
    stay where they are and keep their prefix cache), the k-th try to the one ranked k-th.
    """

    def __init__(self, config: EngineConfig) -> None:
        """Prepare the connections; no server is asked yet. Raises ConfigError for a key that cannot be one."""
        self._config = config
        self._key = config.api_key()
        self._servers = [
            _Server(address, self._client(address), slots_of(address, config.in_flight_per_server))
            for address in dict.fromkeys(config.addresses)
        ]
        self._age = next(AGES)
        self._lost_in_a_row = 0
        self._pause = wait_random_exponential(multiplier=config.backoff_s, max=config.backoff_max_s)

    @property
    def requests_at_once(self) -> int:
        """Requests in flight at all servers together."""
        return self._config.in_flight_per_server * len(self._config.addresses)

    async def check(self) -> str:
        """Make sure that every server answers and serves the model; give the model's name.

        Raises:
            ServersDownError: If a server does not answer.
            ConfigError: If it does not serve the model, wants another key, or is no server of this protocol.
        """
        offers = await asyncio.gather(*(self._models(server) for server in self._servers))
        first = offers[0]
        if not self._config.model and len(first) != 1:
            raise ConfigError(
                f"{self._servers[0].address} serves {len(first)} models: {', '.join(first)}\n"
                "  fix: say which one in the key `model` of [vlm] or [judge]"
            )
        model = self._config.model or first[0]
        for server, offer in zip(self._servers, offers, strict=True):
            if model not in offer:
                raise ConfigError(
                    f"model {model!r} is not served at {server.address}, it serves: {', '.join(offer) or 'none'}\n"
                    "  fix: set the key `model` of [vlm] or [judge] to a served name, or leave it empty"
                )
        return model

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request.

        Raises:
            EngineError: If a server refused it, or all tries were used up.
            ServersDownError: If the tries were used up and no server is well, or too many requests in a row were lost.
        """
        body, ranked = chat_body(request), self._ranked(request.route or request.digest)
        tries = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
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
        except _PassingError as error:
            raise await self._lost(server, error) from None
        self._lost_in_a_row = 0
        return reply

    async def close(self) -> None:
        """Give back connections."""
        await asyncio.gather(*(server.client.close() for server in self._servers))

    async def _ask(self, server: _Server, body: dict[str, Any], request: ChatRequest) -> Reply:
        """One try."""
        async with server.slots.place(self._urgency(request)):
            begin = time.perf_counter()
            try:
                async with asyncio.timeout(self._config.timeout_s):
                    answer = await server.client.chat.completions.with_raw_response.create(**body)
                return read_reply(answer.content, request.choices, time.perf_counter() - begin)
            except openai.APIStatusError as error:
                raise self._refusal(server, error) from None
            except (TimeoutError, openai.APITimeoutError):
                raise _PassingError(f"gave no reply in {self._config.timeout_s:g} s") from None
            except openai.APIConnectionError as error:
                raise _PassingError(f"cannot be reached ({self._one_line(cause_of(error))})") from None
            except MalformedAnswerError as error:
                raise _PassingError(self._one_line(str(error))) from None

    def _urgency(self, request: ChatRequest) -> Urgency:
        """Older engines first, as they end their bundles; within one, objects that have come far before new ones."""
        return (self._age, -STAGES.index(STAGE_OF_TASK[request.task]))

    def _refusal(self, server: _Server, error: openai.APIStatusError) -> Exception:
        message = self._one_line(message_of(error))
        status = error.status_code
        if status in PASSING_STATUSES or status >= 500:
            return _PassingError(f"answers {status}: {message}", asked_pause_s(error))
        return EngineError(
            f"{server.address} refuses the request ({status}): {message}; fix: {self._remedy(status, message)}"
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

    async def _lost(self, server: _Server, error: _PassingError) -> EngineError | ServersDownError:
        """What a request whose tries are used up means: its own fault, or the end of the servers."""
        self._lost_in_a_row += 1
        told = f"{server.address} {error}"
        well = await asyncio.gather(*(self._is_well(each) for each in self._servers))
        # Counted after the look at the servers: requests lost at the same time all stop the build and are asked again
        # when it goes on, instead of some failing their objects; a reply in the meantime counts for the servers.
        if self._lost_in_a_row >= self._config.give_up_after:
            return ServersDownError(f"{self._lost_in_a_row} requests in a row got no reply, the last: {told}")
        if not any(well):
            return ServersDownError(
                f"no server is well any more; {told}\n  fix: start it again, then run the same command"
            )
        return EngineError(
            f"{told}; {self._config.tries} tries are used up; fix: look at the server's log, then refsav retry"
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, _PassingError) else 0.0
        return min(max(asked_s, self._pause(state)), self._config.backoff_max_s)

    def _ranked(self, route: str) -> list[_Server]:
        return sorted(self._servers, key=lambda server: hashlib.sha256(f"{server.address}\n{route}".encode()).digest())

    async def _models(self, server: _Server) -> list[str]:
        """Names of the models that a server serves."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return [model.id for model in (await server.client.models.list()).data]
        except openai.APIStatusError as error:
            if error.status_code >= 500:
                raise ServersDownError(f"{server.address} is not well: {self._one_line(message_of(error))}") from None
            message = self._one_line(message_of(error))
            remedy = self._remedy(error.status_code, message)
            raise ConfigError(f"{server.address} refuses ({error.status_code}): {message}\n  fix: {remedy}") from None
        except (TimeoutError, openai.APIConnectionError) as error:
            raise ServersDownError(
                f"no server answers at {server.address} ({self._one_line(cause_of(error))})\n"
                "  fix: start one with `refsav serve vlm` or `refsav serve judge`, or correct the key `addresses`"
            ) from None
        except (ValueError, TypeError, AttributeError, openai.OpenAIError):
            raise ConfigError(
                f"{server.address} answers, but not in OpenAI's protocol\n  fix: correct the address; most end with /v1"
            ) from None

    async def _is_well(self, server: _Server) -> bool:
        try:
            return bool(await self._models(server))
        except (ServersDownError, ConfigError):
            return False

    def _client(self, address: str) -> openai.AsyncOpenAI:
        # A proxy named in the environment is for the world outside, never for a server on this machine.
        local = urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost")
        return openai.AsyncOpenAI(
            base_url=address,
            api_key=self._key or "none",
            max_retries=0,
            timeout=openai.Timeout(self._config.timeout_s, connect=min(CHECK_TIMEOUT_S, self._config.timeout_s)),
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not local),
        )

    def _one_line(self, message: str) -> str:
        """A server's message as it may be shown: on one line, not endless, without the key."""
        # The key goes first: a cut through it would leave half of it to be read.
        shown = message.replace(self._key, "***") if self._key else message
        return " ".join(shown.split())[:300]
