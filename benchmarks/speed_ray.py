"""What a second worker brings on a Ray cluster of one machine, and what scheduling costs a bundle."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from refsav.benchmarks.speed_ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed_scale import fail_if_failed, make_scenes, start_command
from refsav.errors import RefSavError
from refsav.extras import require

WORKERS = (1, 2)
BUNDLE_VIDEOS = 8
SIMULATED_BUNDLES = 200
SIMULATION = "from refsav.launch import quiet_prefect as q; q(); from refsav.flows.simulation import main; main()"


class SimulationFailedError(RefSavError):
    """The scheduler could not be simulated."""


def measure_ray(work: Path, videos: int = 960, rounds: int = 3) -> Measurement:
    """Build with one and with two one-core workers in turns, after a build of one video, which is the start.

    Raises:
        BuildFailedError: If a build fails.
        SimulationFailedError: If the scheduler cannot be simulated.
        MissingExtraError: If Ray is not installed.
    """
    require("ray", "ray", "prefect_ray")
    sources = {count: make_scenes(work / f"scenes-{count}", count) for count in (1, videos)}
    environment = {**os.environ, "PREFECT_HOME": str(work / "prefect"), "OMP_NUM_THREADS": "1"}
    runs = iter(range(1000))

    def build(count: int, workers: int) -> float:
        options = {"kind": "ray", "bundles_at_once": workers, "bundle_videos": BUNDLE_VIDEOS}
        asked = [f"--runner.{key}={value}" for key, value in options.items()]
        line = ["build", str(sources[count]), str(work / f"run-{next(runs)}"), *asked]
        begin = time.perf_counter()
        fail_if_failed(start_command(line, environment))  # unwatched: Ray's hundreds of threads cost a watcher a core
        return time.perf_counter() - begin

    def scheduling(kind: str) -> float:
        took = simulated(work / f"simulated-{next(runs)}", kind, environment)
        return 1000 * float(took["tasks_s"]) / int(took["bundles"])

    build(1, 1)  # makes Prefect's database, which the others then find
    works = {f"{videos} videos, {workers} at a time": partial(build, videos, workers) for workers in WORKERS}
    works |= {"start": partial(build, 1, 2)} | {kind: partial(scheduling, kind) for kind in ("local", "ray")}
    return report(in_turns(works, rounds), videos)


def report(taken: Mapping[str, tuple[float, ...]], videos: int) -> Measurement:
    """Put the figures of both numbers of workers side by side."""
    one, two = (
        Quantity(
            name=f"wall time, {videos} videos, {workers} at a time",
            unit="s",
            rounds=taken[f"{videos} videos, {workers}"],
        )
        for workers in WORKERS
    )
    start = Quantity(name="wall time, 1 video", unit="s", rounds=taken["start"])
    beyond_one, beyond_two = (
        Quantity(name=f"{whole.name}, beyond the start", unit="s", rounds=tuple(s - start.median for s in whole.rounds))
        for whole in (one, two)
    )
    threads, ray = (
        Quantity(name=f"scheduling of a bundle, {where}", unit="ms", rounds=taken[kind])
        for kind, where in (("local", "threads"), ("ray", "Ray"))
    )
    return Measurement(
        title=f"ray: a build of {videos} videos on a cluster of this machine",
        quantities=(start, one, two, beyond_one, beyond_two, threads, ray),
        ratios=(
            Ratio.of("one worker / two, whole command", one, two, Bar("at least", 1.6)),
            Ratio.of("one worker / two, beyond the start", beyond_one, beyond_two),
        ),
        notes=(
            f"a worker has one core; the embedded annotator describes; {BUNDLE_VIDEOS} videos a bundle",
            "the cores also carry the flow, Prefect's server and Ray's own processes",
            f"scheduling: {SIMULATED_BUNDLES} bundles that are done, two at a time",
        ),
    )


def simulated(run: Path, kind: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Take bundles that are done through the scheduler. Raises SimulationFailedError."""
    sizes = {"videos": 64 * SIMULATED_BUNDLES, "at-once": 2, "kind": kind}
    line = [sys.executable, "-P", "-c", SIMULATION, str(run), *(f"--{key}={value}" for key, value in sizes.items())]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SimulationFailedError(f"the simulation ended with status {done.returncode}\n{done.stderr[-2000:]}")
    took: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return took
