"""Request rate of a build, compared with the maximum rate of its vLLM server; client and server have one core each."""

import asyncio
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from refsav.annotators.engines.engine import STAGE_OF_TASK
from refsav.annotators.serving.profile import ServedModel, load_profile
from refsav.annotators.serving.server_process import running
from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed.replay import recording, replay
from refsav.benchmarks.speed.scale import fail_if_failed, start_command
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.errors import RefSavError

IN_FLIGHT_TRIED = (32, 64, 128)
MAX_TOKENS = 110
"""Length of every reply: the average of published expressions, 83.6 words."""
LOOK_EVERY_S = 0.02

NOTHING_REMEMBERED = ("--no-enable-prefix-caching", "--mm-processor-cache-gb", "0")
"""Arguments for vLLM: a repeated request must cost as much as the first time."""


class CoresError(RefSavError):
    """Too few cores to separate client and server."""


def measure_server(work: Path, python: Path, models: Path, videos: int = 240, rounds: int = 3) -> Measurement:
    """Run builds and replays of their requests against the same server, alternately.

    Args:
        work: Folder for scenes and runs.
        python: Interpreter of vLLM's environment.
        models: Folder that holds tiny-vlm.
        videos: Number of synthetic videos in a build, with about 3 objects each.
        rounds: Number of rounds.

    Raises:
        CoresError: If the machine has one core.
        BuildFailedError, ServerError, ConfigError, ReplayError: If the build, the server or a replay fails.
    """
    client_core, server_core = _two_cores()
    scenes = work / "server-scenes"
    for _ in write_scenes(scenes, SynthConfig(videos=videos)):
        pass
    served = _served(never_ending(models / "tiny-vlm", work / "tiny-vlm"))
    environment = {**os.environ, "PREFECT_HOME": str(work / "prefect")}
    with _server(served, python, server_core) as address, on_cores({client_core}):
        with recording(address) as (detour, bodies):
            timed_build(scenes, work / "server-run-recorded", detour, 32, environment)
        tried = {count: asyncio.run(replay(address, bodies[::4], count)) for count in IN_FLIGHT_TRIED}
        best = max(tried, key=tried.__getitem__)
        runs = (work / f"server-run-{number}" for number in range(rounds))
        taken = in_turns(
            {
                "build": lambda: timed_build(scenes, next(runs), address, best, environment),
                "replay": lambda: asyncio.run(replay(address, bodies, best)),
            },
            rounds,
        )
    build = Quantity(name="build", unit="requests/s", rounds=taken["build"])
    ceiling = Quantity(name=f"replay, {best} in flight", unit="requests/s", rounds=taken["replay"])
    trials = [
        Quantity(name=f"trial of a quarter of them, {count} in flight", unit="requests/s", rounds=(rate,))
        for count, rate in tried.items()
    ]
    return Measurement(
        title=f"server: {len(bodies)} requests to vLLM on one core, the client on another",
        quantities=(build, ceiling, *trials),
        ratios=(Ratio.of("build / replay of its requests", build, ceiling, Bar("at least", 0.95)),),
        notes=(
            "the complete annotate phase of `refsav build`, from its first request to its last reply",
            f"captions by tiny-vlm, {MAX_TOKENS} tokens each; judge: the embedded one; the server caches nothing",
        ),
    )


def timed_build(source: Path, run: Path, address: str, in_flight: int, environment: dict[str, str]) -> float:
    """Build; return the requests per second from the first request to the last reply. Raises BuildFailedError.

    The judge is the embedded one: the tiny model would judge all descriptions inconsistent, and no scene would follow.
    """
    options = {"vlm.kind": "vllm", "vlm.addresses": address, "vlm.in_flight_per_server": str(in_flight)}
    options |= {f"stages.{stage}_max_tokens": str(MAX_TOKENS) for stage in ("object", "scene", "video")}
    options |= {"stages.language": "any", "report.max_objects": "0"}
    flags = [text for key, value in options.items() for text in (f"--{key}", value)]
    process = start_command(["build", str(source), str(run), *flags, "--no-stages.check-replies"], environment)
    watch = JournalWatch(RunDirectory(run).journal)
    while process.poll() is None:
        watch.look(time.perf_counter())
        time.sleep(LOOK_EVERY_S)
    fail_if_failed(process)
    return watch.requests_per_second


class JournalWatch:
    """Follows growing journals: counts the VLM's replies, from the first request to the last reply."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_bytes: dict[Path, int] = {}
        self.replies = 0
        self._first_s = math.inf
        self._last_s = 0.0

    def look(self, now_s: float) -> None:
        """Read the lines that were added; each reply arrived by now, and was requested its `seconds` earlier."""
        for path in self._folder.glob("*.jsonl"):
            with path.open("rb") as stream:
                stream.seek(self._read_bytes.get(path, 0))
                added = stream.read()
            whole = added[: added.rfind(b"\n") + 1]
            self._read_bytes[path] = self._read_bytes.get(path, 0) + len(whole)
            for entry in map(json.loads, whole.splitlines()):
                if STAGE_OF_TASK[entry["task"]] != "judge":
                    self.replies += 1
                    self._first_s = min(self._first_s, now_s - entry["seconds"])
                    self._last_s = now_s

    @property
    def requests_per_second(self) -> float:
        """Number of replies divided by the time from the first request to the last reply."""
        return self.replies / (self._last_s - self._first_s)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Pin this thread to some cores, and every thread and process that it starts in the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _server(served: ServedModel, python: Path, core: int) -> Iterator[str]:
    started = running(served, Console(stderr=True), python=str(python), more=NOTHING_REMEMBERED)
    with ExitStack() as stack:
        with on_cores({core}):
            server = stack.enter_context(started)
        yield server.address


def never_ending(model: Path, folder: Path) -> Path:
    """Link a model into a folder with an end token that it never produces, so that all replies have the maximum length.

    The tiny model ends its sentences after about 30 tokens, a quarter of the length of the paper's models.
    """
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).symlink_to(path)
    number = json.loads((model / "config.json").read_text())["vision_end_token_id"]
    for name, end in (
        ("config.json", {"eos_token_id": number}),
        ("generation_config.json", {"eos_token_id": number}),
        ("tokenizer_config.json", {"eos_token": "<|vision_end|>"}),
    ):
        (folder / name).unlink()
        (folder / name).write_text(json.dumps(json.loads((model / name).read_text()) | end))
    return folder


def _served(model: Path) -> ServedModel:
    served = load_profile("cpu").vlm
    return served.model_copy(update={"model": str(model), "port": served.port + 700})


def _two_cores() -> tuple[int, int]:
    cores: Sequence[int] = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise CoresError("this machine has one core", fix="measure on a machine with two or more")
    return cores[0], cores[1]
