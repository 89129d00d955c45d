"""An ASGI filter in front of Gradio that passes only the requests that the page itself makes."""

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
"""Paths that the page requests. Gradio's other paths (a proxy, an API, monitoring …) are refused."""

MAX_CALL_BYTES = 2**20

CONTENT_SECURITY_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
"""Forbids browsers to load anything from other hosts."""

SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class RequestFilter:
    """Refuses requests that the page does not make.

    Gradio fetches web addresses that a visitor gives in place of a file, and when it is mounted in another app it
    accepts paths that were never uploaded. This filter blocks both.
    """

    def __init__(self, app: App, folder: Path, hosts: frozenset[str] | None) -> None:
        """Wrap an ASGI app.

        Args:
            app: Gradio's app.
            folder: The only folder whose files a request may name.
            hosts: Host names that this server may be called by, and only from its own page; None allows every name and
                every page. Web pages can call servers on their visitors' machines, and can make their own name resolve
                to our address (DNS rebinding).
        """
        self._app, self._folder, self._hosts = app, folder.resolve(), hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["path"], headers)
        if not refusal and scope["path"] == "/gradio_api/queue/join":
            body = await _read_body(receive)
            is_allowed = body is not None and self._names_own_files(body)
            refusal = "" if is_allowed else "this request names a file that was not uploaded"
            receive = _replay(body or b"", receive)
        if refusal:
            await _refuse(send, refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, path: str, headers: dict[str, str]) -> str:
        """Return why a request is refused; empty if it is allowed."""
        if self._hosts is not None:
            if _host_name(headers.get("host", "")) not in self._hosts:
                return "this host name is not allowed"
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != headers.get("host"):
                return "requests from other pages are not allowed"
        if not ALLOWED_PATHS.fullmatch(path):
            return "this path does not belong to this page"
        file = path.partition("/gradio_api/file=")[2]
        return "" if not file or self._is_inside(file) else "this file does not belong to this page"

    def _names_own_files(self, body: bytes) -> bool:
        try:
            return all(self._is_inside(path) for path in _paths_in(json.loads(body)))
        except ValueError:
            return False

    def _is_inside(self, path: str) -> bool:
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):
            return False


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    return urlsplit(f"//{host}").hostname or ""


def _paths_in(value: object) -> Iterator[str]:
    """Find every file path in a decoded JSON body, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "path" and isinstance(inner, str):
                yield inner
            else:
                yield from _paths_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths_in(inner)


async def _read_body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is too long or the client disconnected."""
    body, more = b"", True
    while more and len(body) <= MAX_CALL_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return None if more or len(body) > MAX_CALL_BYTES else body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was already read, then the messages that follow."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
