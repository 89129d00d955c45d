"""stats.json: what a run holds (Table 4), how hard it is (Table 3), what was lost, what people say, what it cost."""

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
"""Beside the splits: the whole run."""


class CountsError(RefSavError):
    """Objects that went in and did not come out, or came out twice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageUse:
    """What one stage used, summed over all journals."""

    stage: Stage
    requests: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Wall times of all its requests added up, also of those that ran at the same time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCost:
    """What one stage cost."""

    use: StageUse
    gpu_hours: float
    """Estimate: the time of all requests × the GPUs of a server / the requests that it works on at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Objects that did not come through, by stage and reason."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """All of stats.json."""

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
        """Write as indented JSON."""
        return _STATISTICS.dump_json(self, indent=1) + b"\n"

    @staticmethod
    def from_json(content: bytes, path: Path) -> "Statistics":
        """Read what `to_json` wrote; `path` is for the message. Raises RecordError."""
        try:
            return _STATISTICS.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordError(path, where, first["msg"], "make it again: refsav stats RUN") from None


def collect(
    run: RunDirectory,
    config: MeasureConfig,
    *,
    objects_read: int,
    use: Iterable[StageUse],
    gpus_per_request: Mapping[Stage, float],
) -> Statistics:
    """Go once through all parts of a run, an object at a time.

    Args:
        run: The run.
        config: From where on a property holds.
        objects_read: Objects that the source's annotations list.
        use: What each stage used.
        gpus_per_request: GPUs of a server over the requests that it works on at a time; 0 for the embedded engine.

    Raises:
        CountsError: If expressions + dropped + failed are not the objects read.
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
        raise RecordError(run.stats, "", f"cannot be read: {error.strerror}", "make it: refsav stats RUN") from None
    return Statistics.from_json(content, run.stats)


def _tally_expressions(run: RunDirectory, config: MeasureConfig) -> dict[str, Tally]:
    splits = read_splits(run.splits) if run.splits.exists() else None
    cameras = {measures.video_id: measures.camera_speed for measures in read_measures(run)}
    tallies = {ALL: Tally()} | ({"train": Tally(), "val": Tally()} if splits is not None else {})
    for video_id, group in groupby(read_expressions(run), key=lambda expression: expression.track.video_id):
        counting = [tallies[ALL]]
        if splits is not None:
            if video_id not in splits:
                raise RecordError(run.splits, video_id, "has no split", "run the same build again: it splits anew")
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
            f"{run.root}: {kept} expressions + {dropped} dropped + {failed} failed = {sum(parts)}, "
            f"but {statistics.objects_read} objects were read: {word}\n"
            "  fix: run the same build again; if the difference stays, the source has changed since the run began"
        )


def _losses(counts: Counter[tuple[str, str]]) -> tuple[Loss, ...]:
    ordered = sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return tuple(Loss(stage=stage, reason=reason, count=count) for (stage, reason), count in ordered)


_STATISTICS = TypeAdapter(Statistics)
