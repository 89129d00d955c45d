"""What stands between the network and Gradio: only what the page itself asks for goes through."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ALLOWED_PATHS = re.compile(
    r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)?"
    r"|/(assets|static)/.+"
    r"|/gradio_api/(upload|upload_progress|queue/join|queue/data|cancel|heartbeat/\w+|startup-events|file=.+)"
)
"""Paths that the page asks for. Others of Gradio's (a proxy, an API, monitoring …) are not needed, and not there."""

MAX_CALL_BYTES = 2**20

CONTENT_SECURITY_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
"""Tells browsers that the page has nothing to ask of other hosts."""

SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class RequestFilter:
    """Refuses requests that the page does not make.

    Gradio fetches addresses that a visitor gives in place of a file, and takes paths that were never uploaded where it
    is mounted in another app; neither comes through here.
    """

    def __init__(self, app: App, folder: Path, hosts: frozenset[str] | None) -> None:
        """Stand before an ASGI app.

        Args:
            app: Gradio's.
            folder: Where all files lie that a call may name.
            hosts: Names that this server may be called by, by its own page alone; None for any, by any. Pages of
                others call what runs on their visitors' machines, and give their own name our address (DNS rebinding).
        """
        self._app, self._folder, self._hosts = app, folder.resolve(), hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["path"], given)
        if not refusal and scope["path"] == "/gradio_api/queue/join":
            body = await _body(receive)
            refusal = "" if body is not None and self._is_own(body) else "this call names a file that was not uploaded"
            receive = _again(body or b"", receive)
        if refusal:
            await _refuse(send, refusal)
            return

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_more)

    def _refusal(self, path: str, given: dict[str, str]) -> str:
        if self._hosts is not None:
            if _name(given.get("host", "")) not in self._hosts:
                return "this server is not called that"
            origin = given.get("origin")
            if origin is not None and urlsplit(origin).netloc != given.get("host"):
                return "this call comes from another page"
        if not ALLOWED_PATHS.fullmatch(path):
            return "there is no such thing here"
        wanted = path.partition("/gradio_api/file=")[2]
        return "" if not wanted or self._is_inside(wanted) else "this file is none of this page"

    def _is_own(self, body: bytes) -> bool:
        try:
            return all(self._is_inside(path) for path in _paths(json.loads(body)))
        except ValueError:
            return False

    def _is_inside(self, path: str) -> bool:
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):
            return False


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    return urlsplit(f"//{host}").hostname or ""


def _paths(value: object) -> Iterator[str]:
    """What a call names as a file, wherever it stands in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "path" and isinstance(inner, str):
                yield inner
            else:
                yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None if it is too long."""
    body, more = b"", True
    while more and len(body) <= MAX_CALL_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return None if more or len(body) > MAX_CALL_BYTES else body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then whatever comes."""
    given = False

    async def once_more() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once_more


async def _refuse(send: Send, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
