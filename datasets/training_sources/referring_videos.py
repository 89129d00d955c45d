"""Reader of MeViS, ReVOS, Ref-YouTube-VOS and similar sets: some frames of a video and some of its expressions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.referring_videos import ExpressionEntry, VideoEntry
from refsav.datasets.external.video_layouts import ExpressionSet, open_expressions
from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.frames import Image
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import Mask, decode_checked
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, segment_turn
from refsav.datasets.training_examples.sampling import choose_frames, choose_objects
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource
from refsav.errors import RecordError

CHARACTERS = 60
"""Approximate length of an expression: ten words."""


class ReferringVideosConfig(TemplatedSourceConfig):
    """A set of referring video expressions in its published layout."""

    kind: Literal["referring-videos"] = "referring-videos"
    dataset: ExpressionSet = Field(description="Name of the set.")
    path: str = Field(description="Folder that the set was unpacked into.")
    split: str = Field("train", description="Split of the set; its masks must be published.")
    frames: int = Field(5, ge=1, description="Frames per example, drawn at random; a shorter video gives all.")
    objects: int = Field(5, ge=1, description="Most expressions per example.")

    def open(self) -> WeightedSource:
        return WeightedSource(ReferringVideos(self), self.repeats)


class ReferringVideos:
    """Reads one video and some of its expressions per example."""

    def __init__(self, config: ReferringVideosConfig) -> None:
        """Open the set. Raises ConfigError, RecordError."""
        self.config = config
        self._videos = open_expressions(config.dataset, Path(config.path), config.split)

    @property
    def name(self) -> str:
        return self.config.name or self._videos.name

    @property
    def files(self) -> tuple[Path, ...]:
        return self._videos.files

    def __len__(self) -> int:
        return len(self._videos)

    def length_of(self, index: int) -> int:  # noqa: ARG002 - videos differ little
        return estimate_tokens(self.config.frames, self.config.objects * CHARACTERS)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        video, path = self._videos.entry(index), self._videos.files[0]
        named = [one for one in video.expressions if one.text.strip()]
        chosen = [named[number] for number in choose_objects(len(named), self.config.objects, random)]

        def shown(rows: Sequence[int]) -> list[bool]:
            by_frame = zip(*(self._truth(video, one, rows) for one in chosen), strict=True)
            return [any(masks) for masks in by_frame]

        rows = choose_frames(len(video.frames), self.config.frames, random, shown)
        truths = [self._truth(video, one, rows) for one in chosen]
        frames = tuple(read_image(video.frames[row]) for row in rows)
        choose = at_random(random, self.config.usual_wording)
        with located_errors(path, video.video_id):
            return TrainingExample(
                name=f"{self.name} {video.video_id}: {', '.join(one.exp_id for one in chosen)}",
                frames=frames,
                turns=tuple(segment_turn(one.text, video=True, choose=choose) for one in chosen),
                masks=tuple(
                    tuple(_masks(truth, rows, frames, path, f"{video.video_id}: expression {one.exp_id}"))
                    for one, truth in zip(chosen, truths, strict=True)
                ),
                left_out=tuple(
                    f"{path}: {video.video_id}: expression {one.exp_id} has no words"
                    for one in video.expressions
                    if not one.text.strip()
                ),
            )

    def _truth(self, video: VideoEntry, one: ExpressionEntry, rows: Sequence[int]) -> FrameMasks:
        truth = self._videos.truth(video, one.mask_keys, rows)
        if truth is None:
            where, fix = f"{video.video_id}: expression {one.exp_id}", "train on a split whose masks are published"
            raise RecordError(self._videos.files[0], where, "has no masks", fix)
        return truth


def _masks(truth: FrameMasks, rows: Sequence[int], frames: Sequence[Image], path: Path, where: str) -> Iterator[Mask]:
    for mask, row, frame in zip(truth, rows, frames, strict=True):
        with located_errors(path, f"{where}: frame {row}"):
            yield decode_checked(mask, (frame.shape[0], frame.shape[1]))
