"""Measure RefSAV's speed as ratios, side by side in one run: python -m refsav.benchmarks.speed [WHAT].

docs/benchmarks.md explains each figure, with results and limits.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from refsav.benchmarks.speed.evaluation import measure_evaluation
from refsav.benchmarks.speed.incremental import measure_incremental
from refsav.benchmarks.speed.loader import measure_loader
from refsav.benchmarks.speed.metrics import measure_metrics
from refsav.benchmarks.speed.model import measure_memory, measure_model
from refsav.benchmarks.speed.ratios import Measurement, Quantity, Ratio
from refsav.benchmarks.speed.ray_build import measure_ray
from refsav.benchmarks.speed.scale import measure_scale
from refsav.benchmarks.speed.server import measure_server
from refsav.benchmarks.speed.training import measure_training
from refsav.benchmarks.speed.views import measure_views
from refsav.disk.files import write_text
from refsav.errors import RefSavError
from refsav.processes.memory import settle_memory

ROOT = Path(__file__).resolve().parents[2]
POCKET, POCKET_TRAINING = ROOT / "configs/models/pocket.toml", ROOT / "configs/train/pocket.toml"
MEASURED = (
    *("views", "loader", "metrics", "scale", "incremental", "ray"),
    *("training", "model", "memory", "evaluation", "server"),
)
LIBRARIES = ("av", "numpy", "opencv-python-headless", "openai", "prefect")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements that the command line names; return the exit status, which is 0 even if a bar is missed."""
    settle_memory()  # as `refsav` does, so that views are measured as in a build
    options = _options(arguments)
    console = Console(highlight=False)
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="refsav-speed-") as folder:
        works: Mapping[str, Callable[[], Measurement]] = {
            "views": lambda: measure_views(options.sav_data.resolve(), options.rounds or 7),
            "loader": lambda: measure_loader(options.sav_data.resolve(), Path(folder), options.rounds or 7),
            "metrics": lambda: measure_metrics(options.sav_data.resolve(), options.rounds or 5),
            "scale": lambda: measure_scale(Path(folder), rounds=options.rounds or 3),
            "training": lambda: measure_training(POCKET_TRAINING, Path(folder) / "training", options.rounds or 5),
            "incremental": lambda: measure_incremental(Path(folder), rounds=options.rounds or 5),
            "ray": lambda: measure_ray(Path(folder), rounds=options.rounds or 3),
            "model": lambda: measure_model(options.rounds or 1),
            "memory": measure_memory,
            "evaluation": lambda: measure_evaluation(POCKET, Path(folder) / "evaluation", options.rounds or 1),
            "server": lambda: measure_server(
                Path(folder), options.python.absolute(), options.models.resolve(), rounds=options.rounds or 3
            ),
        }
        for name in works if options.what == "all" else [options.what]:
            try:
                measured.append(works[name]())
            except RefSavError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            console.print(as_table(measured[-1]))
            write_text(options.out, json.dumps(as_json(measured), indent=1) + "\n")
    console.print(f"figures: {options.out}")
    return 0


def as_table(measurement: Measurement) -> Table:
    """Lay a measurement out for the terminal: ratios with their bars first, then the quantities behind them."""
    table = Table(title=measurement.title, caption="\n".join(measurement.notes), title_justify="left")
    for heading in ("", "median", "lowest", "highest", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("", "bar") else "right")
    for ratio in measurement.ratios:
        table.add_row(ratio.name, *_figures(ratio), *_verdict(ratio), style="bold")
    table.add_section()
    for quantity in measurement.quantities:
        table.add_row(f"{quantity.name}, {quantity.unit}", *_figures(quantity), "", "")
    return table


def as_json(measured: Sequence[Measurement]) -> dict[str, object]:
    """Return all measurements and a description of the machine."""
    return {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "libraries": {name: version(name) for name in LIBRARIES},
        },
        "measurements": [measurement.to_json() for measurement in measured],
    }


def _figures(taken: Quantity | Ratio) -> tuple[str, str, str]:
    digits = 2 if isinstance(taken, Ratio) else 1
    lowest, highest = min(taken.rounds), max(taken.rounds)
    return f"{taken.median:.{digits}f}", f"{lowest:.{digits}f}", f"{highest:.{digits}f}"


def _verdict(ratio: Ratio) -> tuple[str, str]:
    if ratio.bar is None:
        return "", ""
    return f"{ratio.bar.direction} {ratio.bar.value:g}", "reached" if ratio.reached else "[red]not reached[/]"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure RefSAV's speed as ratios, side by side in one run.")
    parser.add_argument("what", nargs="?", choices=(*MEASURED, "all"), default="all")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/speed.json", help="JSON file for all figures")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measurement; 0: its default")
    parser.add_argument(
        "--sav-data",
        type=Path,
        default=Path(os.environ.get("REFSAV_SAV_DATA", ROOT / "../shared/data/sav")),
        help="folder that holds sav_000001_head",
    )
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-vllm/bin/python", help="vLLM's interpreter")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder that holds tiny-vlm")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
