"""`refsav ui`: load a checkpoint and serve its web page until Ctrl-C."""

from contextlib import ExitStack, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from refsav.errors import ConfigError
from refsav.extras import require

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def serve(
    checkpoint: Path,
    *,
    host: str,
    port: int,
    examples: Path | None,
    upload_mb: int,
    device: str | None,
    dtype: str | None,
    original_sam2: Path | None,
    allow_pickle: bool,
) -> None:
    """Serve the page until Ctrl-C. Raises RefSavError if an option or the checkpoint is not valid."""
    require("model", "torch", "transformers", "sam2")
    require("ui", "gradio")
    if examples and not examples.is_dir():
        raise ConfigError(f"--examples {examples}: there is no such folder", fix="give one with images and videos")
    with ExitStack() as stack:
        with err.status("loading the checkpoint", spinner="line"):
            from refsav.model.sa2va import Sa2VA
            from refsav.model.ui import app as ui

            address = stack.enter_context(ui.listen(host, port))
            model = Sa2VA.from_pretrained(
                checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
            )
        with suppress(KeyboardInterrupt):  # the intended way to end it
            name = checkpoint.resolve().name
            ui.serve(
                model, name, address, host=host, max_upload_mb=upload_mb, examples=examples, on_ready=_print_address
            )


def _print_address(address: str) -> None:
    out.print(f"open {escape(address)}")
    err.print("Ctrl-C stops it", style="dim")
    if not address.startswith(("http://127.", "http://localhost", "http://[::1]")):
        err.print("everybody who can reach this machine can use the page; it has no password", style="yellow")
