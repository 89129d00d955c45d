"""Time and peak memory of a build with ten times the objects; the complete command, gallery and Prefect included."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.errors import RefSavError

OBJECTS_A_VIDEO = 4
SAMPLE_EVERY_S = 0.02


class BuildFailedError(RefSavError):
    """A build or a training that is measured failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildUse:
    """Time and memory of one build."""

    wall_s: float
    processor_s: float
    """Processor time of the build and its child processes."""
    peak_mib: float
    """Peak resident memory of the build's own process."""
    server_peak_mib: float
    """Peak resident memory of the largest child process, which is Prefect's server."""


def measure_scale(work: Path, videos: int = 32, rounds: int = 3) -> Measurement:
    """Build `videos` and ten times as many small synthetic videos, alternately.

    Raises:
        BuildFailedError: If a build fails.
    """
    sources = {count: make_scenes(work / f"scenes-{count}", count) for count in (1, videos, 10 * videos)}
    environment = {**os.environ, "PREFECT_HOME": str(work / "prefect")}
    uses: dict[int, list[BuildUse]] = {count: [] for count in sources}

    def build(count: int) -> float:
        run = work / f"run-{count}-{len(uses[count])}"
        use = watched_build([str(sources[count]), str(run)], environment)
        uses[count].append(use)
        return use.wall_s

    build(1)  # creates Prefect's database for the builds that follow
    uses[1].clear()
    in_turns({str(count): partial(build, count) for count in sources}, rounds)
    return report(uses, videos)


def report(uses: Mapping[int, Sequence[BuildUse]], videos: int) -> Measurement:
    """Compare builds of 1, `videos` and ten times `videos` videos."""
    once, tenfold = uses[videos], uses[10 * videos]
    objects = videos * OBJECTS_A_VIDEO

    def taken(name: str, unit: str, field: str, builds: Sequence[BuildUse]) -> Quantity:
        return Quantity(name=name, unit=unit, rounds=tuple(getattr(use, field) for use in builds))

    def both(name: str, unit: str, field: str) -> tuple[Quantity, Quantity]:
        return (
            taken(f"{name}, {objects} objects", unit, field, once),
            taken(f"{name}, {10 * objects} objects", unit, field, tenfold),
        )

    wall, processor = both("wall time", "s", "wall_s"), both("processor time", "s", "processor_s")
    memory, server = both("peak memory", "MiB", "peak_mib"), both("peak of Prefect's server", "MiB", "server_peak_mib")
    start = taken("wall time, 1 video", "s", "wall_s", uses[1])
    further = [
        Quantity(
            name=f"wall time of a further video, of {count}",
            unit="ms",
            rounds=tuple(1000 * (wall_s - start.median) / (count - 1) for wall_s in quantity.rounds),
        )
        for quantity, count in zip(wall, (videos, 10 * videos), strict=True)
    ]
    return Measurement(
        title=f"scale: a build of {objects} objects, and of {10 * objects}",
        quantities=(start, *wall, *further, *processor, *memory, *server),
        ratios=(
            Ratio.of("wall time, whole command", wall[1], wall[0], Bar("at most", 10.5)),
            Ratio.of("wall time of a further video", further[1], further[0], Bar("at most", 1.05)),
            Ratio.of("processor time, whole command", processor[1], processor[0], Bar("at most", 10.5)),
            Ratio.of("peak memory", memory[1], memory[0], Bar("at most", 1.1)),
            Ratio.of("peak memory of Prefect's server", server[1], server[0], Bar("at most", 1.1)),
        ),
        notes=(
            "including the gallery and its videos; captions by the embedded annotator",
            "the command includes the start of Prefect, which does not grow; the second ratio excludes it",
        ),
    )


def make_scenes(folder: Path, videos: int) -> Path:
    """Write small synthetic videos with the same number of objects each."""
    config = SynthConfig(
        videos=videos, height=240, width=320, frames=48, min_objects=OBJECTS_A_VIDEO, max_objects=OBJECTS_A_VIDEO
    )
    for _ in write_scenes(folder, config):
        pass
    return folder


def watched_build(arguments: Sequence[str], environment: Mapping[str, str]) -> BuildUse:
    """Run `refsav build` and sample its memory. Raises BuildFailedError."""
    before, begin = os.times(), time.perf_counter()
    process = start_command(["build", *arguments], environment)
    peaks_kib: dict[int, int] = {}
    while process.poll() is None:
        for pid in _with_descendants(process.pid):
            peaks_kib[pid] = max(peaks_kib.get(pid, 0), _peak_kib(pid))
        time.sleep(SAMPLE_EVERY_S)
    wall_s, after = time.perf_counter() - begin, os.times()
    fail_if_failed(process)
    own_kib = peaks_kib.pop(process.pid)
    return BuildUse(
        wall_s=wall_s,
        processor_s=after.children_user + after.children_system - before.children_user - before.children_system,
        peak_mib=own_kib / 1024,
        server_peak_mib=max(peaks_kib.values(), default=0) / 1024,
    )


def start_command(arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start `refsav` of this environment; `fail_if_failed` shows its error output."""
    line = [sys.executable, "-P", "-c", "from refsav.cli.main import main; main()", *arguments]
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def fail_if_failed(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a command ends. Raises BuildFailedError with the end of its error output if it failed."""
    words = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        raise BuildFailedError(f"the command ended with status {process.returncode}\n{words[-2000:]}", fix="see above")


def _with_descendants(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in pids:
            yield from _with_descendants(int(child))


def _peak_kib(pid: int) -> int:
    """Return the peak resident memory as counted by the kernel; 0 if the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((int(fields[1]) for fields in lines), 0)
