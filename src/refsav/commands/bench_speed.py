"""`refsav bench-speed`: time each part of one Sa2VA call and show the paper's figures next to it (Sa2VA, Table 19)."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from refsav.extras import require

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def bench_speed(origin: Path, *, rounds: int, device: str | None, dtype: str | None) -> None:
    """Time a checkpoint, or a model of given sizes with random weights. Raises RefSavError if it cannot be made."""
    require("model", "torch", "transformers", "sam2")
    with err.status("making the model", spinner="line"):
        from refsav.benchmarks.speed import latency

        model = latency.open_or_create(origin, device=device, dtype=dtype)
    with err.status("timing", spinner="line"):
        taken = latency.measure_latency(model, rounds=rounds)
    table = Table(title=f"one call, medians of {taken.rounds}, {taken.device}", title_justify="left")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for name, seconds in taken.parts.items():
        table.add_row(name, f"{seconds:.3f}", f"{seconds / sum(taken.parts.values()):.0%}")
    table.add_row("whole call", f"{taken.total:.3f}", "", style="bold")
    out.print(table)
    out.print(f"{latency.FRAME_COUNT} frames, {taken.image_tokens} image tokens, {escape(latency.ANSWER)!r} dictated")
    if taken.peak_bytes:
        out.print(f"GPU memory at its peak: {taken.peak_bytes / 2**30:.1f} GiB")
    paper = ", ".join(f"{size} {seconds:.3f}" for size, seconds in latency.PAPER_SECONDS.items())
    out.print(f"the paper's, on an H100: {paper} s (Table 19)")
