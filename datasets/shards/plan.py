"""Plan which video is in which shard: videos with expressions, in the order of the parts, a fixed number per shard."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from refsav.config import Config
from refsav.datasets.records import VideoFile
from refsav.datasets.review.answer_log import read_decisions
from refsav.datasets.review.decisions import Decision
from refsav.datasets.run.parts import expression_parts, videos_in
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import SHARD_SETS, ShardSet
from refsav.datasets.shards.splits import Assignment
from refsav.errors import ConfigError, RecordError

Member = TypeVar("Member")


class ShardConfig(Config):
    """Content and size of shards."""

    frames: Literal["jpeg", "mp4"] = Field(
        "jpeg", description="jpeg: the annotated frames (6 per second), fast to load; mp4: the source's own file."
    )
    jpeg_quality: int = Field(
        85, ge=1, le=100, description="JPEG quality of the frames; 85 is 1.3 times as large as mp4."
    )
    videos_per_shard: int = Field(100, ge=1, description="Videos per shard; 100 videos of SA-V are about 0.5 GB.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """One shard to write."""

    shards: ShardSet
    number: int
    videos: tuple[VideoFile, ...]
    parts: tuple[Path, ...]
    """Parts that hold the expressions of these videos, in the same order."""
    decisions: tuple[Decision, ...] = ()
    """Decisions of the review about their objects; empty for train."""

    @property
    def name(self) -> str:
        """The tar's file name."""
        return f"ref-sav-{self.shards}-{self.number:06d}.tar"


def plan_shards(
    run: RunDirectory, splits: Mapping[str, Assignment], videos: Mapping[str, VideoFile], config: ShardConfig
) -> list[ShardPlan]:
    """Group the videos that have expressions into shards, in the order of the parts, so that a larger run appends.

    A val video with short expressions is in val-long and in val-short.

    Args:
        run: The run.
        splits: Split of each video, from `assign`.
        videos: Files of each video, by id.
        config: Content and size of shards.

    Raises:
        ConfigError: If `frames` is mp4 and the source has folders of frames.
        RecordError: If a part or an answer cannot be read, or two parts hold the same video.
    """
    decisions: dict[str, list[Decision]] = {}
    for key, decision in read_decisions(run).items():
        decisions.setdefault(key.video_id, []).append(decision)
    waiting: dict[ShardSet, list[tuple[VideoFile, Path]]] = {shards: [] for shards in SHARD_SETS}
    for video, part in _videos_in_parts(run, videos):
        if config.frames == "mp4" and video.media.is_dir():
            problem, fix = "is a folder of frames, so frames cannot be mp4", "set shards.frames = 'jpeg'"
            raise ConfigError(problem, fix=fix, path=video.media)
        for shards in _sets_of(splits[video.video_id], decisions.get(video.video_id, ())):
            waiting[shards].append((video, part))
    return [
        ShardPlan(
            shards=shards,
            number=number,
            videos=tuple(video for video, _ in group),
            parts=tuple(dict.fromkeys(part for _, part in group)),
            decisions=()
            if shards == "train"
            else tuple(one for video, _ in group for one in decisions.get(video.video_id, ())),
        )
        for shards, members in waiting.items()
        for number, group in enumerate(_cut(members, config.videos_per_shard))
    ]


def _videos_in_parts(run: RunDirectory, videos: Mapping[str, VideoFile]) -> Iterator[tuple[VideoFile, Path]]:
    """Yield each video that has expressions, with its part, in the order of the parts. Raises RecordError."""
    part_of: dict[str, Path] = {}
    for part in expression_parts(run):
        for video_id in videos_in(part):
            if video_id in part_of:
                problem = f"holds {video_id}, which is also in {part_of[video_id].name}"
                raise RecordError(part, video_id, problem, "keep a video in one part: delete one of the two bundles")
            part_of[video_id] = part
            if video_id not in videos:
                fix = "delete the run directory and build again"
                raise RecordError(part, video_id, "no bundle of this run names this video", fix)
            yield videos[video_id], part


def _sets_of(assignment: Assignment, decisions: Sequence[Decision]) -> tuple[ShardSet, ...]:
    if assignment.split == "train":
        return ("train",)
    return ("val-long", "val-short") if any(decision.short for decision in decisions) else ("val-long",)


def _cut(members: Sequence[Member], size: int) -> Iterator[Sequence[Member]]:
    return (members[start : start + size] for start in range(0, len(members), size))
