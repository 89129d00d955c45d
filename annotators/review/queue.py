"""The queue of a review: which validation objects people review, and what they are shown."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from refsav.annotators.review.media import ReviewMedia, draw_media
from refsav.annotators.review.sample import ReviewedObject, stratified
from refsav.datasets.records import Expression, ObjectKey, VideoFile
from refsav.datasets.review.config import ReviewConfig
from refsav.datasets.review.decisions import TaskName, UnusableAnswerError
from refsav.datasets.run.parts import expression_parts, expressions_of
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import read_splits
from refsav.disk.files import write_text
from refsav.errors import RecordError

Ask = Literal["long", "short"]
"""What annotators do: judge the long expression, write a short one."""

EXPORT_FIX = "write the queue: refsav review export RUN"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewTask:
    """One question: an object, and what annotators see of it."""

    name: TaskName
    asks: tuple[Ask, ...]
    text: str
    """The long expression."""
    media: ReviewMedia


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedVideo:
    """The objects of one video that are reviewed: the unit of drawing."""

    video_id: str
    part: Path
    asks: Mapping[ObjectKey, tuple[Ask, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnVideo:
    """The questions about one video, or why there are none."""

    tasks: tuple[ReviewTask, ...]
    problem: str
    """One line; empty if its media could be drawn."""


def choose_videos(run: RunDirectory, config: ReviewConfig, occluded_share: float) -> list[AskedVideo]:
    """Choose the objects to review, by video; masks of one video are in memory.

    Existing answers do not matter: the same settings choose the same objects.

    Args:
        run: A run with splits.
        config: How many objects to choose.
        occluded_share: Threshold from which an object counts as heavily occluded, fraction 0-1.

    Raises:
        RecordError: If the run has no splits or no validation objects yet, or a part cannot be read.
    """
    if not run.splits.exists():
        raise RecordError(run.splits, "", "is missing", "finish the build of this run first")
    held_out = {video_id for video_id, one in read_splits(run.splits).items() if one.split == "val"}
    part_of: dict[str, Path] = {}
    objects: list[ReviewedObject] = []
    for part in expression_parts(run):
        for expression in expressions_of(part, held_out):
            part_of[expression.track.video_id] = part
            objects.append(ReviewedObject.of(expression))
    if not objects:
        raise RecordError(
            run.splits, "", "holds out no video with expressions", "raise split.val_share and build again"
        )
    wanted: dict[Ask, int] = {"long": config.long_objects, "short": config.short_objects}
    drawn = {
        ask: stratified(objects, count, occluded_share=occluded_share, seed=config.seed)
        for ask, count in wanted.items()
    }
    asks = {key: tuple(ask for ask in wanted if key in drawn[ask]) for key in sorted(one.key for one in objects)}
    return [
        AskedVideo(video_id=video_id, part=part_of[video_id], asks={key: asks[key] for key in keys})
        for video_id, keys in groupby((key for key in asks if asks[key]), key=lambda key: key.video_id)
    ]


def draw_video(run: RunDirectory, asked: AskedVideo, video: VideoFile, config: ReviewConfig) -> DrawnVideo:
    """Draw the media of one video's objects. Raises RecordError if the part cannot be read, DiskError."""
    expressions = [one for one in expressions_of(asked.part, {asked.video_id}) if one.track.key in asked.asks]
    try:
        media = draw_media(video, [one.track for one in expressions], run.review, config)
    except RecordError as error:
        return DrawnVideo(tasks=(), problem=error.line_below(video.root))
    return DrawnVideo(tasks=tuple(_tasks(asked, expressions, media)), problem="")


def _tasks(
    asked: AskedVideo, expressions: Sequence[Expression], media: Mapping[ObjectKey, ReviewMedia]
) -> Iterator[ReviewTask]:
    for expression in expressions:
        key = expression.track.key
        name = TaskName.of(key, expression.text)
        yield ReviewTask(name=name, asks=asked.asks[key], text=expression.text, media=media[key])


def write_queue(run: RunDirectory, tasks: Iterable[ReviewTask]) -> None:
    """Write review/queue.jsonl. Raises DiskError."""
    lines = [
        json.dumps(
            {
                "task": str(task.name),
                "asks": task.asks,
                "text": task.text,
                "film": task.media.film,
                "strip": task.media.strip,
            },
            ensure_ascii=False,
        )
        for task in sorted(tasks, key=lambda task: task.name)
    ]
    write_text(run.queue, "".join(f"{line}\n" for line in lines))


def read_queue(run: RunDirectory) -> list[ReviewTask]:
    """Read what `write_queue` wrote. Raises RecordError."""
    try:
        lines = run.queue.read_bytes().splitlines()
    except OSError as error:
        raise RecordError(run.queue, "", f"cannot be read: {error.strerror}", EXPORT_FIX) from None
    return [_task(line, run.queue, number) for number, line in enumerate(lines, 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    task: str
    asks: tuple[Ask, ...]
    text: str
    film: str
    strip: str


_LINE: TypeAdapter[Any] = TypeAdapter(_Line)


def _task(line: bytes, path: Path, number: int) -> ReviewTask:
    try:
        content = _LINE.validate_json(line)
        name = TaskName.parse(content.task)
    except (ValidationError, UnusableAnswerError):
        raise RecordError(path, f"line {number}", "is damaged", EXPORT_FIX) from None
    media = ReviewMedia(film=content.film, strip=content.strip)
    return ReviewTask(name=name, asks=content.asks, text=content.text, media=media)
