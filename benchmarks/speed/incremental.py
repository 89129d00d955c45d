"""Time from a new video to its expressions in a shard, in a small run and in one of twenty times the size."""

import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed.scale import fail_if_failed, make_scenes, start_command
from refsav.datasets.run.run_directory import RunDirectory

CUT_SMALL = ("--runner.bundle-videos=2", "--shards.videos-per-shard=5", "--split.val-share=0")
"""Small bundles and shards, so that there are as many as in a far larger run; a new video starts a new shard."""


@dataclass(kw_only=True, slots=True)
class _Growing:
    """A source that gets one video at a time, and its run."""

    waiting: list[Path]
    """Media files of the videos that are not in the source yet."""
    source: Path
    run: RunDirectory
    whole_s: list[float] = field(default_factory=list)
    """Wall time of each command."""

    def build(self) -> float:
        """Build; return the seconds from the first file written in the run to the index of the shards."""
        begin = time.perf_counter()
        environment = {**os.environ, "PREFECT_HOME": str(self.run.root.parent / "prefect")}
        process = start_command(["build", str(self.source), str(self.run.root), *CUT_SMALL], environment)
        process.wait()
        fail_if_failed(process)
        self.whole_s.append(time.perf_counter() - begin)
        index = self.run.shards / "train/index.json"
        return (index.stat().st_mtime_ns - self.run.settings.stat().st_mtime_ns) / 1e9

    def build_with_one_more(self) -> float:
        """Add a video to the source, and build."""
        media = self.waiting.pop()
        for path in sorted(media.parent.glob(f"{media.stem}[._]*")):
            path.rename(self.source / path.name)
        return self.build()


def measure_incremental(work: Path, videos: int = 10, rounds: int = 5) -> Measurement:
    """Add videos one by one to a run of `videos` and to one of twenty times as many, alternately.

    Raises:
        BuildFailedError: If a build fails.
    """
    sizes = (videos, 20 * videos)
    growing = {size: _start_run(work / str(size), size, rounds) for size in sizes}
    for one in growing.values():
        one.build()
        one.whole_s.clear()
    taken = in_turns({str(size): partial(one.build_with_one_more) for size, one in growing.items()}, rounds)
    to_shard = [
        Quantity(name=f"new video to shard, {size} built before", unit="s", rounds=taken[str(size)]) for size in sizes
    ]
    whole = [
        Quantity(name=f"whole command, {size} built before", unit="s", rounds=tuple(growing[size].whole_s))
        for size in sizes
    ]
    return Measurement(
        title=f"incremental: one more video, where {sizes[0]} and {sizes[1]} are built",
        quantities=(*to_shard, *whole),
        ratios=(
            Ratio.of("new video to its expressions in a shard", to_shard[1], to_shard[0], Bar("at most", 1.2)),
            Ratio.of("whole command, exports, statistics and gallery included", whole[1], whole[0]),
        ),
        notes=(
            "counted from the first file written in the run; the start of Prefect before it does not grow",
            f"large run: {sizes[1] // 2} bundles, {sizes[1] // 5} shards; small: {sizes[0] // 2} and {sizes[0] // 5}",
        ),
    )


def _start_run(folder: Path, videos: int, later: int) -> _Growing:
    """Write synthetic videos and put the first ones into a source."""
    everything = make_scenes(folder / "scenes", videos + later)
    source = folder / "source"
    source.mkdir()
    media = sorted(everything.rglob("*.mp4"))
    for one in media[:videos]:
        for path in sorted(one.parent.glob(f"{one.stem}[._]*")):
            path.rename(source / path.name)
    return _Growing(waiting=media[videos:], source=source, run=RunDirectory(folder / "run"))
