"""The app: the page's own requests go through, whatever else Gradio would answer does not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from refsav.model.ui.request_filter import MAX_CALL_BYTES, SECURITY_HEADERS, Message, Receive, RequestFilter, Send

LOCAL = frozenset(("127.0.0.1", "localhost", "::1"))


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Stands where Gradio does; gives back what it got."""
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": body})


def call(
    app: RequestFilter,
    path: str,
    *,
    body: bytes | None = None,
    host: str = "127.0.0.1:7860",
    origin: str = "",
    pieces: int = 1,
) -> tuple[int, bytes, list[Any]]:
    sent: list[Message] = []
    size = max(1, -(-len(body or b"") // pieces))
    parts = [(body or b"")[start : start + size] for start in range(0, len(body or b""), size)] or [b""]
    waiting = [
        {"type": "http.request", "body": part, "more_body": place + 1 < len(parts)} for place, part in enumerate(parts)
    ]

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]
    scope = {"type": "http", "method": "GET" if body is None else "POST", "path": path, "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], sent[0]["headers"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path


@pytest.fixture
def app(folder: Path) -> RequestFilter:
    return RequestFilter(echo, folder, LOCAL)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/assets/index-1.js",
        "/static/img/logo.svg",
        "/gradio_api/upload",
        "/gradio_api/upload_progress",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/abc123",
    ],
)
def test_what_the_page_asks_for_goes_through_and_says_that_it_needs_nobody_else(app: RequestFilter, path: str) -> None:
    status, _, headers = call(app, path)
    assert status == 200
    assert headers == [(b"x-own", b"1"), *SECURITY_HEADERS]


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/monitoring/summary",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/proxy=https://example.org/x",
        "/gradio_api/run/predict",
        "/gradio_api/api/0",
        "/gradio_api/vibe-edit/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=etc/passwd",
        "/gradio_api/file=https://example.org/x.png",
        "/gradio_api/heartbeat/a/b",
        "/gradio_api/dev/reload",
        "//example.org/",
    ],
)
def test_nothing_else_of_gradio_is_there(app: RequestFilter, path: str) -> None:
    status, _, headers = call(app, path)
    assert status == 403
    assert set(SECURITY_HEADERS) <= set(headers)


def test_only_files_of_the_private_folder_are_served(app: RequestFilter, folder: Path) -> None:
    assert call(app, f"/gradio_api/file={folder}/results/overlay.png")[0] == 200
    assert call(app, f"/gradio_api/file={folder}/../other/x.png")[0] == 403
    assert call(app, f"/gradio_api/file={folder}2/x.png")[0] == 403
    (folder / "results" / "link").symlink_to("/etc")
    assert call(app, f"/gradio_api/file={folder}/results/link/passwd")[0] == 403


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_call_may_name_uploaded_files_only(app: RequestFilter, folder: Path, pieces: int) -> None:
    def join(path: str) -> int:
        body = json.dumps({"data": [1, {"path": path, "url": "http://127.0.0.1/x"}], "fn_index": 3}).encode()
        status, came, _ = call(app, "/gradio_api/queue/join", body=body, pieces=pieces)
        assert status == 403 or came == body
        return status

    assert join(f"{folder}/abc/cat.png") == 200
    assert join("/etc/passwd") == 403
    assert join("https://example.org/cat.png") == 403
    assert join(f"{folder}/../cat.png") == 403
    assert join("cat.png") == 403
    assert join("\0") == 403


def test_a_call_that_is_no_json_or_too_long_is_refused(app: RequestFilter) -> None:
    assert call(app, "/gradio_api/queue/join", body=b"{")[0] == 403
    assert call(app, "/gradio_api/queue/join", body=b'["' + b"x" * MAX_CALL_BYTES + b'"]', pieces=9)[0] == 403


def test_uploads_are_not_held_back_to_be_looked_at(app: RequestFilter) -> None:
    body = b"x" * (2 * MAX_CALL_BYTES)
    assert call(app, "/gradio_api/upload", body=body, pieces=4)[1] == body


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:7860"])
def test_this_machine_is_called_by_its_names(app: RequestFilter, host: str) -> None:
    assert call(app, "/", host=host)[0] == 200
    assert call(app, "/", host=host, origin=f"http://{host}")[0] == 200


def test_pages_of_others_cannot_call_and_nobody_gives_us_another_name(app: RequestFilter, folder: Path) -> None:
    assert call(app, "/", host="evil.example")[0] == 403
    assert call(app, "/", host="")[0] == 403
    assert call(app, "/", origin="https://evil.example")[0] == 403
    assert call(app, "/", origin="null")[0] == 403
    opened = RequestFilter(echo, folder, None)
    assert call(opened, "/", host="demo.example", origin="https://demo.example")[0] == 200


def test_the_server_s_own_events_go_through_and_websockets_do_not(app: RequestFilter) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {}

    asyncio.run(app({"type": "lifespan"}, receive, send))
    asyncio.run(app({"type": "websocket"}, receive, send))
    assert sent == [{"type": "lifespan.startup.complete"}]
