"""WebDataset shards of a run, read front to back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask, decode_all
from refsav.datasets.shards.samples import Sample, SampleObject, iterate
from refsav.datasets.shards.samples import read_frames as decode_frames
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True)
class ShardObject:
    """One object of a video in a shard."""

    record: SampleObject
    """Source, masklet id, masks as run-length encoding, provenance."""
    size: tuple[int, int]
    """(height, width) of its masks, in pixels."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Its expressions."""
        return tuple(entry.text for entry in self.record.texts)

    def masks(self) -> Mask:
        """Decode all masks: bool [T, H, W], one per frame of the sample."""
        return decode_all(self.record.masks, self.size)


@dataclass(frozen=True, kw_only=True)
class ShardVideo:
    """One sample of a shard: a video with its annotated frames and objects."""

    sample: Sample

    @property
    def video_id(self) -> str:
        """SA-V name of the video."""
        return self.sample.video_id

    @property
    def objects(self) -> tuple[ShardObject, ...]:
        """Its objects with their expressions."""
        return tuple(ShardObject(record=entry, size=self.sample.size) for entry in self.sample.objects)

    def frames(self, rows: Sequence[int] | None = None) -> Iterator[Image]:
        """Decode annotated frames, uint8 RGB [H, W, 3]; all of them by default. Raises RecordError."""
        return decode_frames(self.sample, range(len(self.sample.frames)) if rows is None else rows)


def read_shards(path: str | Path) -> Iterator[ShardVideo]:
    """Read a shard or a folder of shards, in the order of their names, one video in memory.

    Args:
        path: A tar file, or a folder of tar files such as RUN/shards/train.

    Raises:
        RecordError: If there is no shard, or one cannot be read.
    """
    path = Path(path)
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not shards:
        raise RecordError(path, "", "holds no shards (*.tar)", "give a folder of shards, such as RUN/shards/train")
    for sample in iterate(shards):
        yield ShardVideo(sample=sample)
