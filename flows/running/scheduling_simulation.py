"""What scheduling costs without a model: python -m refsav.flows.running.scheduling_simulation FOLDER.

Plans invented videos into bundles and runs every bundle through the flow's own fan-out and task runner. A bundle's
task does what it does for a bundle that is done: it reads the plan and checks that the parts exist.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import flow, task

from refsav.annotators.bundles.plan import extend_plan, read_bundle, remaining
from refsav.datasets.records import VideoFile
from refsav.datasets.run.parts import is_done
from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.config.build import RunnerConfig
from refsav.flows.running.fan_out import fan_out
from refsav.flows.running.prefect_server import prefect_server
from refsav.flows.running.task_runner import tasks_on


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """Time and memory that scheduling took."""

    videos: int
    bundles: int
    plan_s: float
    """Seconds until every video has its bundle."""
    read_s: float
    """Seconds until the plan is read again, as by a command that resumes."""
    start_s: float
    """Seconds until tasks can be submitted."""
    tasks_s: float
    """Seconds from the first task submitted to the last one ended."""
    peak_mib: float
    """Largest resident memory of the flow's process."""


@flow(name="simulate-scheduling")
def simulate(run: Path, videos: int, runner: RunnerConfig) -> Simulated:
    """Schedule the bundles of so many videos."""
    directory = RunDirectory(run)
    source = run / "source"
    begin = time.perf_counter()
    list(extend_plan(directory, source, _invented(source, videos), runner.bundle_videos))
    planned = time.perf_counter()
    bundles = remaining(directory, source).bundles
    read = time.perf_counter()
    with tasks_on(runner):
        ready = time.perf_counter()
        names = [f"bundle-{number:06d}" for number in range(bundles)]
        fan_out(
            lambda bundle: look_up.submit(bundle, source, run),
            names,
            at_once=runner.bundles_at_once,
            on_progress=lambda: None,
        )
        ended = time.perf_counter()
    return Simulated(
        videos=videos,
        bundles=bundles,
        plan_s=planned - begin,
        read_s=read - planned,
        start_s=ready - read,
        tasks_s=ended - ready,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


@task(task_run_name="look up {bundle}")
def look_up(bundle: str, source: Path, run: Path) -> bool:
    """Read a bundle's plan, and check whether it is done."""
    directory = RunDirectory(run)
    read_bundle(directory.bundles / f"{bundle}.json", source)
    return is_done(directory, bundle)


def _invented(source: Path, videos: int) -> Iterator[VideoFile]:
    for number in range(videos):
        name, folder = f"sav_{number:07d}", f"sav_{number // 1000:04d}"
        path = source / folder / name
        annotations = (path.with_name(f"{name}_manual.json"), path.with_name(f"{name}_auto.json"))
        yield VideoFile(video_id=name, media=path.with_suffix(".mp4"), annotations=annotations, folder=folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Measure what scheduling costs without a model.")
    parser.add_argument("folder", type=Path, help="new folder for the run")
    parser.add_argument(
        "--videos", type=int, default=500_000, help="half a million, of two objects, are a million objects"
    )
    parser.add_argument("--bundle-videos", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--kind", choices=("local", "ray"), default="local")
    given = parser.parse_args(arguments)
    runner = RunnerConfig(kind=given.kind, bundle_videos=given.bundle_videos, bundles_at_once=given.at_once)
    with prefect_server():
        took = simulate(given.folder, given.videos, runner)
    print(json.dumps(asdict(took)))  # noqa: T201 - the output of this script


if __name__ == "__main__":
    main()
