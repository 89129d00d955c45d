"""Reader of Ref-SAV from the shards of a run: some frames of a video, some of its objects, one turn per object."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask, decode_checked
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import ShardSet
from refsav.datasets.shards.reader import COPY_AGAIN, ShardSamples, Verify
from refsav.datasets.shards.samples import Sample, SampleObject, TextKind, read_frames
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, segment_turn
from refsav.datasets.training_examples.sampling import choose_frames, choose_objects
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource
from refsav.errors import RecordError

LONG_CHARACTERS = 500
"""Approximate length of an expression: 83.6 words as published (Sa2VA, Table 4)."""


class RefSavConfig(TemplatedSourceConfig):
    """Ref-SAV in the shards of a run."""

    kind: Literal["ref-sav"] = "ref-sav"
    path: str = Field(description="Run directory, or a folder of shards with its index.json.")
    shards: ShardSet = Field("train", description="Which shards of a run directory.")
    frames: int = Field(5, ge=1, description="Frames per example, drawn at random; a shorter video gives all.")
    objects: int = Field(5, ge=1, description="Most objects per example.")
    text: Literal[TextKind, "either"] = Field(
        "either", description="Expressions to use: long, short, or either, drawn at random from those of an object."
    )
    verify: Verify = Field(
        "size",
        description="What is compared with index.json on opening: sizes, or sha256 as well, which reads every byte.",
    )

    def open(self) -> WeightedSource:
        source = ShardSource(self)
        return WeightedSource(source, self.repeats, source.notes)


class ShardSource:
    """Reads one video per example."""

    def __init__(self, config: RefSavConfig) -> None:
        """Open the shards. Raises RecordError if there is no index."""
        root = Path(config.path)
        folder = RunDirectory(root).shards / config.shards
        self.config = config
        self._samples = ShardSamples(folder if folder.is_dir() else root, config.verify)

    @property
    def name(self) -> str:
        return self.config.name or self.config.kind

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._samples.index,)

    @property
    def notes(self) -> tuple[str, ...]:
        """Shards that cannot be used; each of their videos counts as a bad example when it is drawn."""
        shards, errors = self._samples.shards, self._samples.errors
        return tuple(
            f"{shards[number].samples} videos cannot be used: {error.line}" for number, error in errors.items()
        )

    def __len__(self) -> int:
        return len(self._samples)

    def length_of(self, index: int) -> int:
        shard = self._samples.shard_of(index)
        objects = min(self.config.objects, -(-shard.objects // shard.samples))
        return estimate_tokens(self.config.frames, objects * LONG_CHARACTERS)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        video, path = self._samples.describe(index), self._samples.path_of(index)
        usable = [entry for entry in video.objects if self._texts(entry) and any(entry.masks)]
        if not usable:
            kind = "an" if self.config.text == "either" else f"a {self.config.text}"
            fix = "leave the video out, or set text = 'either'"
            raise RecordError(path, video.video_id, f"no object has both a mask and {kind} expression", fix)
        chosen = [usable[number] for number in choose_objects(len(usable), self.config.objects, random)]

        def shown(rows: Sequence[int]) -> list[bool]:
            return [any(entry.mask_at(row) for entry in chosen) for row in rows]

        rows = choose_frames(len(video.frames), self.config.frames, random, shown)
        sample = self._samples.sample(index, replace(video, objects=tuple(chosen)), rows)
        frames = _frames(sample, path)
        choose = at_random(random, self.config.usual_wording)
        expressions = [texts[int(random.integers(len(texts)))] for texts in map(self._texts, chosen)]
        unnamed = [_name(entry) for entry in video.objects if not any(text.text for text in entry.texts)]
        with located_errors(path, video.video_id):
            return TrainingExample(
                name=f"{self.name} {video.video_id}: {', '.join(map(_name, chosen))}",
                frames=frames,
                turns=tuple(segment_turn(text, video=True, choose=choose) for text in expressions),
                masks=tuple(tuple(_masks(entry, sample, frames, path)) for entry in sample.objects),
                left_out=tuple(f"{path}: {video.video_id}: {name} has no expression" for name in unnamed),
            )

    def _texts(self, entry: SampleObject) -> list[str]:
        wanted = self.config.text
        return [text.text for text in entry.texts if text.text and wanted in (text.kind, "either")]


def _frames(sample: Sample, path: Path) -> tuple[Image, ...]:
    try:
        return tuple(read_frames(sample, range(len(sample.frames))))
    except RecordError as error:
        raise RecordError(path, f"{sample.video_id}: {error.where}", error.problem, COPY_AGAIN) from error


def _masks(entry: SampleObject, sample: Sample, frames: Sequence[Image], path: Path) -> Iterator[Mask]:
    for rle, shown, frame in zip(entry.masks, sample.frames, frames, strict=True):
        with located_errors(path, f"{sample.video_id}: {_name(entry)}: frame {shown.index}"):
            yield decode_checked(rle, (frame.shape[0], frame.shape[1]))


def _name(entry: SampleObject) -> str:
    return f"{entry.source}/{entry.masklet_id}"
