"""`refsav ui`: serve a web page for one checkpoint from this machine, without any request to other machines."""

import logging
import os
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from refsav.disk.files import DiskError
from refsav.errors import RefSavError
from refsav.model.sa2va import Sa2VA
from refsav.model.ui.examples import Example, write_examples
from refsav.model.ui.job_queue import JobQueue
from refsav.model.ui.request_filter import RequestFilter

if TYPE_CHECKING:
    from refsav.model.ui.page import ModelSummary, Page

LOOPBACK = ("127.0.0.1", "::1", "localhost")

SHUTDOWN_S = 3.0
"""Seconds that open connections, and then the model, get to end when the server shuts down."""

STYLE = Path(__file__).with_name("style.css")

OFFLINE_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Environment variables, set before Gradio is imported: they turn off its usage reports and version checks."""


class AddressError(RefSavError):
    """The page cannot be served at this address."""


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address; connections wait until `serve` is called with the socket.

    Args:
        host: Host name or IP address.
        port: Port; 0 takes a free one.

    Raises:
        AddressError: If the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        server = socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressError(
            f"cannot be listened on: {error.strerror or error}",
            fix="choose another address with --host and --port; --port 0 takes a free port",
            path=f"{host}, port {port}",
        ) from None
    with server:
        yield server


def serve(
    model: Sa2VA,
    name: str,
    address: socket.socket,
    *,
    host: str,
    max_upload_mb: int,
    examples: Path | None,
    on_ready: Callable[[str], None],
) -> None:
    """Serve the page until SIGINT or SIGTERM, then delete all its files.

    Args:
        model: The model; it serves one visitor at a time.
        name: Name of the model in the page.
        address: Socket from `listen`.
        host: The host that `listen` was called with.
        max_upload_mb: Largest upload, in MB.
        examples: Folder of images and videos to offer as examples; None for synthetic ones.
        on_ready: Called with the page's URL when it can be opened.

    Raises:
        RecordError: If an example cannot be read.
        DiskError: If temporary files cannot be written.
    """
    is_idle = True
    try:
        with _private_folder() as folder:
            queue = JobQueue(_log)
            try:
                app = _app(model, name, queue, folder, host, max_upload_mb, examples)
                url = _url(host, address.getsockname()[1])
                _Server(app, lambda: on_ready(url)).run(sockets=[address])
            finally:
                is_idle = queue.close(SHUTDOWN_S)  # before the folder is removed, so that no job writes into it
    finally:
        if not is_idle:  # a layer of a large model can take long, and nothing can interrupt it
            os._exit(0)


def _app(
    model: Sa2VA, name: str, queue: JobQueue, folder: Path, host: str, max_upload_mb: int, examples: Path | None
) -> RequestFilter:
    os.environ.update(OFFLINE_ENVIRONMENT)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    import gradio as gr

    from refsav.model.ui.input_handlers import InputHandlers
    from refsav.model.ui.page import build_page
    from refsav.model.ui.sessions import Sessions
    from refsav.model.ui.task_handlers import TaskHandlers

    offered: list[Example] = list(write_examples(folder / "examples", examples))
    page = build_page(_summary(model, name), offered, max_upload_mb)
    results = folder / "results"
    results.mkdir()
    sessions = Sessions(queue, results)
    with page.blocks:
        InputHandlers(page, sessions).bind([example.file for example in offered])
        TaskHandlers(model, page, sessions).bind()
    page.blocks.queue(default_concurrency_limit=None, api_open=False)  # JobQueue runs one job at a time
    return RequestFilter(_mount(gr, page, max_upload_mb), folder, frozenset(LOOPBACK) if host in LOOPBACK else None)


def _mount(gr: Any, page: "Page", max_upload_mb: int) -> FastAPI:  # noqa: ANN401 - Gradio has no types
    app: FastAPI = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page.blocks,
        path="/",
        footer_links=[],
        run_history=False,
        max_file_size=max_upload_mb * 2**20,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(gr),
        css_paths=[STYLE],
    )
    page.blocks.has_launched = True  # otherwise Gradio does not check where the files lie that a call names
    return app


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A temporary folder that only this user may read; all temporary files of this process go into it."""
    before = tempfile.tempdir
    try:
        temporary = tempfile.TemporaryDirectory(prefix="refsav-ui-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DiskError(Path(tempfile.gettempdir()), error) from error
    with temporary as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder).resolve()
        finally:
            tempfile.tempdir = before


class _Server(uvicorn.Server):
    """A server that shuts down without waiting for its connections: an open page keeps its connection open."""

    def __init__(self, app: RequestFilter, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it logs open pages as errors
        await super().shutdown(sockets)


def _summary(model: Sa2VA, name: str) -> "ModelSummary":
    from refsav.model.ui.page import ModelSummary

    adapter = model.adapter
    weight = next(model.parameters())
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    size = f"{millions / 1000:.1f} billion parameters" if millions >= 1000 else f"{millions:.1f} million parameters"
    return ModelSummary(
        name=name,
        facts=(adapter.family, size, f"{weight.device.type}, {str(weight.dtype).removeprefix('torch.')}"),
        defaults=model.resolve_settings(),
        no_regions=""
        if adapter.takes_regions
        else f"{adapter.family} was never trained with visual prompts; a checkpoint of the InternVL family takes them.",
    )


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log(error: BaseException) -> None:
    traceback.print_exception(error)


def _theme(gr: Any) -> Any:  # noqa: ANN401 - Gradio has no types
    """System fonts, plain surfaces, a blue on which white text is legible; the rest is in the style sheet."""
    return gr.themes.Base(font=["system-ui"], font_mono=["ui-monospace"], radius_size="lg").set(
        body_background_fill="#f5f6f8",
        body_background_fill_dark="#0e1116",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171b22",
        button_primary_background_fill="#2563eb",
        button_primary_background_fill_hover="#1d4ed8",
        button_primary_background_fill_dark="#2563eb",
        button_primary_background_fill_hover_dark="#1d4ed8",
        button_primary_text_color="#ffffff",
    )
