"""Speed-up by a second worker on a Ray cluster of one machine, and the scheduling overhead per bundle."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed.ray_cluster import LOOPBACK, ray_cluster
from refsav.benchmarks.speed.scale import BuildFailedError, fail_if_failed, make_scenes, start_command
from refsav.errors import RefSavError
from refsav.extras import require
from refsav.processes.child_process import child_process

WORKERS = (1, 2)
BUNDLE_VIDEOS = 8
FEW_BUNDLES, MANY_BUNDLES = 20, 220
RUNNERS = {"local": "threads", "ray": "Ray"}
SIMULATION = (
    "from refsav.commands.run_flows import quiet_prefect; quiet_prefect();"
    "from refsav.flows.running.scheduling_simulation import main; main()"
)


class SimulationFailedError(RefSavError):
    """The scheduler could not be simulated."""


def measure_ray(work: Path, videos: int = 600, rounds: int = 3) -> Measurement:
    """Build alternately on clusters of one and of two nodes, each pinned to one core of this machine.

    Prefect's server and the cluster run before a build starts, as for a team that has a cluster. The complete command
    is timed, from the start of Python to its end.

    Raises:
        BuildFailedError: If a build fails.
        ClusterStartError: If a cluster does not start.
        SimulationFailedError: If the scheduler cannot be simulated.
        MissingExtraError: If Ray is not installed.
    """
    require("ray", "ray", "prefect_ray")
    sources = {count: make_scenes(work / f"scenes-{count}", count) for count in (1, videos)}
    environment = {**os.environ, **LOOPBACK, "PREFECT_HOME": str(work / "prefect"), "OMP_NUM_THREADS": "1"}
    runs = iter(range(1000))

    def build(count: int, workers: int) -> float:
        run = work / f"run-{next(runs)}"
        with _prefect(environment) as api, ray_cluster(*[1] * workers, pinned=True) as cluster:
            options = {"kind": "ray", "address": cluster.address, "bundles_at_once": workers}
            flags = [f"--runner.{key}={value}" for key, value in {**options, "bundle_videos": BUNDLE_VIDEOS}.items()]
            begin = time.perf_counter()
            process = start_command(["build", str(sources[count]), str(run), *flags], {**environment, **api})
            fail_if_failed(process)  # not sampled: reading Ray's hundreds of threads would take a good part of a core
            return time.perf_counter() - begin

    def scheduling(kind: str) -> float:
        few, many = (
            simulated(work / f"simulated-{next(runs)}", kind, bundles, environment)
            for bundles in (FEW_BUNDLES, MANY_BUNDLES)
        )
        return 1000 * (many - few) / (MANY_BUNDLES - FEW_BUNDLES)

    build(1, 1)  # creates Prefect's database for the builds that follow
    works = {f"build {workers}": partial(build, videos, workers) for workers in WORKERS}
    works |= {"start": partial(build, 1, 1)} | {kind: partial(scheduling, kind) for kind in RUNNERS}
    return report(in_turns(works, rounds), videos)


def report(taken: Mapping[str, tuple[float, ...]], videos: int) -> Measurement:
    """Compare the times with one and with two workers."""
    one, two = (
        Quantity(name=f"wall time, {videos} videos, workers: {workers}", unit="s", rounds=taken[f"build {workers}"])
        for workers in WORKERS
    )
    start = Quantity(name="wall time, 1 video", unit="s", rounds=taken["start"])
    beyond_one, beyond_two = (
        Quantity(name=f"{whole.name}, beyond the start", unit="s", rounds=tuple(s - start.median for s in whole.rounds))
        for whole in (one, two)
    )
    scheduling = tuple(
        Quantity(name=f"scheduling of a bundle, {where}", unit="ms", rounds=taken[kind])
        for kind, where in RUNNERS.items()
    )
    return Measurement(
        title=f"ray: a build of {videos} videos on a cluster of this machine",
        quantities=(start, one, two, beyond_one, beyond_two, *scheduling),
        ratios=(
            Ratio.of("one worker / two, whole command", one, two, Bar("at least", 1.6)),
            Ratio.of("one worker / two, beyond the start", beyond_one, beyond_two),
        ),
        notes=(
            f"each worker is pinned to one core; captions by the embedded annotator; {BUNDLE_VIDEOS} videos a bundle",
            "the flow, Prefect's server and Ray share the cores; with one worker they have the other core",
            f"scheduling: time of {MANY_BUNDLES} finished bundles, two at a time, beyond that of {FEW_BUNDLES}",
        ),
    )


def simulated(run: Path, kind: str, bundles: int, environment: Mapping[str, str]) -> float:
    """Schedule finished bundles; return the seconds. Raises SimulationFailedError."""
    sizes = {"videos": 64 * bundles, "at-once": 2, "kind": kind}
    line = [sys.executable, "-P", "-c", SIMULATION, str(run), *(f"--{key}={value}" for key, value in sizes.items())]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SimulationFailedError(f"the simulation ended with status {done.returncode}\n{done.stderr[-2000:]}")
    took: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return float(took["tasks_s"])


@contextmanager
def _prefect(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the server that a build would start itself; yield its address as environment variables for a build."""
    line = [sys.executable, "-P", "-m", "refsav.flows.running.prefect_server", str(os.getpid())]
    with child_process(line, environment=environment, log=Path(os.devnull), stdout=subprocess.PIPE) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        if not port.isdecimal():
            raise BuildFailedError("Prefect's server did not start", fix="run `prefect server start` to see its error")
        yield {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
