"""`refsav ui`: a page in the browser for one checkpoint, served on this machine, with nothing fetched from others."""

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
from refsav.model.ui.examples import Example, examples
from refsav.model.ui.job_queue import JobQueue
from refsav.model.ui.request_filter import RequestFilter

if TYPE_CHECKING:
    from refsav.model.ui.page import Model, Page

LOOPBACK = ("127.0.0.1", "::1", "localhost")

SHUTDOWN_S = 3.0
"""Seconds that open connections, and then the model, get to end when the server is told to."""

STYLE = Path(__file__).with_name("style.css")

OFFLINE_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Settled before Gradio is imported: it would tell others that it runs here, and ask for newer versions."""


class AddressError(RefSavError):
    """The page cannot be served at this address."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take an address, 0 for any free port; who comes is kept waiting until `serve` is called with it.

    Raises:
        AddressError: If it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        taken = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "choose another with --host and --port; --port 0 takes a free one"
        raise AddressError(f"{host}, port {port}: cannot be listened on: {reason}\n  fix: {fix}") from None
    with taken:
        yield taken


def serve(
    model: Sa2VA,
    name: str,
    address: socket.socket,
    *,
    host: str,
    max_upload_mb: int,
    given: Path | None,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until the process is told to end (SIGINT, SIGTERM); nothing is left of it then.

    Args:
        model: Asked, by one visitor at a time.
        name: What it is called in the page.
        address: Of `listening`.
        host: As it was given to that.
        max_upload_mb: Largest file that may be uploaded, in megabytes.
        given: Folder with pictures and videos to offer as examples; None for made ones.
        ready: Called with the page's address when it can be opened.

    Raises:
        RecordError: If an example cannot be read.
        DiskError: If there is no room for temporary files.
    """
    is_idle = True
    try:
        with _private_folder() as folder:
            jobs = JobQueue(_log)
            try:
                app = _app(model, name, jobs, folder, host, max_upload_mb, given)
                told = _told_address(host, address.getsockname()[1])
                _Server(app, lambda: ready(told)).run(sockets=[address])
            finally:
                is_idle = jobs.close(SHUTDOWN_S)  # nobody writes into the folder when it is removed
    finally:
        if not is_idle:  # a layer of a large model takes its time, and nothing can interrupt it
            os._exit(0)


def _app(
    model: Sa2VA, name: str, jobs: JobQueue, folder: Path, host: str, max_upload_mb: int, given: Path | None
) -> RequestFilter:
    os.environ.update(OFFLINE_ENVIRONMENT)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    import gradio as gr

    from refsav.model.ui.input_handlers import InputHandlers
    from refsav.model.ui.page import lay_out
    from refsav.model.ui.sessions import Sessions
    from refsav.model.ui.task_handlers import TaskHandlers

    offered: list[Example] = list(examples(folder / "examples", given))
    page = lay_out(_told(model, name), offered, max_upload_mb)
    results = folder / "results"
    results.mkdir()
    sessions = Sessions(jobs, results)
    with page.blocks:
        InputHandlers(page, sessions).bind([example.file for example in offered])
        TaskHandlers(model, page, sessions).bind()
    page.blocks.queue(default_concurrency_limit=None, api_open=False)  # the jobs sees to it that jobs come in turn
    return RequestFilter(_mounted(gr, page, max_upload_mb), folder, frozenset(LOOPBACK) if host in LOOPBACK else None)


def _mounted(gr: Any, page: "Page", max_upload_mb: int) -> FastAPI:  # noqa: ANN401 - Gradio has no types
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
    page.blocks.has_launched = True  # else Gradio does not look where files lie that a call names
    return app


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that nobody else may read, removed in the end; all temporary files of this process go into it."""
    before = tempfile.tempdir
    try:
        made = tempfile.TemporaryDirectory(prefix="refsav-ui-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DiskError(Path(tempfile.gettempdir()), error) from error
    with made as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder).resolve()
        finally:
            tempfile.tempdir = before


class _Server(uvicorn.Server):
    """A server that ends soon: pages keep connections open for as long as they are looked at."""

    def __init__(self, app: RequestFilter, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # that pages were open is no error
        await super().shutdown(sockets)


def _told(model: Sa2VA, name: str) -> "Model":
    from refsav.model.ui.page import Model

    adapter = model.adapter
    weight = next(model.parameters())
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    size = f"{millions / 1000:.1f} billion parameters" if millions >= 1000 else f"{millions:.1f} million parameters"
    return Model(
        name=name,
        facts=(adapter.family, size, f"{weight.device.type}, {str(weight.dtype).removeprefix('torch.')}"),
        usual=model.resolve_settings(),
        no_regions=""
        if adapter.takes_regions
        else f"{adapter.family} was never trained with visual prompts; a checkpoint of the InternVL family takes them.",
    )


def _told_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log(error: BaseException) -> None:
    traceback.print_exception(error)


def _theme(gr: Any) -> Any:  # noqa: ANN401 - likewise
    """System fonts, plain surfaces, a blue that white writing can be read on; the rest is in the style sheet."""
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
