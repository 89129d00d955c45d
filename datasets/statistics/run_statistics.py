"""stats.json: the size of a run (Table 4), its difficulty (Table 3), losses, the review, and the cost."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.records import Stage
from refsav.datasets.run.parts import read_dropped, read_expressions, read_failed, read_unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import read_splits
from refsav.datasets.statistics.loss_reasons import cause_of
from refsav.datasets.statistics.properties import MeasureConfig, read_measures
from refsav.datasets.statistics.published_tables import PAPER, TABLE_4, PublishedFigures
from refsav.datasets.statistics.review_summary import ReviewCounts, count_review
from refsav.datasets.statistics.tally import SplitStatistics, Tally, measure_object
from refsav.disk.files import write_bytes
from refsav.errors import RecordError, RefSavError

ALL = "all"
"""Key of the complete run, next to those of the splits."""


class CountsError(RefSavError):
    """Objects are missing from a run, or are in it twice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageUse:
    """Requests, tokens and time of one stage, summed over all journals."""

    stage: Stage
    requests: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Sum of the wall times of all its requests, including concurrent ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCost:
    """The cost of one stage."""

    use: StageUse
    gpu_hours: float
    """Estimate: time of all requests × GPUs per server / requests that a server works on at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Number of lost objects with one stage and reason."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """The content of stats.json."""

    objects_read: int
    expressions: int
    dropped: int
    failed: int
    unreadable_files: int
    splits: Mapping[str, SplitStatistics]
    dropped_by: tuple[Loss, ...]
    failed_by: tuple[Loss, ...]
    stages: tuple[StageCost, ...]
    measured_with: MeasureConfig
    review: ReviewCounts = field(default_factory=ReviewCounts)
    published_source: str = PAPER
    published: tuple[PublishedFigures, ...] = TABLE_4

    def to_json(self) -> bytes:
        """Return it as indented JSON."""
        return _STATISTICS.dump_json(self, indent=1) + b"\n"

    @staticmethod
    def from_json(content: bytes, path: Path) -> "Statistics":
        """Parse what `to_json` returned; `path` is for the message. Raises RecordError."""
        try:
            return _STATISTICS.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordError(path, where, first["msg"], "write it again: refsav stats RUN") from None


def collect(
    run: RunDirectory,
    config: MeasureConfig,
    *,
    objects_read: int,
    use: Iterable[StageUse],
    gpus_per_request: Mapping[Stage, float],
) -> Statistics:
    """Compute the statistics of a run in one pass over its parts, with one object in memory.

    Args:
        run: The run.
        config: Thresholds for the properties of Table 3.
        objects_read: Number of objects in the annotations of the source.
        use: Requests, tokens and time of each stage.
        gpus_per_request: GPUs per server / requests that it works on at a time; 0 for the embedded engine.

    Raises:
        CountsError: If expressions + dropped + failed differ from the objects read.
        RecordError: If a part cannot be read, or a video has no split.
    """
    tallies = _tally_expressions(run, config)
    dropped: Counter[tuple[str, str]] = Counter((loss.stage, cause_of(loss)) for loss in read_dropped(run))
    failed: Counter[tuple[str, str]] = Counter((loss.stage, cause_of(loss)) for loss in read_failed(run))
    statistics = Statistics(
        objects_read=objects_read,
        expressions=tallies[ALL].objects,
        dropped=dropped.total(),
        failed=failed.total(),
        unreadable_files=sum(1 for _ in read_unreadable(run)),
        splits={name: tally.finish() for name, tally in tallies.items()},
        dropped_by=_losses(dropped),
        failed_by=_losses(failed),
        stages=tuple(StageCost(use=one, gpu_hours=one.seconds * gpus_per_request[one.stage] / 3600) for one in use),
        measured_with=config,
        review=count_review(run, tallies["val"].objects if "val" in tallies else 0),
    )
    _check_counts(run, statistics)
    return statistics


def write_statistics(run: RunDirectory, statistics: Statistics) -> None:
    """Write stats.json. Raises DiskError."""
    write_bytes(run.stats, statistics.to_json())


def read_statistics(run: RunDirectory) -> Statistics:
    """Read stats.json. Raises RecordError."""
    try:
        content = run.stats.read_bytes()
    except OSError as error:
        raise RecordError(run.stats, "", f"cannot be read: {error.strerror}", "write it: refsav stats RUN") from None
    return Statistics.from_json(content, run.stats)


def _tally_expressions(run: RunDirectory, config: MeasureConfig) -> dict[str, Tally]:
    splits = read_splits(run.splits) if run.splits.exists() else None
    cameras = {measures.video_id: measures.camera_speed for measures in read_measures(run)}
    tallies = {ALL: Tally()} | ({"train": Tally(), "val": Tally()} if splits is not None else {})
    for video_id, group in groupby(read_expressions(run), key=lambda expression: expression.track.video_id):
        counting = [tallies[ALL]]
        if splits is not None:
            if video_id not in splits:
                raise RecordError(
                    run.splits, video_id, "has no split", "run the same build again, which writes the splits"
                )
            counting.append(tallies[splits[video_id].split])
        for tally in counting:
            tally.add_video(cameras.get(video_id), config)
        for expression in group:
            measured = measure_object(expression, config)
            for tally in counting:
                tally.add(measured)
    return tallies


def _check_counts(run: RunDirectory, statistics: Statistics) -> None:
    parts = (statistics.expressions, statistics.dropped, statistics.failed)
    difference = statistics.objects_read - sum(parts)
    if difference:
        kept, dropped, failed = parts
        word = f"{difference} missing" if difference > 0 else f"{-difference} too many"
        raise CountsError(
            f"{kept} expressions + {dropped} dropped + {failed} failed = {sum(parts)}, "
            f"but {statistics.objects_read} objects were read: {word}",
            fix="run the same build again; if the difference stays, the source has changed since the run started",
            path=run.root,
        )


def _losses(counts: Counter[tuple[str, str]]) -> tuple[Loss, ...]:
    ordered = sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return tuple(Loss(stage=stage, reason=reason, count=count) for (stage, reason), count in ordered)


_STATISTICS = TypeAdapter(Statistics)
