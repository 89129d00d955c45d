"""A server with OpenAI's chat protocol that answers from a digest of the request, and fails in every way servers do.

In a test:    with running(Options(rate=0.1)) as server: server.address, server.stats()
As a process: python tests/support/faulty_server.py --rate 0.1 --paid-log paid.txt      (prints its address first)

The same request gets the same answer, and its n-th repetition the same fault, independent of other requests.
"""

import argparse
import asyncio
import hashlib
import json
import math
import random
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

PASSING_FAULTS = ("500", "429", "503", "malformed", "html", "slow", "closed", "empty", "no-choices")
"""Faults that another try may not meet."""

FINAL_FAULT = "too-long"
"""A prompt over the context length: HTTP 400, every time the request comes."""

WORDS = (
    ("A", "The", "This"),
    ("small", "large", "tall", "narrow", "round", "long"),
    ("red", "blue", "green", "white", "black", "brown", "grey", "yellow"),
    ("car", "dog", "person", "bicycle", "box", "bird", "boat", "chair"),
    ("stands", "moves slowly", "turns", "rests", "waits"),
    ("near", "behind", "beside", "in front of", "to the left of"),
    ("a wooden fence", "the wet road", "an old wall", "the open door", "a parked van"),
    ("while", "as", "and"),
    ("people walk past", "leaves fall around it", "the camera follows it", "the light changes", "nothing else moves"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How the server behaves."""

    port: int = 0
    model: str = "faulty"
    rate: float = 0.0
    """Share of tries that fail, 0-1, spread evenly over the faults."""
    faults: tuple[str, ...] = (*PASSING_FAULTS, FINAL_FAULT)
    seed: int = 0
    latency_s: float = 0.0
    """Seconds that a good answer takes."""
    slow_s: float = 1.0
    """Seconds more that the fault "slow" takes."""
    retry_after_s: float = 0.05
    agreement: float = 0.8
    """Share of requests with a closed list that get its first entry."""
    api_key: str = ""
    paid_log: str = ""
    """File that gets a line for each good answer that was sent: the digest of its request."""
    upstream: str = ""
    """Base address of a real server that answers instead, for example http://127.0.0.1:8000/v1."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()
    cut: bool = False
    """Close the connection half-way through the body."""


class FaultyServer:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.address = ""
        self.seen: Counter[str] = Counter()
        """How often each request has come, by digest."""
        self.faults: Counter[str] = Counter()
        self.paid = 0
        """Good answers sent whole."""
        self.in_flight = 0
        self.peak_in_flight = 0
        self.bodies: list[dict[str, Any]] = []
        """The last requests, at most 100."""

    def stats(self) -> dict[str, Any]:
        return {
            "requests": sum(self.seen.values()),
            "distinct": len(self.seen),
            "paid": self.paid,
            "faults": dict(sorted(self.faults.items())),
            "peak_in_flight": self.peak_in_flight,
        }

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.options.port, limit=2**20)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                answer = await self._answer(method, path, headers, body)
                lines = [
                    f"HTTP/1.1 {answer.status} -",
                    f"content-type: {answer.content_type}",
                    f"content-length: {len(answer.body)}",
                    *answer.headers,
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
                writer.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
                await writer.drain()
                if answer.cut:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/health":
            return Answer(200, b"")
        if path == "/stats":
            return _json(200, self.stats())
        if self.options.api_key and headers.get("authorization") != f"Bearer {self.options.api_key}":
            return _error(401, f"the key in {headers.get('authorization', 'no header')} is wrong")
        if path == "/v1/models":
            return _json(200, {"object": "list", "data": [{"id": self.options.model, "object": "model"}]})
        if (method, path) != ("POST", "/v1/chat/completions"):
            return Answer(404, b'{"detail":"Not Found"}')
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return await self._chat(body)
        finally:
            self.in_flight -= 1

    async def _chat(self, body: bytes) -> Answer:
        request = json.loads(body)
        self.bodies = [*self.bodies[-99:], request]
        digest = hashlib.sha256(body).hexdigest()
        self.seen[digest] += 1
        if request["model"] != self.options.model:
            return _error(404, f"The model `{request['model']}` does not exist.")
        fault = self._fault(digest, self.seen[digest])
        if fault:
            self.faults[fault] += 1
        if fault and fault not in ("slow", "closed"):
            return self._failed(fault)
        await asyncio.sleep(self.options.latency_s + (self.options.slow_s if fault == "slow" else 0))
        if self.options.upstream:
            answer = await asyncio.to_thread(_forwarded, self.options.upstream, body)
        else:
            answer = _json(200, completion(request, digest, self.options.agreement))
        if fault == "closed":
            return Answer(answer.status, answer.body, cut=True)
        if answer.status == 200:
            self.paid += 1
            if self.options.paid_log:
                with Path(self.options.paid_log).open("a") as log:
                    log.write(digest + "\n")
        return answer

    def _fault(self, digest: str, coming: int) -> str:
        """The fault that a request meets when it comes for the n-th time; "" for none."""
        passing = [fault for fault in self.options.faults if fault != FINAL_FAULT]
        share = self.options.rate / max(1, len(self.options.faults))
        if FINAL_FAULT in self.options.faults and self._chance(digest, "final") < share:
            return FINAL_FAULT
        place = int(self._chance(digest, str(coming)) / share) if share else len(passing)
        return passing[place] if place < len(passing) else ""

    def _chance(self, *what: str) -> float:
        return random.Random("/".join([str(self.options.seed), *what])).random()

    def _failed(self, fault: str) -> Answer:
        match fault:
            case "500" | "503":
                return _error(int(fault), "the engine is busy with itself")
            case "429":
                return Answer(
                    429, b'{"error":{"message":"slow down"}}', headers=(f"retry-after: {self.options.retry_after_s}",)
                )
            case "malformed":
                return Answer(200, b'{"choices": [{"message": {"role": "assi')
            case "html":
                return Answer(200, b"<!doctype html><html><body><h1>It works!</h1></body></html>", "text/html")
            case "empty":
                return Answer(200, b"")
            case "no-choices":
                return _json(200, {"object": "chat.completion", "choices": [], "usage": None})
            case "too-long":
                return _error(
                    400, "This model's maximum context length is 4096 tokens. However, your prompt contains more."
                )
        raise ValueError(f"{fault} is none of {PASSING_FAULTS}, {FINAL_FAULT}")


def completion(request: dict[str, Any], digest: str, agreement: float) -> dict[str, Any]:
    """A chat completion as vLLM gives it, made from the request's digest."""
    dice = random.Random(digest)
    choices = request.get("structured_outputs", {}).get("choice")
    logprobs = None
    if choices:
        text = choices[0] if dice.random() < agreement else choices[-1]
        share = 0.6 + 0.4 * dice.random()
        logprobs = {"content": _choice_logprobs(text, choices, share)}
    else:
        text = ". ".join(" ".join(dice.choice(words) for words in WORDS) for _ in range(2)) + "."
    prompt = json.dumps(request["messages"])
    return {
        "id": f"chatcmpl-{digest[:16]}",
        "object": "chat.completion",
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": logprobs,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 64 * prompt.count('"image_url"') // 2 + 20,
            "completion_tokens": len(text.split()),
        },
    }


def _choice_logprobs(text: str, choices: list[str], share: float) -> list[dict[str, Any]]:
    """The taken answer as one token with probability `share`; the others, one token each, share the rest."""
    others = [choice for choice in choices if choice != text]
    rest = (1 - share) / max(1, len(others))
    tops = [{"token": text, "logprob": math.log(share)}]
    tops += [{"token": other, "logprob": math.log(max(rest, 1e-9))} for other in others]
    return [{**tops[0], "top_logprobs": tops}]


def _json(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode())


def _error(status: int, message: str) -> Answer:
    return _json(status, {"error": {"message": message, "type": "Error", "param": None, "code": status}})


def _forwarded(upstream: str, body: bytes) -> Answer:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{upstream}/chat/completions", body, headers)  # noqa: S310 - a test's own server
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=300) as reply:
            return Answer(reply.status, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())


@contextmanager
def running(options: Options = Options()) -> Iterator[FaultyServer]:
    """Run a server in a thread of its own for the length of a `with` block."""
    server, ready = FaultyServer(options), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        listening = await server.start()
        ready.set()
        await stop.wait()
        listening.close()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the faulty server does not start")
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(Options):
        kind = str if field.name == "faults" else type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=argparse.SUPPRESS)
    given = vars(parser.parse_args(arguments))
    if "faults" in given:
        given["faults"] = tuple(given["faults"].split(","))

    async def serve() -> None:
        server = FaultyServer(Options(**given))
        listening = await server.start()
        print(server.address, flush=True)
        await listening.serve_forever()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
